// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables on the node of the memory they map: 1411e0ec3123 (Yinghai Lu, December 2010). It lived in
//! development trees between 2.6.38 and 2.6.39-rc1 and was taken back before rc1 by f89112502805 (Tejun
//! Heo, March 2011) as heavy handed and for the pressure on the TLB (as we read it: a range for each piece
//! of memory has more uneven ends, and those cost large leaves).
//!
//! **Our reading.** Of the commit we know that memory above 4 GiB was mapped while NUMA was set up, one
//! range and one buffer for each region of memory of each node, and that low memory was mapped at once as
//! before, when no node is known yet. We put that on the kernel of the thread, 2.6.39-rc7 without a fix,
//! like every proposal; the size and the place of a buffer stay as they are there. Memory of no node is
//! mapped like a node's.
//!
//! **Mechanism.** As `unfixed`, but at stage plan the memory above 4 GiB is cut into regions and at the
//! borders of nodes. Nothing else is needed: the buffer is put as high as it fits below the end of its
//! range, and that is on the node.
//!
//! **If it works.** Every table for memory above 4 GiB lies on that memory's node if there is room for the
//! buffer, and no hole up there is mapped. Natively it boots all golden machines but one.
//!
//! **If it does not.** Reach breaks first, wherever a buffer lies above what is mapped, as in `unfixed`;
//! under Xen Return breaks after it, and the same machines die in the same places: it answers a question
//! that the thread did not ask. There are only more buffers, each with a read-only spare part of its own.
//! And each is sized for all of `[0, end)`, so that the last node pays for the memory of all the others;
//! yet a range with a piece of 4K leaves at either end needs a table for each and gets one, Progress
//! breaks, and the kernel panics with "alloc_low_page: ran out of memory" (r-076).

use pgtlab_core::addr::PfnRange;
use pgtlab_core::strategy::{Context, Plan};
use pgtlab_linux::plan;
use pgtlab_linux::rc7::{Fix, Rc7};

/// A range for each region of memory of each node.
#[derive(Debug, Default)]
pub struct NodeByNode;

/// Cuts the pages where a node begins or ends.
fn cut_at_nodes(cx: &Context<'_>, pages: PfnRange) -> Vec<PfnRange> {
    let geometry = cx.facts().geometry;
    let borders = cx.nodes().iter().flat_map(|node| [node.range.start, node.range.end]);
    let mut cuts: Vec<_> = borders.map(|border| geometry.pfn_down(border)).filter(|cut| pages.contains(*cut)).collect();
    cuts.extend([pages.start, pages.end]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| PfnRange::new(pair[0], pair[1])).collect()
}

impl Fix for NodeByNode {
    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        let regions = plan::regions_above_4_gib(cx);
        let parts: Vec<PfnRange> = regions.into_iter().flat_map(|region| cut_at_nodes(cx, region)).collect();
        plan::low_then(cx, parts)
    }
}

/// See the crate's page.
pub type NodeLocal = Rc7<NodeByNode>;

pgtlab_core::export_strategy!(NodeLocal, summary = "2.6.39-rc7 with a range and its tables for each node's memory");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<NodeLocal>();
    }
}
