// SPDX-License-Identifier: MIT OR Apache-2.0
//! What mail does to a log is undone here.
//!
//! Quoted-printable (RFC 2045, section 6.7) cuts lines over 76 characters with a `=` at the end, which is
//! just short enough to cut a time-stamped memory-map line in two, and writes bytes as `=3D`. Replies put
//! `> ` before each line.

use aho_corasick::AhoCorasick;
use memchr::memmem;
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// The text with quoted-printable undone, if it is that: lines that were cut are whole again, each followed
/// by as many empty lines as it had cuts, so that every other line keeps its number.
pub(super) fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if is_quoted_printable(text) { Cow::Owned(decode(text)) } else { Cow::Borrowed(text) }
}

/// Shows every line of a text and its number, from 1, without what mail does to it, until told to stop.
pub(crate) fn for_each_line(text: &[u8], mut see: impl FnMut(usize, &[u8]) -> ControlFlow<()>) {
    let text = decoded(text);
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        if see(number, split_quotes(line.strip_suffix(b"\r").unwrap_or(line)).1).is_break() {
            break;
        }
    }
}

/// Whether the text was never decoded from quoted-printable: it says so, or shows an encoded `=`, or cuts
/// a line where that encoding does.
fn is_quoted_printable(text: &[u8]) -> bool {
    static HEADER: LazyLock<AhoCorasick> = LazyLock::new(|| {
        let header = ["content-transfer-encoding: quoted-printable"];
        AhoCorasick::builder().ascii_case_insensitive(true).build(header).expect("a short word")
    });
    let begins_line = |at: usize| at == 0 || text[at - 1] == b'\n';
    memmem::find(text, b"=3D").is_some()
        || HEADER.find_iter(text).any(|found| begins_line(found.start()))
        || memchr::memchr_iter(b'=', text).any(|at| is_cut_where_encoders_cut(text, at))
}

/// Whether the `=` ends a line of 70 to 80 bytes.
fn is_cut_where_encoders_cut(text: &[u8], at: usize) -> bool {
    let Some(newline) = soft_break(text, at, at.checked_sub(1).map(|before| text[before])) else { return false };
    // The line itself, and the line feed before it.
    let reach = &text[newline.saturating_sub(82)..newline];
    let line = match memchr::memrchr(b'\n', reach) {
        Some(before) => &reach[before + 1..],
        None if reach.len() == newline => reach,
        None => return false,
    };
    (70..=80).contains(&line.strip_suffix(b"\r").unwrap_or(line).len())
}

/// Where the line feed is that the `=` there takes away: it goes on in the next line. Two of them are a ruler
/// someone drew: the encoding writes a `=` of the text as `=3D`.
fn soft_break(text: &[u8], at: usize, before: Option<u8>) -> Option<usize> {
    if before == Some(b'=') {
        return None;
    }
    let n_blanks = text[at + 1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    let newline = at + 1 + n_blanks;
    // At the end of the text there is nothing to go on with.
    (newline + 1 < text.len() && text[newline] == b'\n').then_some(newline)
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    // Of the line as it was before it was cut: the marks of quotes, the cuts, the byte before.
    let mut quotes = split_quotes(text).0;
    let mut n_cuts = 0;
    let mut before = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\n' => {
                out.extend(std::iter::repeat_n(b'\n', n_cuts + 1));
                at += 1;
                (quotes, n_cuts, before) = (split_quotes(&text[at..]).0, 0, None);
            }
            b'=' => {
                if let Some(newline) = soft_break(text, at, before) {
                    n_cuts += 1;
                    at = newline + 1;
                    // A quoted line was cut after it was quoted or before, so the rest may carry the marks too.
                    if !quotes.is_empty() && text[at..].starts_with(quotes) {
                        at += quotes.len();
                    }
                } else if let Some(decoded) = encoded_byte(&text[at..]) {
                    // No line feed that was encoded ends a line of this text.
                    out.push(if decoded == b'\n' { b' ' } else { decoded });
                    before = Some(text[at + 2]);
                    at += 3;
                } else {
                    out.push(byte);
                    before = Some(byte);
                    at += 1;
                }
            }
            _ => {
                out.push(byte);
                before = Some(byte);
                at += 1;
            }
        }
    }
    out.extend(std::iter::repeat_n(b'\n', n_cuts));
    out
}

/// Encoders write upper-case digits; `=c0` in a log is more likely a value.
fn encoded_byte(text: &[u8]) -> Option<u8> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    };
    let &[b'=', high, low, ..] = text else { return None };
    Some(digit(high)? << 4 | digit(low)?)
}

/// The marks of a quoted reply and what follows them, at the beginning of a text.
pub(super) fn split_quotes(line: &[u8]) -> (&[u8], &[u8]) {
    let n_marks = line.iter().take_while(|byte| matches!(byte, b'>' | b' ' | b'\t')).count();
    let end = match line[..n_marks].iter().rposition(|byte| *byte == b'>') {
        Some(last) if line.get(last + 1) == Some(&b' ') => last + 2,
        Some(last) => last + 1,
        None => 0,
    };
    line.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines with something in them, by their numbers.
    #[track_caller]
    fn check(text: &str, expected: &[(usize, &str)]) {
        let decoded = decoded(text.as_bytes());
        let lines = decoded.split(|byte| *byte == b'\n').zip(1..);
        let found: Vec<(usize, String)> = lines
            .map(|(line, number)| (number, String::from_utf8_lossy(split_quotes(line).1).trim_end().to_owned()))
            .filter(|(_, line)| !line.is_empty())
            .collect();
        let found: Vec<_> = found.iter().map(|(number, text)| (*number, text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        check("a=1F\r\n== x ==\nb=\nc", &[(1, "a=1F"), (2, "== x =="), (3, "b="), (4, "c")]);
    }

    #[test]
    fn quoted_printable_is_joined_and_decoded() {
        check("max=3Dus=\nable =C2=A0x\nnext", &[(1, "max=usable \u{a0}x"), (3, "next")]);
        check(
            "Content-Transfer-Encoding: QUOTED-PRINTABLE\na=\nb=",
            &[(1, "Content-Transfer-Encoding: QUOTED-PRINTABLE"), (2, "ab=")],
        );
        check("=3D\n=====\nb", &[(1, "="), (2, "====="), (3, "b")]);
        check("=3D=\r\n=\n \t=  \nx=0Ay\nz", &[(1, "= \tx y"), (5, "z")]);
    }

    #[test]
    fn a_line_cut_where_encoders_cut_shows_the_encoding() {
        let cut = format!("{}=\nb", "a".repeat(74));
        check(&cut, &[(1, &format!("{}b", "a".repeat(74)))]);
        let (short, long) = (format!("{}=\nb", "a".repeat(68)), format!("{}=\nb", "a".repeat(81)));
        check(&short, &[(1, &short[..69]), (2, "b")]);
        check(&long, &[(1, &long[..82]), (2, "b")]);
    }

    #[test]
    fn reply_marks_are_taken_off() {
        check("> > [mem]\n>plain\n >x", &[(1, "[mem]"), (2, "plain"), (3, "x")]);
        check("> a=3D=\n> b\n> c=\nd", &[(1, "a=b"), (3, "cd")]);
    }
}
