// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order of `init_mem_mapping`: the first MiB, then from the highest free 2 MiB down to it in growing
//! blocks, then what lies above. Only memory is mapped, region by region.
//!
//! ```text
//!  1M                                                 real_end     max_pfn
//!   |----- .. -----|--------- 3 ---------|--- 2 ---|- 1 -|--- last ---|
//! ```

use super::{Context, Facts, KeptLarge, OnEmptyGib, PastEnd, Piece, Range};
use crate::addr::{Pfn, PfnRange};
use crate::geometry::Level;
use std::collections::VecDeque;

/// When the blocks grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// 32 times, whenever a block holds more memory than all before it (`STEP_SIZE_SHIFT`).
    PastAllBefore,
    /// 256 times, half of the entries of a table, whenever as much as the size of a block is mapped.
    PastTheStep,
}

/// Where the first block may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// At any page.
    AnyPage,
    /// Where one leaf of a level 2 table maps it.
    WholeLeaf,
}

/// Where the descent begins when no block is free for the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneFree {
    /// Above a block at address 0, since the failed search's answer is taken for an address.
    AboveZero,
    /// At the end of memory, or the end of the first MiB if that is higher (631ca8909fd5).
    AtTheEnd,
}

/// The descent: which range is mapped next.
#[derive(Clone, Debug)]
pub struct TopDown {
    growth: Growth,
    probe: Probe,
    none_free: NoneFree,
    /// How far it has come; `None` before the first MiB is mapped.
    descent: Option<Descent>,
    /// The memory of the block at hand that is still to be mapped.
    ranges: VecDeque<PfnRange>,
}

impl TopDown {
    /// A descent that has not begun.
    #[must_use]
    pub const fn new(growth: Growth, probe: Probe) -> Self {
        Self { growth, probe, none_free: NoneFree::AboveZero, descent: None, ranges: VecDeque::new() }
    }

    /// The same, which begins there when no block is free.
    #[must_use]
    pub fn with_none_free(self, none_free: NoneFree) -> Self {
        Self { none_free, ..self }
    }

    /// The next range to map: the first MiB as a whole, then the memory of each block. When the descent begins,
    /// `max_pfn_mapped` is set to nothing: from there on it says how far the blocks have come, not what the
    /// boot code mapped.
    pub fn next_pages(&mut self, cx: &mut Context<'_>) -> Option<PfnRange> {
        let facts = *cx.facts();
        if facts.ranges_done == 0 {
            return Some(PfnRange::new(Pfn::default(), facts.isa_end_pfn()));
        }
        let (probe, none_free) = (self.probe, self.none_free);
        let descent = self.descent.get_or_insert_with(|| {
            cx.set_max_pfn_mapped(Pfn::default());
            Descent::new(cx, probe, none_free)
        });
        while self.ranges.is_empty() {
            let block = descent.next_block(&facts, self.growth)?;
            let memory = cx.memory().iter().map(|region| facts.geometry.whole_pages(*region).intersect(block));
            self.ranges = memory.filter(|pages| !pages.is_empty()).collect();
            descent.n_in_block = self.ranges.iter().map(|pages| pages.len()).sum();
        }
        self.ranges.pop_front()
    }

    /// Where memory begins that the blocks before the one at hand mapped (`min_pfn_mapped`).
    #[must_use]
    pub fn mapped_from(&self) -> Pfn {
        self.descent.as_ref().map_or_else(Pfn::default, |descent| descent.block.end)
    }
}

impl Range {
    /// A range of memory, filled the way kernels fill it that map memory alone.
    #[must_use]
    pub fn of_memory(pages: PfnRange, pieces: Vec<Piece>) -> Self {
        Self {
            past_end: PastEnd::ClearHoles,
            on_empty_gib: OnEmptyGib::Map,
            kept_large: KeptLarge::MovesLast,
            ..Self::new(pages, pieces)
        }
    }
}

/// log2 of what a block grows by (`STEP_SIZE_SHIFT`).
const GROWTH_SHIFT: u32 = 5;

/// How far the descent has come.
#[derive(Clone, Debug)]
struct Descent {
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

impl Descent {
    /// Looks for the first block: the highest free one of the size that one leaf of a level 2 table maps.
    fn new(cx: &Context<'_>, probe: Probe, none_free: NoneFree) -> Self {
        let geometry = &cx.facts().geometry;
        let step = geometry.pages_per_entry(Level::L2);
        let bytes = step << geometry.page_shift;
        let align = match probe {
            Probe::AnyPage => geometry.page_bytes(),
            Probe::WholeLeaf => bytes,
        };
        let window = geometry.bytes(PfnRange::new(cx.facts().isa_end_pfn(), cx.facts().max_pfn));
        let real_end = match (cx.find_in_range(window, bytes, align), none_free) {
            (Some(first), _) => geometry.pfn_down(first).saturating_add(step),
            (None, NoneFree::AboveZero) => Pfn::default().saturating_add(step),
            (None, NoneFree::AtTheEnd) => cx.facts().max_pfn.align_down(step).max(cx.facts().isa_end_pfn()),
        };
        let block = PfnRange::new(real_end, real_end);
        Self { real_end, block, n_in_block: 0, n_mapped: 0, step, is_above_done: false }
    }

    /// The next block down; when the first MiB is reached, what lies above the first block; then nothing.
    fn next_block(&mut self, facts: &Facts, growth: Growth) -> Option<PfnRange> {
        if self.is_above_done {
            return None;
        }
        self.grow(facts, growth);
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

    /// The tables of a larger block will find room in what is mapped, it is hoped.
    fn grow(&mut self, facts: &Facts, growth: Growth) {
        let is_more_than_all = self.n_mapped < self.n_in_block;
        self.n_mapped += self.n_in_block;
        let shift = match growth {
            Growth::PastAllBefore if is_more_than_all => GROWTH_SHIFT,
            Growth::PastTheStep if self.step <= self.n_mapped => facts.geometry.table_shift - 1,
            Growth::PastAllBefore | Growth::PastTheStep => return,
        };
        self.step = self.step.checked_mul(1 << shift).unwrap_or(self.step);
    }
}
