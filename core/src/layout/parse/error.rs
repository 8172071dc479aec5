// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with a layout file, and where. The host adds the file's name and shows the line.

use std::fmt;
use std::ops::Range;

use crate::addr::{PhysAddr, PhysRange};

/// One fault of a layout file and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct LayoutError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The same place in bytes of the text; empty where something is missing.
    pub span: Range<usize>,
    /// What is wrong.
    pub kind: LayoutErrorKind,
}

/// What is wrong with a line of a layout file, or with the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutErrorKind {
    /// The line does not begin with a word of the format.
    #[error("found {found}; expected one of {}", super::key::KeyNames)]
    UnknownKey {
        /// The word.
        found: Excerpt,
    },
    /// A control character, or one that stands for bytes that are no text.
    #[error("found the character {found}; expected a text file")]
    NotText {
        /// The character.
        found: Excerpt,
    },
    /// The line ends too early.
    #[error("found the end of the line; expected {expected}")]
    MissingWord {
        /// The word that should follow.
        expected: &'static str,
    },
    /// The line goes on too long.
    #[error("found {found} behind the last word of `{key}`; expected the end of the line")]
    ExtraWord {
        /// The word.
        found: Excerpt,
        /// The line's key.
        key: &'static str,
    },
    /// A word that is not what stands in this place.
    #[error("found {found}; expected {expected}")]
    WrongWord {
        /// The word.
        found: Excerpt,
        /// What should stand there.
        expected: &'static str,
    },
    /// A number above the largest one allowed.
    #[error("found {found}; expected {expected} of at most {largest:#x}")]
    TooLarge {
        /// The word.
        found: Excerpt,
        /// What should stand there.
        expected: &'static str,
        /// The largest allowed number.
        largest: u64,
    },
    /// A range that has no bytes.
    #[error("range ends at {:#x}, {} {:#x}", .range.end, before_or_at_start(*.range), .range.start)]
    EmptyRange {
        /// The range.
        range: PhysRange,
    },
    /// A range that starts before the end of the one above it.
    #[error("range starts at {start:#x}, before the end {last_end:#x} of the one in line {last_line}")]
    NotAscending {
        /// Where it starts.
        start: PhysAddr,
        /// Where the one above ends.
        last_end: PhysAddr,
        /// The line of the one above.
        last_line: usize,
    },
    /// A second line of a key that stands once.
    #[error("`{key}` stands a second time; the first is line {first_line}")]
    Repeated {
        /// The key.
        key: &'static str,
        /// The line of the first.
        first_line: usize,
    },
    /// No `kernel` line.
    #[error("found the end of the file; expected a line `kernel START END`")]
    NoKernel,
    /// No RAM.
    #[error("found the end of the file; expected a line `e820 START END 1`: there is no RAM")]
    NoRam,
    /// Part of the kernel image is not in RAM.
    #[error("the kernel image [{:#x}, {:#x}) lies outside RAM", .kernel.start, .kernel.end)]
    KernelOutsideRam {
        /// The image.
        kernel: PhysRange,
    },
    /// The kernel image ends too low to hold its static page tables, which are its last pages.
    #[error("the kernel image ends at {end:#x}; expected at least {least:#x}, its static page tables")]
    KernelTooLow {
        /// Where it ends.
        end: PhysAddr,
        /// Where it may end at the lowest.
        least: PhysAddr,
    },
    /// `xen 1` without one of the lines that say what the domain builder left.
    #[error("`xen 1` needs a line `{missing}`")]
    XenIncomplete {
        /// The line.
        missing: &'static str,
    },
}

/// Where an empty range ends, in words.
pub(crate) fn before_or_at_start(range: PhysRange) -> &'static str {
    if range.end < range.start { "before its start" } else { "at its start" }
}

/// A piece of the input that is fit to be printed: escaped, and cut where it is long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// More of a word than this is not shown: it is enough to find it, and junk has no end.
    const MAX_CHARS: usize = 40;

    /// The beginning of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut shown = String::new();
        for c in text.chars().take(Self::MAX_CHARS) {
            match c {
                '\'' | '"' => shown.push(c),
                _ => shown.extend(c.escape_debug()),
            }
        }
        if text.chars().nth(Self::MAX_CHARS).is_some() {
            shown.push_str("..");
        }
        Self(shown)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}
