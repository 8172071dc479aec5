// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reports of a comparison, one file per format.

pub mod conclusion;
pub mod json;
pub mod markdown;
pub mod text;

use crate::baseline::Comparison;
use crate::judged::{Judged, Mark};
use crate::matrix::{Contestant, Place};
use crate::options::shown;
use crate::record::CellRecord;
use crate::summary::{Row, Summary};
use std::fmt;
use std::time::Duration;

/// All that a report is made from.
#[derive(Debug)]
pub struct Report<'r> {
    /// The records, sorted.
    pub records: &'r [CellRecord],
    /// What they add up to.
    pub summary: &'r Summary,
    /// The strategies, for their short names.
    pub contestants: &'r [Contestant],
    /// The places they were run at.
    pub places: &'r [Place],
    /// How many of the machines had a 32-bit kernel.
    pub n_32_bit: usize,
    /// The difference from a baseline, if one was given.
    pub comparison: Option<&'r Comparison>,
    /// What judges say of the cells, if they were asked.
    pub judged: Option<&'r Judged>,
    /// Whether rows are listed however many there are.
    pub shows_all: bool,
    /// How long it took, if that is to be shown: never where the output is kept.
    pub elapsed: Option<Duration>,
}

impl Report<'_> {
    /// What a strategy is called where there is little room.
    #[must_use]
    pub fn short<'s>(&'s self, strategy: &'s str) -> &'s str {
        let found = self.contestants.iter().find(|contestant| contestant.name == strategy);
        found.map_or(strategy, |contestant| &contestant.short)
    }

    /// What judges say of a strategy on machines that are shown as one.
    #[must_use]
    pub fn mark<'s>(&self, strategy: &str, rows: impl Iterator<Item = &'s Row>) -> Mark {
        let places = rows.map(|row| (&*row.layout, &*row.backend));
        self.judged.map_or(Mark::None, |judged| judged.mark(strategy, places))
    }

    /// Strategies with options that are not the defaults: a line for each.
    pub fn chosen(&self) -> impl Iterator<Item = String> {
        let chosen = self.contestants.iter().filter(|contestant| !contestant.options.is_empty());
        chosen.map(|contestant| format!("{} with {}", contestant.name, shown(&contestant.options)))
    }
}

/// A number with commas between its thousands.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a writer writes.
#[must_use]
pub fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut out = String::new();
    let written = write(&mut out);
    debug_assert!(written.is_ok(), "writing to a string never fails");
    out
}

/// `1 cell`, `2 cells`: a number with the word for what it counts.
#[must_use]
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n as u64), if n == 1 { one } else { many })
}

/// A word as a shell takes it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./+:,@%=".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Bytes in MiB, rounded down.
#[must_use]
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", thousands(bytes >> 20))
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// The widest line of a report, in characters.
pub const WIDTH: usize = 80;

/// Breaks a text at blanks into lines that end by [`WIDTH`]. The first one starts at column `first`, the
/// others are indented by as much as `indent` says.
#[must_use]
pub fn wrapped(text: &str, first: usize, indent: usize) -> String {
    wrapped_to(text, WIDTH, first, indent)
}

/// [`wrapped`] with lines of another width.
#[must_use]
pub fn wrapped_to(text: &str, width: usize, first: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut column = first;
    let mut is_start = true;
    for word in text.split(' ') {
        let len = word.chars().count();
        if !is_start && width < column + 1 + len {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !is_start {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += len;
        is_start = false;
    }
    out
}

#[cfg(test)]
mod tests;
