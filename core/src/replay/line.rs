// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of a log that a model predicts, without the form in which a kernel of some time writes them.

use super::evidence::Evidence;
use crate::addr::{PhysAddr, PhysRange, VirtAddr};
use crate::bootlog::{BootLog, Fact};
use std::fmt;

/// What a line says. Ranges are half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// A range is mapped (`init_memory_mapping`).
    Call(PhysRange),
    /// A piece of it, and log2 of the size of its pages.
    Piece(PhysRange, u32),
    /// Table space (`kernel direct mapping tables`) for memory up to an end.
    Tables {
        /// The end.
        end: PhysAddr,
        /// The space.
        space: PhysRange,
    },
    /// A page of the pool became a table (`BRK [..] PGTABLE`).
    Pool(PhysRange),
    /// Tables that were reserved early (`PGTABLE`).
    Reserved(PhysRange),
    /// The spare part of table space became writable (`xen: setting RW the range`).
    SetRw(PhysRange),
    /// A node's data (`NODE_DATA`).
    NodeData(PhysRange),
    /// The kernel faulted at this address.
    Fault(VirtAddr),
}

/// The kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Line::Call`].
    Call,
    /// [`Line::Piece`].
    Piece,
    /// [`Line::Tables`].
    Tables,
    /// [`Line::Pool`].
    Pool,
    /// [`Line::Reserved`].
    Reserved,
    /// [`Line::SetRw`].
    SetRw,
    /// [`Line::NodeData`].
    NodeData,
    /// [`Line::Fault`].
    Fault,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Call, Self::Piece, Self::Tables, Self::Pool, Self::Reserved, Self::SetRw, Self::NodeData, Self::Fault];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "mapping call",
            Self::Piece => "piece",
            Self::Tables => "table space",
            Self::Pool => "BRK table",
            Self::Reserved => "PGTABLE",
            Self::SetRw => "set RW",
            Self::NodeData => "NODE_DATA",
            Self::Fault => "fault",
        }
    }
}

impl Line {
    /// What kind of line it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Call(_) => Kind::Call,
            Self::Piece(..) => Kind::Piece,
            Self::Tables { .. } => Kind::Tables,
            Self::Pool(_) => Kind::Pool,
            Self::Reserved(_) => Kind::Reserved,
            Self::SetRw(_) => Kind::SetRw,
            Self::NodeData(_) => Kind::NodeData,
            Self::Fault(_) => Kind::Fault,
        }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Tables { end, .. } => format!("tables up to {end:x}"),
            other => other.kind().name().to_owned(),
        }
    }

    /// The range it names.
    #[must_use]
    pub const fn range(&self) -> Option<PhysRange> {
        match self {
            Self::Call(range)
            | Self::Piece(range, _)
            | Self::Pool(range)
            | Self::Reserved(range)
            | Self::SetRw(range)
            | Self::NodeData(range)
            | Self::Tables { space: range, .. } => Some(*range),
            Self::Fault(_) => None,
        }
    }
}

/// What it says of its subject.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Piece(range, page_shift) => {
                let size = match page_shift {
                    12 => "4K",
                    21 => "2M",
                    22 => "4M",
                    30 => "1G",
                    _ => "?",
                };
                write!(f, "{:x}-{:x} {size}", range.start, range.end)
            }
            Self::Fault(address) => write!(f, "{address:x}"),
            Self::Call(range)
            | Self::Pool(range)
            | Self::Reserved(range)
            | Self::SetRw(range)
            | Self::NodeData(range)
            | Self::Tables { space: range, .. } => write!(f, "{:x}-{:x}", range.start, range.end),
        }
    }
}

/// Every such line of a log, and its number from 1, in order.
pub(super) fn of_log(log: &BootLog, evidence: &Evidence) -> Vec<(usize, Line)> {
    let of_fact = |fact: &Fact| match fact {
        Fact::MappingCall(range) => Some(Line::Call(*range)),
        Fact::Piece { range, page_shift } => Some(Line::Piece(*range, *page_shift)),
        Fact::TableSpace { end, space } => Some(Line::Tables { end: *end, space: *space }),
        Fact::BrkTable(range) => Some(Line::Pool(*range)),
        Fact::Reserved { range, name } if name == "PGTABLE" => Some(Line::Reserved(*range)),
        Fact::NodeData(range) => Some(Line::NodeData(*range)),
        _ => None,
    };
    let facts = log.facts().iter().filter_map(|taken| Some((taken.line, of_fact(&taken.fact)?)));
    let set_rw = evidence.set_rw.iter().map(|(line, range)| (*line, Line::SetRw(*range)));
    let reserved = evidence.reserved.iter().map(|(line, range)| (*line, Line::Reserved(*range)));
    let faults = evidence.faults.iter().map(|(line, address)| (*line, Line::Fault(*address)));
    let mut lines: Vec<(usize, Line)> = facts.chain(set_rw).chain(reserved).chain(faults).collect();
    lines.sort_by_key(|(line, _)| *line);
    lines
}
