// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counting beforehand how many tables a range will link that do not exist yet, and how many pages are
//! at hand for them.

use super::Machine;
use super::fill::leaf_size;
use crate::addr::{Pfn, PfnRange};
use crate::e820::E820Map;
use crate::geometry::Level;
use crate::mmu::Mmu;
use crate::strategy::{OnEmptyGib, PastEnd, Piece, Range};
use crate::table::TableId;
use crate::walk::visit_leaves;

/// More levels than any geometry has.
const LEVELS: usize = 8;

/// How many tables the fill of the range would take: the fill of [`super::fill`] without its writes.
pub(super) fn tables_needed(mmu: &Mmu<'_>, e820: &E820Map, range: &Range) -> u64 {
    let mut count = Count { mmu, e820, range, made: [None; LEVELS], cleared: PfnRange::default(), n: 0 };
    for piece in &range.pieces {
        count.table(Some(mmu.root), mmu.tables.geometry().root_level(), piece.pages, piece);
        count.piece_done(piece.pages.end);
    }
    count.n
}

struct Count<'a, 'l> {
    mmu: &'a Mmu<'l>,
    e820: &'a E820Map,
    range: &'a Range,
    /// For each level, where the table counted last starts: a later piece may go on in it.
    made: [Option<Pfn>; LEVELS],
    /// What an earlier piece's fill cleared behind its end, in its table of level 2.
    cleared: PfnRange,
    n: u64,
}

impl Count<'_, '_> {
    /// Counts below a table, or below the place of one that does not exist yet.
    fn table(&mut self, id: Option<TableId>, level: Level, pages: PfnRange, piece: &Piece) {
        let geometry = self.mmu.tables.geometry();
        let Some(below) = level.below() else { return };
        let span = geometry.pages_per_entry(level);
        let has_leaves = piece.sizes.contains(leaf_size(level)) && !leaf_size(level).is_empty();
        if id.is_none() && level == Level::L2 {
            if !has_leaves {
                self.all_missing(below, pages, span);
            }
            return;
        }
        let mut at = pages.start;
        while at < pages.end {
            let next = at.align_down(span).saturating_add(span);
            let inner = PfnRange::new(at, next.min(pages.end));
            at = next;
            let block = geometry.bytes(PfnRange::new(inner.start, inner.start.saturating_add(span)));
            if level == Level::L3 && self.range.on_empty_gib == OnEmptyGib::Drop && !self.e820.any(block) {
                continue;
            }
            let is_cleared = level == Level::L2 && self.cleared.contains(inner.start);
            let entry =
                id.filter(|_| !is_cleared).map(|id| self.mmu.tables.get(id).entry(geometry.slot(level, inner.start)));
            let child = entry.and_then(|entry| self.mmu.tables.linked(entry));
            let base = inner.start.align_down(span);
            if child.is_none() && has_leaves && self.made[usize::from(below.get())] != Some(base) {
                continue;
            }
            if child.is_none() {
                self.missing(below, base);
            }
            self.table(child, below, inner, piece);
        }
    }

    fn missing(&mut self, level: Level, base: Pfn) {
        let made = &mut self.made[usize::from(level.get())];
        if *made != Some(base) {
            *made = Some(base);
            self.n += 1;
        }
    }

    /// No table of this level exists for any of the pages: one a block, without looking at each.
    fn all_missing(&mut self, level: Level, pages: PfnRange, span: u64) {
        let (first, end) = (pages.start.align_down(span), pages.end.align_up(span));
        self.n += end.offset_from(first) / span;
        let made = &mut self.made[usize::from(level.get())];
        if *made == Some(first) {
            self.n -= 1;
        }
        *made = Some(end.saturating_sub(span));
    }

    fn piece_done(&mut self, end: Pfn) {
        let geometry = self.mmu.tables.geometry();
        if self.range.past_end == PastEnd::Clear {
            let from = end.align_up(geometry.pages_per_entry(Level::L2));
            self.cleared = PfnRange::new(from, end.align_up(geometry.pages_per_table(Level::L2)));
        }
    }
}

/// How many pages of the window are free, mapped by live tables (or memory, where memory is mapped on
/// demand) and outside `except`; counted up to `enough`.
pub(super) fn mapped_free_pages(
    machine: &Machine<'_>,
    window: PfnRange,
    except: PfnRange,
    is_mapped_on_demand: bool,
    enough: u64,
) -> u64 {
    let geometry = &machine.layout.geometry;
    let mut n = 0;
    for free in machine.memblock.free_ranges(geometry.bytes(window)) {
        let free = geometry.whole_pages(free);
        let below = PfnRange::new(free.start, free.end.min(except.start));
        let above = PfnRange::new(free.start.max(except.end), free.end);
        for part in [below, above].into_iter().filter(|part| !part.is_empty()) {
            if is_mapped_on_demand {
                n += part.len();
                continue;
            }
            visit_leaves(&machine.mmu.tables, machine.mmu.root, part, &mut |leaves| {
                n += leaves.pages.intersect(part).len();
                n < enough
            });
            if enough <= n {
                return n;
            }
        }
    }
    n
}
