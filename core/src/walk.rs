// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walking finished or half-finished tables, the way the processor does: from a table down to a leaf.

use crate::addr::{Pfn, PfnRange};
use crate::entry::{Entry, EntryFlags, Grants};
use crate::follow::Step;
use crate::geometry::Level;
use crate::table::{EntryRun, TableId, TableStore};

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The table that holds the last entry read.
    pub table: TableId,
    /// That table's level.
    pub level: Level,
    /// The entry's slot.
    pub slot: u64,
    /// The entry: a present leaf, or absent.
    pub entry: Entry,
    /// What the whole walk grants.
    pub grants: Grants,
}

/// Walks from `top` to the leaf, or to the absent entry, for the direct-map address of `pfn`.
#[must_use]
pub fn walk(tables: &TableStore, top: TableId, pfn: Pfn) -> Walk {
    let geometry = tables.geometry();
    let mut table = top;
    let mut grants = Grants::all();
    loop {
        let level = tables.get(table).level();
        let slot = geometry.slot(level, pfn);
        let entry = tables.get(table).entry(slot);
        grants &= entry.grants();
        match level.below().and_then(|_| tables.linked(entry)) {
            Some(next) => table = next,
            None => return Walk { table, level, slot, entry, grants },
        }
    }
}

/// Every entry that a walk from `top` reads for the direct-map address of `pfn`, the first one first.
#[must_use]
pub fn steps(tables: &TableStore, top: TableId, pfn: Pfn) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut next = Some(top);
    while let Some(id) = next {
        let table = tables.get(id);
        let (level, slot) = (table.level(), tables.geometry().slot(table.level(), pfn));
        let entry = table.entry(slot);
        steps.push(Step { level, table: table.pfn(), slot, entry });
        next = level.below().and_then(|_| tables.linked(entry));
    }
    steps
}

/// Leaves that follow one another, alike in size and bits, their frames consecutive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafRun {
    /// The pages of the direct map they cover.
    pub pages: PfnRange,
    /// The frame of the first page.
    pub frame: u64,
    /// The level of the tables the leaves stand in: 1 for 4K, 2 for 2M, 3 for 1G.
    pub level: Level,
    /// The leaves' own bits, without the frame.
    pub flags: EntryFlags,
    /// What the walk to them grants.
    pub grants: Grants,
}

/// Absent entries that follow one another in tables of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsentRun {
    /// The pages of the direct map they would cover.
    pub pages: PfnRange,
    /// The level of the tables the entries stand in.
    pub level: Level,
}

/// What a walk over a range meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visited {
    /// Leaves.
    Leaves(LeafRun),
    /// Entries that map nothing.
    Absent(AbsentRun),
}

/// Visits every present leaf below `top` for the pages of `range`, ascending, as runs of whole leaves;
/// the first and last run may reach past `range`. Stops early when the visitor answers false.
pub fn visit_leaves(tables: &TableStore, top: TableId, range: PfnRange, visitor: &mut dyn FnMut(LeafRun) -> bool) {
    visit_entries(tables, top, range, &mut |visited| match visited {
        Visited::Leaves(leaves) => visitor(leaves),
        Visited::Absent(_) => true,
    });
}

/// Visits every leaf and every absent entry below `top` for the pages of `range`, ascending, as runs of
/// whole entries; the first and last run may reach past `range`. Stops early when the visitor answers
/// false.
pub fn visit_entries(tables: &TableStore, top: TableId, range: PfnRange, visitor: &mut impl FnMut(Visited) -> bool) {
    let level = tables.get(top).level();
    let span = tables.geometry().pages_per_table(level);
    let base = range.start.align_down(span);
    if !range.is_empty() {
        visit_table(tables, top, base, range, Grants::all(), visitor);
    }
}

fn visit_table(
    tables: &TableStore,
    id: TableId,
    base: Pfn,
    range: PfnRange,
    above: Grants,
    visitor: &mut impl FnMut(Visited) -> bool,
) -> bool {
    let table = tables.get(id);
    let level = table.level();
    let pages = tables.geometry().pages_per_entry(level);
    let first = range.start.offset_from(base) / pages;
    let end = range.end.offset_from(base).div_ceil(pages).min(tables.geometry().entries());
    for run in table.runs(first, end, pages.wrapping_mul(Entry::FRAME_STEP)) {
        let start = base.saturating_add(run.slot * pages);
        let covered = PfnRange::new(start, start.saturating_add(run.n * pages));
        if !run.first.is_present() {
            if !visitor(Visited::Absent(AbsentRun { pages: covered, level })) {
                return false;
            }
            continue;
        }
        if level == Level::L1 || run.first.is_large() {
            if !visitor(Visited::Leaves(leaf_run(run, covered, level, above))) {
                return false;
            }
            continue;
        }
        for at in 0..run.n {
            let entry = run.entry(at);
            let Some(next) = tables.linked(entry) else { continue };
            let start = start.saturating_add(at * pages);
            let inner = PfnRange::new(start, start.saturating_add(pages)).intersect(range);
            if !visit_table(tables, next, start, inner, above & entry.grants(), visitor) {
                return false;
            }
        }
    }
    true
}

fn leaf_run(run: EntryRun, pages: PfnRange, level: Level, above: Grants) -> LeafRun {
    LeafRun { pages, frame: run.first.frame(), level, flags: run.first.flags(), grants: above & run.first.grants() }
}
