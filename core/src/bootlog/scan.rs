// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which lines of a text could say something about memory: one pass over the bytes looks for every word that
//! such a line has, and no other line is looked at.
//!
//! ```text
//! text   ..........\n.....BIOS-e820: [mem ..] usable\n.....\n....
//!                         ^ a word
//!                   |<- the line: cut out, made text ->|
//! ```
//!
//! So a text costs the pass, and [`MAX_LINES`] lines of at most [`MAX_LINE_BYTES`] at the most, whatever it
//! holds.

use super::{aside, fact, kind, lines, map_line};
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};
use std::borrow::Cow;
use std::sync::LazyLock;

/// More lines that could be about memory than the logs of a machine's life hold; a text with more is junk.
pub(super) const MAX_LINES: usize = 250_000;

/// A longer line is none that a kernel prints (its buffer holds 1 KiB), in bytes; only its end is looked at.
pub(super) const MAX_LINE_BYTES: usize = 4096;

/// What the reader itself looks for.
const OWN_WORDS: [&str; 4] = ["physical RAM map:", "RAMDISK:", "page 1G", "Linux version "];

static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let prefixes = map_line::PREFIXES.iter().map(|(prefix, _)| *prefix);
    // Every line of Xen's begins so; those that matter have another word.
    let prefixes = prefixes.filter(|prefix| *prefix != map_line::HYPERVISOR);
    let facts = fact::WORDS.into_iter().filter(|word| *word != map_line::HYPERVISOR);
    let words = prefixes.chain(map_line::TYPES).chain(facts).chain(kind::WORDS).chain(OWN_WORDS);
    let words = words.chain(aside::WORDS.iter().map(|(word, _)| *word));
    // It would be another, slower automaton from 100 words on.
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(words).expect("a few short words")
});

/// A line that could say something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// From 1.
    pub(super) number: usize,
    /// Without the marks of quotes. What is no UTF-8 is replaced.
    pub(super) text: Cow<'t, str>,
    /// How long it is, if it is longer than what is looked at.
    pub(super) whole_len: Option<usize>,
}

/// Goes through a text.
#[derive(Debug)]
pub(super) struct Scanner<'t> {
    text: &'t [u8],
    /// Where the next line starts.
    at: usize,
    /// The number of that line.
    number: usize,
    n_found: usize,
}

impl<'t> Scanner<'t> {
    /// At the beginning of a text, which no longer has what mail does to one.
    pub(super) const fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, number: 1, n_found: 0 }
    }

    /// The next line that could say something; `Err` with its number if there were too many before.
    pub(super) fn next_line(&mut self) -> Option<Result<Line<'t>, usize>> {
        let found = WORDS.find(Input::new(self.text).range(self.at..).earliest(true))?;
        let before = &self.text[self.at..found.start()];
        let start = memchr::memrchr(b'\n', before).map_or(self.at, |at| self.at + at + 1);
        self.number += memchr::memchr_iter(b'\n', &self.text[self.at..start]).count();
        self.at = start;
        self.n_found += 1;
        if MAX_LINES < self.n_found {
            return Some(Err(self.number));
        }
        let number = self.number;
        let line = lines::split_quotes(self.take_line()).1;
        let tail = &line[line.len().saturating_sub(MAX_LINE_BYTES)..];
        let whole_len = (tail.len() < line.len()).then_some(line.len());
        Some(Ok(Line { number, text: String::from_utf8_lossy(tail), whole_len }))
    }

    /// The line after the last one found, unless it is empty, whatever it says.
    pub(super) fn peek(&self) -> Option<Cow<'t, str>> {
        let rest = self.text[self.at..].trim_ascii_start();
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = lines::split_quotes(rest[..end].trim_ascii_end()).1;
        (!line.is_empty()).then(|| String::from_utf8_lossy(&line[..line.len().min(MAX_LINE_BYTES)]))
    }

    /// Passes over the line that [`Scanner::peek`] shows.
    pub(super) fn skip(&mut self) {
        while self.at < self.text.len() {
            if !self.take_line().trim_ascii().is_empty() {
                break;
            }
        }
    }

    fn take_line(&mut self) -> &'t [u8] {
        let rest = &self.text[self.at..];
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += rest.len().min(end + 1);
        self.number += 1;
        rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_a_word_are_found_each_with_its_number() {
        let text = b"x\n\n> user: a\ny\n\xffXen: b\r\nz\n\nz\nRAMDISK:";
        let mut scanner = Scanner::new(text);
        let mut found = Vec::new();
        while let Some(line) = scanner.next_line() {
            let line = line.expect("there are few");
            found.push((line.number, line.text.into_owned()));
        }
        let expected = [(3, "user: a"), (5, "\u{fffd}Xen: b"), (9, "RAMDISK:")];
        assert_eq!(found, expected.map(|(number, text)| (number, text.to_owned())));
    }

    #[test]
    fn the_next_line_can_be_seen_and_passed_over() {
        let mut scanner = Scanner::new(b"user: a\n\n> user: b\nuser: c");
        assert_eq!(scanner.next_line().map(|line| line.map(|line| line.number)), Some(Ok(1)));
        assert_eq!(scanner.peek().as_deref(), Some("user: b"));
        scanner.skip();
        assert_eq!(scanner.next_line().map(|line| line.map(|line| line.number)), Some(Ok(4)));
        assert_eq!(scanner.peek(), None);
        scanner.skip();
        assert_eq!(scanner.next_line(), None);
    }

    #[test]
    fn of_a_long_line_the_end_is_seen_and_too_many_lines_are_told() {
        let long = format!("{}user: a", "é".repeat(3_000));
        let line = Scanner::new(long.as_bytes()).next_line().expect("it has a word").expect("it is the first");
        assert_eq!(line.whole_len, Some(6_007));
        assert!(line.text.ends_with("éuser: a") && line.text.len() < MAX_LINE_BYTES + 4);
        let many = "user:\n".repeat(MAX_LINES + 1);
        let mut scanner = Scanner::new(many.as_bytes());
        let n_lines = std::iter::from_fn(|| scanner.next_line()?.ok()).count();
        assert_eq!(n_lines, MAX_LINES);
        assert_eq!(scanner.next_line(), Some(Err(MAX_LINES + 1)));
    }
}
