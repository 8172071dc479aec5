// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person should know about how a log was read. None of it stops the reading.

use super::scan::{MAX_LINE_BYTES, MAX_LINES};
use super::{LogKind, MAX_ENTRIES, MAX_FACTS};
use crate::layout::Excerpt;
use std::fmt;

/// A remark about a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line it is about, from 1; `None` if it is about the log as a whole.
    pub line: Option<usize>,
    /// The remark.
    pub kind: NoteKind,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// The line looks like one of a memory map, in a form that is not known; it was not used.
    NotUnderstood(Excerpt),
    /// The line looks like one about memory besides the map; it was not used.
    FactNotUnderstood(Excerpt),
    /// The entry's type is not known; it counts as reserved.
    UnknownType(Excerpt),
    /// The entry has no type; it counts as reserved.
    NoType,
    /// The entry repeats the one above it and was not used.
    Repeated {
        /// The line of the one above.
        line: usize,
    },
    /// The entry starts below the one above it, so it begins another map.
    MapEndsHere,
    /// From here on, maps were not kept.
    TooManyMaps,
    /// From here on, ranges of this map were not kept.
    TooManyRanges,
    /// From here on, what the log says besides the map was not kept.
    TooManyFacts,
    /// From here on, lines were not read.
    TooManyLines,
    /// The line is longer than any that a kernel prints: so many bytes. Only its end was read.
    LongLine(usize),
    /// The line shows a 32-bit kernel.
    ThirtyTwoBit,
    /// The log does not state its kind.
    KindDeduced(LogKind),
    /// So many further notes were not kept.
    More(usize),
}

impl NoteKind {
    /// Whether part of the log's memory map was not understood, or only guessed.
    #[must_use]
    pub const fn is_doubt(&self) -> bool {
        match self {
            Self::NotUnderstood(_)
            | Self::FactNotUnderstood(_)
            | Self::UnknownType(_)
            | Self::NoType
            | Self::MapEndsHere
            | Self::TooManyMaps
            | Self::TooManyRanges
            | Self::TooManyFacts
            | Self::TooManyLines
            | Self::LongLine(_)
            | Self::More(_) => true,
            Self::Repeated { .. } | Self::ThirtyTwoBit | Self::KindDeduced(_) => false,
        }
    }
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnderstood(text) => write!(f, "looks like a memory map but is not understood: {text}"),
            Self::FactNotUnderstood(text) => write!(f, "looks like a line about memory but is not understood: {text}"),
            Self::UnknownType(text) => write!(f, "{text} is no known type of memory; taken as reserved"),
            Self::NoType => f.write_str("the range has no type; taken as reserved"),
            Self::Repeated { line } => write!(f, "repeats line {line}"),
            Self::MapEndsHere => {
                f.write_str("the range starts below the one above it; taken as the start of another map")
            }
            Self::TooManyMaps => f.write_str("the log holds too many maps; from here on they are not kept"),
            Self::TooManyRanges => {
                write!(f, "the memory map has more than {MAX_ENTRIES} ranges; from here on they are not kept")
            }
            Self::TooManyFacts => {
                write!(f, "more than {MAX_FACTS} lines say something about memory; from here on they are not kept")
            }
            Self::TooManyLines => {
                write!(f, "more than {MAX_LINES} lines could be about memory; from here on no line is read")
            }
            Self::LongLine(len) => {
                write!(f, "the line has {len} bytes; only its last {MAX_LINE_BYTES} were looked at")
            }
            Self::ThirtyTwoBit => f.write_str("the kernel is a 32-bit one; its machine is run as 64-bit"),
            Self::KindDeduced(kind) => {
                write!(f, "the log has no `# kind:` comment; its lines are those of a {kind} log")
            }
            Self::More(n) => write!(f, "{n} further notes are not listed"),
        }
    }
}
