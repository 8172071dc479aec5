// SPDX-License-Identifier: MIT OR Apache-2.0
//! The option `node_local`: tables on the node of the memory they map.
//!
//! ```text
//!   node 0                        node 1
//!   |##########################|  |#|........................|
//!    mapped                        ^ a first step, its tables on node 0; what it maps
//!                                    holds the tables of the rest of node 1
//! ```
//! Reach leaves no other way: before anything of a node is mapped, nothing of it can become a table.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::geometry::{Geometry, Level};
use pgtlab_core::layout::Node;
use pgtlab_core::strategy::{Facts, PageSizes, merge_pieces, split_range};

/// Cuts memory where a node begins or ends. A leaf that lies across a border goes to the node behind it as a
/// whole: cut in two it would cost a table more (Least).
pub(crate) fn cut_at_nodes(facts: &Facts, nodes: &[Node], pages: PfnRange) -> Vec<PfnRange> {
    let pieces = merge_pieces(split_range(facts, pages));
    let geometry = facts.geometry;
    let borders = nodes.iter().flat_map(|node| [node.range.start, node.range.end]);
    let mut cuts: Vec<Pfn> = borders
        .map(|border| geometry.pfn_down(border))
        .filter_map(|border| {
            let piece = pieces.iter().find(|piece| piece.pages.contains(border))?;
            Some(border.align_down(largest_leaf(&geometry, piece.sizes)).max(pages.start))
        })
        .collect();
    cuts.sort_unstable();
    cut(pages, &cuts)
}

/// How many pages the largest leaf of these sizes maps.
fn largest_leaf(geometry: &Geometry, sizes: PageSizes) -> u64 {
    let sizes =
        [(PageSizes::G1, Level::L3), (PageSizes::M2, Level::L2)].into_iter().filter(|(size, _)| sizes.contains(*size));
    sizes.map(|(_, level)| geometry.pages_per_entry(level)).next().unwrap_or(1)
}

/// The pieces of a range between cuts, which ascend; cuts outside it do nothing.
pub(crate) fn cut(pages: PfnRange, cuts: &[Pfn]) -> Vec<PfnRange> {
    let mut parts = Vec::with_capacity(1 + cuts.len());
    let mut rest = pages;
    for at in cuts {
        if rest.start < *at && *at < rest.end {
            parts.push(PfnRange::new(rest.start, *at));
            rest.start = *at;
        }
    }
    parts.push(rest);
    parts
}

/// The pages of the node that these pages lie on, ascending; nothing if they lie on none.
pub(crate) fn home(geometry: &Geometry, nodes: &[Node], pages: PfnRange) -> Vec<PfnRange> {
    let of = |node: &Node| PfnRange::new(geometry.pfn_down(node.range.start), geometry.pfn_down(node.range.end));
    let touched = |node: &&Node| of(node).overlaps(pages);
    // Of a leaf that begins on the node before, the one behind is its owner.
    match nodes.iter().rfind(touched) {
        Some(owner) => nodes.iter().filter(|node| node.id == owner.id).map(of).collect(),
        None => Vec::new(),
    }
}
