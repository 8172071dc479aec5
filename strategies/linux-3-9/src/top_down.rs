// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order of `init_mem_mapping`: from the highest free 2 MiB down to the first MiB in growing blocks, then
//! what lies above.
//!
//! ```text
//!  1M                                                 real_end     max_pfn
//!   |----- .. -----|--------- 3 ---------|--- 2 ---|- 1 -|--- last ---|
//! ```

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::strategy::{Context, Facts};

/// log2 of what a block grows by (`STEP_SIZE_SHIFT`).
const GROWTH_SHIFT: u32 = 5;

/// How far the descent has come.
#[derive(Debug)]
pub(crate) struct TopDown {
    /// The end of the first block.
    real_end: Pfn,
    /// The block at hand.
    block: PfnRange,
    /// Memory of the block at hand, in pages.
    n_in_block: u64,
    /// Memory of all blocks before it, in pages.
    n_mapped: u64,
    /// The size of the next block, in pages.
    step: u64,
    is_above_done: bool,
}

impl TopDown {
    /// Looks for the first block: the highest one that the largest leaf of a level 2 table could map. Where
    /// none is free the search's answer is address 0, and the descent starts above it.
    pub(crate) fn new(cx: &Context<'_>) -> Self {
        let geometry = &cx.facts().geometry;
        let step = geometry.pages_per_entry(Level::L2);
        let bytes = step << geometry.page_shift;
        let window = geometry.bytes(PfnRange::new(cx.facts().isa_end_pfn(), cx.facts().max_pfn));
        let first = cx.find_in_range(window, bytes, bytes).unwrap_or_default();
        let real_end = geometry.pfn_down(first).saturating_add(step);
        let block = PfnRange::new(real_end, real_end);
        Self { real_end, block, n_in_block: 0, n_mapped: 0, step, is_above_done: false }
    }

    /// Where memory begins that the blocks before the one at hand mapped (`min_pfn_mapped`).
    pub(crate) const fn mapped_from(&self) -> Pfn {
        self.block.end
    }

    /// The next block down; when the first MiB is reached, what lies above the first block; then nothing.
    pub(crate) fn next_block(&mut self, facts: &Facts) -> Option<PfnRange> {
        if self.is_above_done {
            return None;
        }
        // More than everything before: the tables of a larger block will find room, it is hoped.
        if self.n_mapped < self.n_in_block {
            self.step = self.step.checked_mul(1 << GROWTH_SHIFT).unwrap_or(self.step);
        }
        self.n_mapped += self.n_in_block;
        let (lowest, end) = (facts.isa_end_pfn(), self.block.start);
        self.block = PfnRange::new(lowest, end);
        if end <= lowest {
            self.block.end = lowest;
            self.is_above_done = true;
            return Some(PfnRange::new(self.real_end, facts.max_pfn));
        }
        if self.step < end.get() {
            self.block.start = end.saturating_sub(1).align_down(self.step).max(lowest);
        }
        Some(self.block)
    }

    /// How many pages of memory the block turned out to hold.
    pub(crate) const fn found(&mut self, n_pages: u64) {
        self.n_in_block = n_pages;
    }
}
