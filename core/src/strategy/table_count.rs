// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many pages kernels with one table buffer a range set aside for it (`find_early_table_space`): entries
//! are counted level by level, and the tables that hold so many are rounded up.

use super::{Facts, PageSizes, Range};
use crate::addr::Pfn;
use crate::geometry::Level;

/// Pages for all tables of `[0, end)`: counted from address 0 whatever the range, existing tables and holes
/// included.
#[must_use]
pub fn pages_from_zero(facts: &Facts, end: Pfn) -> u64 {
    let m2 = facts.geometry.pages_per_entry(Level::L2);
    let end = end.get();
    upper_pages(facts, end) + tables(facts, if facts.switches.pse { end % m2 } else { end })
}

/// The same, and where large pages exist the first piece of a range from address 0 counts in 4K pages besides,
/// as if none of it could be mapped by larger ones.
#[must_use]
pub fn pages_from_zero_and_head(facts: &Facts, range: &Range) -> u64 {
    let m2 = facts.geometry.pages_per_entry(Level::L2);
    let end = range.pages.end.get();
    match range.pieces.first() {
        Some(head) if facts.switches.pse && head.pages.start.get() < m2 => {
            upper_pages(facts, end) + tables(facts, end % m2 + head.pages.len())
        }
        _ => pages_from_zero(facts, range.pages.end),
    }
}

/// The same without those of the lowest level: what kernels count that map large pages alone. With 1 GiB pages
/// the rest of the last GiB may go without tables too.
#[must_use]
pub fn pages_for_large(facts: &Facts, end: Pfn) -> u64 {
    upper_pages(facts, end.get())
}

/// Pages for the tables of the range's pieces, each counted from its own start as if that lay on the border of
/// a table. The bits of a piece are taken literally: a piece of 1 GiB leaves counts all its 4K entries on a
/// processor without 2 MiB leaves.
#[must_use]
pub fn pages_by_piece(facts: &Facts, range: &Range) -> u64 {
    let m2 = facts.geometry.pages_per_entry(Level::L2);
    let g1 = facts.geometry.pages_per_entry(Level::L3);
    let (mut puds, mut pmds, mut ptes) = (0, 0, 0);
    for piece in &range.pieces {
        let n = piece.pages.len();
        puds += n.div_ceil(g1);
        pmds += (if piece.sizes.contains(PageSizes::G1) { n % g1 } else { n }).div_ceil(m2);
        ptes += if piece.sizes.contains(PageSizes::M2) { n % m2 } else { n };
    }
    tables(facts, puds) + tables(facts, pmds) + tables(facts, ptes)
}

/// A page for each piece that crosses the border between two entries of the root. The end itself is compared,
/// not the last page.
#[must_use]
pub fn pieces_across_root_entries(facts: &Facts, range: &Range) -> u64 {
    let geometry = &facts.geometry;
    let root_slot = |pfn: Pfn| geometry.slot(geometry.root_level(), pfn);
    let crosses = range.pieces.iter().filter(|piece| root_slot(piece.pages.start) != root_slot(piece.pages.end));
    crosses.count() as u64
}

fn upper_pages(facts: &Facts, end: u64) -> u64 {
    let m2 = facts.geometry.pages_per_entry(Level::L2);
    let g1 = facts.geometry.pages_per_entry(Level::L3);
    let pmds = if facts.switches.gbpages { end % g1 } else { end }.div_ceil(m2);
    tables(facts, end.div_ceil(g1)) + tables(facts, pmds)
}

fn tables(facts: &Facts, entries: u64) -> u64 {
    entries.div_ceil(facts.geometry.entries())
}
