// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine's physical memory as a picture: [`Picture`] is what is drawn, `bar` draws it in a terminal,
//! `svg` as a vector image.
//!
//! Ranges reach from one page to terabytes, so no picture is to scale: a range's length grows with the
//! logarithm of its size, one step for each doubling, and every picture says so.

mod bar;
mod svg;

use crate::owner::{Owned, Owner};
use pgtlab_core::layout::{Layout, Node};
use pgtlab_core::ptdump::{self, Columns, Dump, DumpLine, size_text};

/// What is said of the scale under every picture.
pub const SCALE: &str = "not to scale: a range's length grows with the logarithm of its size";

/// What a range is, as far as its colour goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing is there.
    Hole,
    /// RAM that nobody has.
    Free,
    /// The firmware's.
    Firmware,
    /// The kernel's image.
    Kernel,
    /// The initial ramdisk.
    Ramdisk,
    /// Reserved by somebody else.
    Reserved,
    /// Of Xen's domain builder.
    DomainBuilder,
    /// Early page tables.
    Tables,
    /// Table space that was not used.
    Spare,
    /// Taken by later boot code.
    Consumer,
    /// Mapped read-only, and no table.
    LeftReadOnly,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Free,
        Self::Hole,
        Self::Firmware,
        Self::Kernel,
        Self::Ramdisk,
        Self::Reserved,
        Self::DomainBuilder,
        Self::Tables,
        Self::Spare,
        Self::Consumer,
        Self::LeftReadOnly,
    ];

    /// What a legend calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::Free => "free RAM",
            Self::Firmware => "firmware",
            Self::Kernel => "kernel",
            Self::Ramdisk => "initrd",
            Self::Reserved => "reserved",
            Self::DomainBuilder => "Xen's builder",
            Self::Tables => "page tables",
            Self::Spare => "table space not used",
            Self::Consumer => "boot data",
            Self::LeftReadOnly => "left read-only",
        }
    }

    fn of(owner: &Owner) -> Self {
        match owner {
            Owner::Hole => Self::Hole,
            Owner::Free => Self::Free,
            Owner::Firmware(_) => Self::Firmware,
            Owner::Kernel => Self::Kernel,
            Owner::Reserved(name) if name == "RAMDISK" => Self::Ramdisk,
            Owner::Reserved(_) => Self::Reserved,
            Owner::DomainBuilder(_) => Self::DomainBuilder,
            Owner::Table(_) => Self::Tables,
            Owner::Spare(_) => Self::Spare,
            Owner::Consumer(_) => Self::Consumer,
        }
    }

    /// Whether read-only pages of this kind are nobody's intention. Of memory that is reserved without a
    /// name some is BRK tables.
    const fn can_be_left(self) -> bool {
        match self {
            Self::Free | Self::Ramdisk | Self::Spare | Self::Consumer => true,
            Self::Hole
            | Self::Firmware
            | Self::Kernel
            | Self::Reserved
            | Self::DomainBuilder
            | Self::Tables
            | Self::LeftReadOnly => false,
        }
    }
}

/// One range of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
    /// What it is.
    pub kind: Kind,
    /// Whose it is, in words.
    pub text: String,
}

impl Segment {
    /// Its size with at most one decimal, in six characters.
    fn size(&self) -> String {
        let bytes = self.end - self.start;
        let exact = size_text(bytes);
        if exact.len() <= 5 {
            return exact;
        }
        let unit = (bytes.ilog2() / 10).min(6);
        let tenths = (u128::from(bytes) * 10) >> (10 * unit);
        let name = ["B", "K", "M", "G", "T", "P", "E"][unit as usize];
        if tenths < 10_000 {
            format!("{}.{}{name}", tenths / 10, tenths % 10)
        } else {
            format!("{}{name}", tenths / 10)
        }
    }

    /// Its length in a picture, from 1: one more for each doubling of a page.
    fn weight(&self) -> u32 {
        let pages = (self.end - self.start).div_ceil(4096).max(1);
        1 + u64::BITS - 1 - pages.leading_zeros()
    }
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What it shows.
    pub title: String,
    /// All memory up to the end of the machine's map, ascending.
    pub segments: Vec<Segment>,
    /// The machine's nodes, ascending; empty for one node.
    pub nodes: Vec<Node>,
}

impl Picture {
    /// Of a machine, and of what a boot left in it if there was one: who has which memory, and the direct
    /// map.
    #[must_use]
    pub fn new(title: String, layout: &Layout, owners: &[Owned], dump: Option<&Dump>) -> Self {
        let read_only = dump.map(read_only).unwrap_or_default();
        let mut segments: Vec<Segment> = Vec::new();
        for owned in owners {
            push_segments(&mut segments, owned, &read_only);
        }
        let mut picture = Self { title, segments, nodes: layout.nodes.clone() };
        picture.split_at_nodes();
        picture
    }

    /// A node that begins or ends inside a range divides it, so that the picture can show where.
    fn split_at_nodes(&mut self) {
        let edges = self.nodes.iter().flat_map(|node| [node.range.start.get(), node.range.end.get()]);
        let edges: std::collections::BTreeSet<u64> = edges.collect();
        let mut split = Vec::new();
        for mut segment in std::mem::take(&mut self.segments) {
            if !matches!(segment.kind, Kind::Hole | Kind::Firmware) {
                for edge in edges.range(segment.start + 1..segment.end) {
                    split.push(Segment { end: *edge, ..segment.clone() });
                    segment.start = *edge;
                }
            }
            split.push(segment);
        }
        self.segments = split;
    }

    /// The node that a range lies in.
    fn node_of(&self, segment: &Segment) -> Option<u32> {
        let is_in = |node: &&Node| node.range.start.get() <= segment.start && segment.end <= node.range.end.get();
        self.nodes.iter().find(is_in).map(|node| node.id)
    }

    /// The kinds that occur, in the order of a legend.
    fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.segments.iter().any(|segment| segment.kind == *kind)).collect()
    }
}

/// Read-only ranges of the direct map, ascending, by physical address.
fn read_only(dump: &Dump) -> Vec<(u64, u64)> {
    let ranges = dump.lines.iter().filter_map(|line| match line {
        DumpLine::Range(range) => Some(range),
        DumpLine::Marker(_) | DumpLine::Skipped(_) => None,
    });
    let read_only = ranges.filter(|range| range.columns.is_some_and(|columns| !columns.contains(Columns::RW)));
    let base = ptdump::BASE.get();
    read_only.map(|range| (range.start.get() - base, range.end.get() - base)).collect()
}

fn push_segments(segments: &mut Vec<Segment>, owned: &Owned, read_only: &[(u64, u64)]) {
    let kind = Kind::of(&owned.owner);
    let text = owned.owner.to_string();
    let mut at = owned.start;
    let mut push = |start: u64, end: u64, kind: Kind, text: String| {
        if start < end {
            segments.push(Segment { start, end, kind, text });
        }
    };
    if kind.can_be_left() {
        let first = read_only.partition_point(|(_, end)| *end <= owned.start);
        for (start, end) in read_only[first..].iter().take_while(|(start, _)| *start < owned.end) {
            let (start, end) = ((*start).max(owned.start), (*end).min(owned.end));
            push(at, start, kind, text.clone());
            push(start, end, Kind::LeftReadOnly, text.clone());
            at = end;
        }
    }
    push(at, owned.end, kind, text);
}

#[cfg(test)]
mod tests;
