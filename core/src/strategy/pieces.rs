// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cutting a range into pieces by leaf size, as `init_memory_mapping` does.

use super::{Facts, PageSizes, Piece};
use crate::addr::{PfnRange, PhysRange};
use crate::geometry::Level;

/// The leaf sizes the processor offers (`page_size_mask`). The kernel does not tie one to the other.
fn offered(facts: &Facts) -> PageSizes {
    let mut sizes = PageSizes::empty();
    sizes.set(PageSizes::M2, facts.switches.pse);
    sizes.set(PageSizes::G1, facts.switches.gbpages);
    sizes
}

/// Cuts a range at the borders of large pages (`split_mem_range`); empty pieces are left out.
///
/// ```text
///   start     2M            1G                    1G         2M    end
///     |--4K---|-----2M------|---------1G----------|----2M----|--4K--|
/// ```
/// Each piece has those of its sizes that the processor offers.
#[must_use]
pub fn split_range(facts: &Facts, range: PfnRange) -> Vec<Piece> {
    let m2 = facts.geometry.pages_per_entry(Level::L2);
    let g1 = facts.geometry.pages_per_entry(Level::L3);
    let both = PageSizes::M2.union(PageSizes::G1);
    let (start, end) = (range.start, range.end);
    let cuts = [
        (start.align_up(m2).min(end), PageSizes::empty()),
        (start.align_up(g1).min(end.align_down(m2)), PageSizes::M2),
        (end.align_down(g1), both),
        (end.align_down(m2), PageSizes::M2),
        (end, PageSizes::empty()),
    ];
    let offered = offered(facts);
    let mut pieces = Vec::with_capacity(cuts.len());
    let mut at = start;
    for (cut, sizes) in cuts {
        if at < cut {
            pieces.push(Piece { pages: PfnRange::new(at, cut), sizes: sizes.intersection(offered) });
            at = cut;
        }
    }
    pieces
}

/// Joins neighbours that touch and have the same sizes.
#[must_use]
pub fn merge_pieces(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if last.pages.end == piece.pages.start && last.sizes == piece.sizes => {
                last.pages.end = piece.pages.end;
            }
            _ => merged.push(piece),
        }
    }
    merged
}

/// Allows a piece a larger leaf where the aligned blocks around all of it lie in one region of memory
/// (`adjust_range_page_size_mask`), so that neighbours mapped later need not split it.
#[must_use]
pub fn raise_pieces(facts: &Facts, memory: &[PhysRange], mut pieces: Vec<Piece>) -> Vec<Piece> {
    let offered = offered(facts);
    for piece in &mut pieces {
        for (size, level) in [(PageSizes::M2, Level::L2), (PageSizes::G1, Level::L3)] {
            let align = facts.geometry.pages_per_entry(level);
            let hull = PfnRange::new(piece.pages.start.align_down(align), piece.pages.end.align_up(align));
            let bytes = facts.geometry.bytes(hull);
            if offered.contains(size) && memory.iter().any(|region| region.covers(bytes)) {
                piece.sizes |= size;
            }
        }
    }
    pieces
}
