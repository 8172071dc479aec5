// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two direct maps against each other: which ranges changed, from what to what, and the totals.
//!
//! A [`Side`] is made of a dump: this program's or a kernel's. [`compare`] finds the [`Change`]s, area by
//! area; `report` prints them.

mod report;

pub use report::render;

use crate::owner::Owned;
use pgtlab_core::ptdump::{Columns, Dump, DumpLevel, DumpLine, DumpRange, MARKER};

/// One of the two.
#[derive(Clone, Debug)]
pub struct Side {
    /// What it is called.
    pub name: String,
    areas: Vec<Area>,
    /// Whose memory it is; nobody's where only a dump is there.
    owners: Vec<Owned>,
}

/// An area of the address space.
#[derive(Clone, Debug)]
struct Area {
    name: String,
    /// Where it starts.
    base: u64,
    ranges: Vec<DumpRange>,
}

impl Side {
    /// A dump, and whose memory it shows.
    #[must_use]
    pub fn new(name: String, dump: &Dump, owners: Vec<Owned>) -> Self {
        let mut areas: Vec<Area> = Vec::new();
        let mut open = String::new();
        for line in &dump.lines {
            match line {
                DumpLine::Marker(name) => open.clone_from(name),
                DumpLine::Skipped(_) => {}
                DumpLine::Range(range) => match areas.last_mut() {
                    Some(area) if area.name == open => area.ranges.push(*range),
                    _ => areas.push(Area { name: open.clone(), base: range.start.get(), ranges: vec![*range] }),
                },
            }
        }
        Self { name, areas, owners }
    }

    /// Whether it knows whose memory it is.
    #[must_use]
    pub fn has_owners(&self) -> bool {
        !self.owners.is_empty()
    }
}

/// What is mapped somewhere, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Permission and page size; `None` if nothing is mapped.
    pub leaf: Option<(Columns, DumpLevel)>,
    /// Whose it is, if known.
    pub owner: Option<String>,
}

/// A range that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The area.
    pub area: String,
    /// The first byte, from the area's start.
    pub start: u64,
    /// The byte behind the last, from the area's start; wraps to 0 where that is 2^64.
    pub end: u64,
    /// Where the area starts on either side.
    pub bases: [Option<u64>; 2],
    /// On the one side.
    pub before: Seen,
    /// On the other.
    pub after: Seen,
}

/// What changed, in the order of the areas and addresses. Owners are compared where both sides know them.
#[must_use]
pub fn compare(before: &Side, after: &Side) -> Vec<Change> {
    let compares_owners = before.has_owners() && after.has_owners();
    let mut changes = Vec::new();
    for area in &before.areas {
        let other = after.areas.iter().find(|other| other.name == area.name);
        compare_area([Some(area), other], [before, after], compares_owners, &mut changes);
    }
    for area in after.areas.iter().filter(|area| before.areas.iter().all(|other| other.name != area.name)) {
        compare_area([None, Some(area)], [before, after], compares_owners, &mut changes);
    }
    changes
}

fn compare_area(areas: [Option<&Area>; 2], sides: [&Side; 2], compares_owners: bool, changes: &mut Vec<Change>) {
    let Some(any) = areas[0].or(areas[1]) else { return };
    let is_direct_map = any.name == MARKER;
    let owners = |side: usize| if is_direct_map { sides[side].owners.as_slice() } else { &[] };
    let mut edges: Vec<u64> = Vec::new();
    for (side, area) in areas.iter().enumerate() {
        let Some(area) = area else { continue };
        for range in &area.ranges {
            let start = range.start.get() - area.base;
            edges.extend([start, start + range.len_bytes()]);
        }
        edges.extend(owners(side).iter().flat_map(|owned| [owned.start, owned.end]));
    }
    edges.sort_unstable();
    edges.dedup();
    let mut cursors = [0usize; 2].map(|start| Cursor { range: start, owned: start });
    let first = changes.len();
    for edge in edges.windows(2) {
        let (start, end) = (edge[0], edge[1]);
        let mut seen = [0, 1].map(|side| cursors[side].seen(areas[side], owners(side), start));
        if !compares_owners && seen[0].leaf == seen[1].leaf || seen[0] == seen[1] {
            continue;
        }
        // What neither side maps is a change only of who would own it.
        if seen.iter().all(|seen| seen.leaf.is_none()) && !compares_owners {
            continue;
        }
        let [before, after] = [std::mem::replace(&mut seen[0], NOTHING), std::mem::replace(&mut seen[1], NOTHING)];
        match changes[first..].last_mut() {
            Some(last) if last.end == start && last.before == before && last.after == after => last.end = end,
            _ => changes.push(Change {
                area: any.name.clone(),
                start,
                end,
                bases: areas.map(|area| area.map(|area| area.base)),
                before,
                after,
            }),
        }
    }
}

const NOTHING: Seen = Seen { leaf: None, owner: None };

/// How far a side has been read: both lists ascend, and so do the questions.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    range: usize,
    owned: usize,
}

impl Cursor {
    fn seen(&mut self, area: Option<&Area>, owners: &[Owned], at: u64) -> Seen {
        let mut leaf = None;
        if let Some(area) = area {
            let end = |range: &DumpRange| range.start.get() - area.base + range.len_bytes();
            while area.ranges.get(self.range).is_some_and(|range| end(range) <= at) {
                self.range += 1;
            }
            let range = area.ranges.get(self.range).filter(|range| range.start.get() - area.base <= at);
            leaf = range.and_then(|range| range.columns.map(|columns| (columns, range.level)));
        }
        while owners.get(self.owned).is_some_and(|owned| owned.end <= at) {
            self.owned += 1;
        }
        let owned = owners.get(self.owned).filter(|owned| owned.start <= at);
        Seen { leaf, owner: owned.map(|owned| owned.owner.to_string()) }
    }
}

/// What a side adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Leaves of 4K, 2M and 1G.
    pub leaves: [u64; 3],
    /// Bytes mapped.
    pub mapped: u64,
    /// Bytes mapped read-only.
    pub read_only: u64,
    /// Bytes mapped writable and executable.
    pub writable_and_executable: u64,
    /// Bytes mapped global.
    pub global: u64,
    /// Ranges between two mapped ones of an area where nothing is mapped.
    pub gaps: u64,
    /// Their bytes.
    pub gap_bytes: u64,
}

/// Adds a side up.
#[must_use]
pub fn totals(side: &Side) -> Totals {
    let mut totals = Totals::default();
    for area in &side.areas {
        // Where nothing is mapped at the end of an area is no gap.
        let mut mapped_to: Option<u64> = None;
        for range in &area.ranges {
            let Some(columns) = range.columns else { continue };
            let len = range.len_bytes();
            let (at, page_shift) = match range.level {
                DumpLevel::Pte => (0, 12),
                DumpLevel::Pmd => (1, 21),
                DumpLevel::Pud | DumpLevel::P4d | DumpLevel::Pgd | DumpLevel::Cr3 => (2, 30),
            };
            totals.leaves[at] += len >> page_shift;
            totals.mapped += len;
            totals.read_only += if columns.contains(Columns::RW) { 0 } else { len };
            let is_both = columns.contains(Columns::RW) && !columns.contains(Columns::NX);
            totals.writable_and_executable += if is_both { len } else { 0 };
            totals.global += if columns.contains(Columns::GLB) { len } else { 0 };
            if let Some(end) = mapped_to.filter(|end| *end < range.start.get()) {
                totals.gaps += 1;
                totals.gap_bytes += range.start.get() - end;
            }
            mapped_to = Some(range.start.get().wrapping_add(len));
        }
    }
    totals
}

#[cfg(test)]
mod tests;
