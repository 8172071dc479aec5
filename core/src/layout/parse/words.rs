// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines and words of a layout file, each with its place.

use super::error::{Excerpt, LayoutError, LayoutErrorKind};

/// A place in the text. The column is not kept: counting it for each word of a long line would take
/// time quadratic in its length, and only an error needs one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The line, from 1.
    pub(super) line: usize,
    line_start: usize,
    start: usize,
    end: usize,
}

impl Place {
    /// An error here.
    pub(super) fn error(self, text: &str, kind: LayoutErrorKind) -> LayoutError {
        LayoutError {
            line: self.line,
            column: text[self.line_start..self.start].chars().count() + 1,
            span: self.start..self.end,
            kind,
        }
    }

    /// From here to the end of `other`, which follows in the same line.
    pub(super) fn to(self, other: Self) -> Self {
        Self { end: other.end, ..self }
    }

    /// The end of the text.
    pub(super) fn end_of(text: &str) -> Self {
        let line_start = text.rfind('\n').map_or_else(|| mark_len(text), |newline| newline + 1);
        let line = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Self { line, line_start, start: text.len(), end: text.len() }
    }
}

/// A word of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) at: Place,
}

/// The words of one line that were not taken yet.
#[derive(Debug)]
pub(super) struct Words<'t> {
    text: &'t str,
    /// What is left: from `start` to `end`.
    rest: Place,
}

/// The lines of a text, without comments and line ends. A byte-order mark is no part of the first.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Words<'_>> {
    let mut line_start = mark_len(text);
    let body = &text[line_start..];
    body.split_inclusive('\n').zip(1..).map(move |(whole, line)| {
        let content = whole.strip_suffix('\n').unwrap_or(whole);
        let content = content.strip_suffix('\r').unwrap_or(content);
        let content = content.split('#').next().unwrap_or(content);
        let rest = Place { line, line_start, start: line_start, end: line_start + content.len() };
        line_start += whole.len();
        Words { text, rest }
    })
}

impl<'t> Words<'t> {
    /// The next word, if there is one; words are parted by spaces and tabs.
    pub(super) fn next(&mut self) -> Result<Option<Word<'t>>, LayoutError> {
        let rest = &self.text[self.rest.start..self.rest.end];
        let trimmed = rest.trim_start_matches(is_blank);
        let text = &trimmed[..trimmed.find(is_blank).unwrap_or(trimmed.len())];
        if text.is_empty() {
            return Ok(None);
        }
        let start = self.rest.end - trimmed.len();
        let at = Place { start, end: start + text.len(), ..self.rest };
        // An editor shows neither, so the character itself is the place, not the word.
        if let Some((offset, junk)) = text.char_indices().find(|(_, c)| c.is_control() || *c == '\u{fffd}') {
            let start = at.start + offset;
            let found = Excerpt::new(junk.encode_utf8(&mut [0; 4]));
            let at = Place { start, end: start + junk.len_utf8(), ..at };
            return Err(at.error(self.text, LayoutErrorKind::NotText { found }));
        }
        self.rest.start = at.end;
        Ok(Some(Word { text, at }))
    }

    /// The next word, which must be there.
    pub(super) fn expect(&mut self, expected: &'static str) -> Result<Word<'t>, LayoutError> {
        self.next()?.ok_or_else(|| self.here().error(self.text, LayoutErrorKind::MissingWord { expected }))
    }

    /// The end of the last word taken.
    fn here(&self) -> Place {
        Place { end: self.rest.start, ..self.rest }
    }
}

/// How many bytes the byte-order mark takes that some editors begin a text with.
fn mark_len(text: &str) -> usize {
    if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}
