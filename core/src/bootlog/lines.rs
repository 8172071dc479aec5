// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of a log as they were printed: what mail does to them on the way is undone here.
//!
//! Quoted-printable (RFC 2045, section 6.7) cuts lines over 76 characters with a `=` at the end, which is
//! just short enough to cut a time-stamped memory-map line in two, and writes bytes as `=3D`. Replies put
//! `> ` before each line.

use std::borrow::Cow;

/// A line of the log.
#[derive(Debug)]
pub(super) struct Line<'t> {
    /// The number of the (first) line of the text it comes from, from 1.
    pub(super) number: usize,
    pub(super) text: Cow<'t, str>,
}

/// The lines of a log.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let is_encoded = is_quoted_printable(text);
    let mut numbered = text.lines().zip(1..);
    std::iter::from_fn(move || {
        let (first, number) = numbered.next()?;
        let (quotes, first) = split_quotes(first);
        if !is_encoded {
            return Some(Line { number, text: Cow::Borrowed(first) });
        }
        let mut whole = Cow::Borrowed(first);
        while let Some(begun) = before_soft_break(&whole) {
            let Some((next, _)) = numbered.next() else { break };
            // A quoted line was cut after it was quoted or before, so the rest may carry the marks too.
            let next = if quotes.is_empty() { next } else { next.strip_prefix(quotes).unwrap_or(next) };
            let kept_len = begun.len();
            let mut joined = whole.into_owned();
            joined.truncate(kept_len);
            joined.push_str(next);
            whole = Cow::Owned(joined);
        }
        Some(Line { number, text: decode(whole) })
    })
}

/// Whether the text was never decoded from quoted-printable: it says so, or shows an encoded `=`, or cuts
/// a line where that encoding does.
fn is_quoted_printable(text: &str) -> bool {
    const HEADER: &[u8] = b"content-transfer-encoding: quoted-printable";
    let is_header = |line: &str| line.as_bytes().get(..HEADER.len()).is_some_and(|h| h.eq_ignore_ascii_case(HEADER));
    let is_cut = |line: &str| (70..=80).contains(&line.len()) && before_soft_break(line).is_some();
    text.contains("=3D") || text.lines().any(|line| is_header(line) || is_cut(line))
}

/// The line without the `=` that says it goes on. Two of them are a ruler someone drew: the encoding
/// writes a `=` of the text as `=3D`.
fn before_soft_break(line: &str) -> Option<&str> {
    line.trim_end().strip_suffix('=').filter(|begun| !begun.ends_with('='))
}

/// Replaces `=XX` by the byte.
fn decode(line: Cow<'_, str>) -> Cow<'_, str> {
    if !line.contains('=') {
        return line;
    }
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        match (byte, behind) {
            (b'=', [high, low, ..]) if let Some(decoded) = hex_byte(*high, *low) => {
                bytes.push(decoded);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Encoders write upper-case digits; `=c0` in a log is more likely a value.
fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

/// The marks of a quoted reply and what follows them.
fn split_quotes(line: &str) -> (&str, &str) {
    let content = line.trim_start_matches(['>', ' ', '\t']);
    let marks = &line[..line.len() - content.len()];
    match marks.rfind('>') {
        Some(last) if line[last..].starts_with("> ") => line.split_at(last + 2),
        Some(last) => line.split_at(last + 1),
        None => ("", line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(usize, &str)]) {
        let found: Vec<_> = lines(text).map(|line| (line.number, line.text.into_owned())).collect();
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
    }

    #[test]
    fn reply_marks_are_taken_off() {
        check("> > [mem]\n>plain\n >x", &[(1, "[mem]"), (2, "plain"), (3, "x")]);
        check("> a=3D=\n> b\n> c=\nd", &[(1, "a=b"), (3, "cd")]);
    }
}
