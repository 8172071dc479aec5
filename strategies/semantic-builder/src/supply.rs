// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where pages for tables come from: free memory that live tables map, best blocks first.

use crate::nodes::cut;
use pgtlab_core::addr::{Pfn, PfnRange, PhysRange};
use pgtlab_core::strategy::{Context, Facts};

/// Free mapped blocks in the order they are used up, each from its end.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    /// The block used first stands last.
    blocks: Vec<PfnRange>,
}

/// How willingly a block is used; the least willingly first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// The largest free block below the crash-kernel line: room for a crash kernel.
    CrashKernelRoom,
    /// Below 1 MiB: devices and other processors' trampolines want it.
    FirstMib,
    /// Above the line: there is plenty, once it is mapped.
    High,
    /// Below the line and of no use to a crash kernel.
    SmallAndLow,
}

impl Supply {
    /// The free blocks without the pages of the range that is about to be filled, and without those used
    /// less willingly than `least`. Those on the range's node, if it has one, are used before others, but no
    /// room that is used unwillingly.
    pub(crate) fn outside(facts: &Facts, free: &Free, range: PfnRange, home: &[PfnRange], least: Use) -> Self {
        let line = facts.geometry.pfn_down(facts.geometry.crashkernel_end);
        // A block that crosses one of these is several.
        let mut cuts = vec![range.start, range.end, line];
        cuts.extend(home.iter().flat_map(|part| [part.start, part.end]));
        cuts.sort_unstable();
        let mut ranked: Vec<(Use, bool, Use, PfnRange)> = Vec::with_capacity(2 * free.mapped.len());
        for block in &free.mapped {
            for part in cut(*block, &cuts) {
                let willingly = if line <= part.start {
                    Use::High
                } else if part.end <= facts.isa_end_pfn() {
                    Use::FirstMib
                } else if part.overlaps(free.crash_kernel_room) {
                    Use::CrashKernelRoom
                } else {
                    Use::SmallAndLow
                };
                if !part.is_empty() && !range.covers(part) && least <= willingly {
                    let is_home = home.iter().any(|home| home.covers(part));
                    ranked.push((willingly.min(Use::High), is_home, willingly, part));
                }
            }
        }
        ranked.sort_unstable();
        Self { blocks: ranked.into_iter().map(|(.., block)| block).collect() }
    }

    /// What mapping the pages would add, without blocks used less willingly than `least`.
    pub(crate) fn of_new(facts: &Facts, free: &Free, pages: PfnRange, least: Use) -> Self {
        let mapped = free.all.iter().map(|block| block.intersect(pages)).filter(|block| !block.is_empty()).collect();
        let new = Free { all: Vec::new(), mapped, crash_kernel_room: free.crash_kernel_room };
        Self::outside(facts, &new, PfnRange::default(), &[], least)
    }

    /// How many pages it holds.
    pub(crate) fn len(&self) -> u64 {
        self.blocks.iter().map(|block| block.len()).sum()
    }

    /// The next page.
    pub(crate) fn take(&mut self) -> Option<Pfn> {
        let block = self.blocks.last_mut()?;
        block.end = block.end.saturating_sub(1);
        let page = block.end;
        if block.is_empty() {
            self.blocks.pop();
        }
        Some(page)
    }
}

/// Memory that is not reserved, in whole pages. The first page is left out, as memblock leaves it out.
#[derive(Debug)]
pub(crate) struct Free {
    /// All of it, ascending.
    all: Vec<PfnRange>,
    /// What of it live tables map, ascending.
    mapped: Vec<PfnRange>,
    /// The longest run of it, mapped or not, below the crash-kernel line.
    crash_kernel_room: PfnRange,
}

impl Free {
    pub(crate) fn find(cx: &Context<'_>, mapped: &[PfnRange]) -> Self {
        let geometry = cx.facts().geometry;
        let line = geometry.pfn_down(geometry.crashkernel_end);
        let mut free = Self { all: Vec::new(), mapped: Vec::new(), crash_kernel_room: PfnRange::default() };
        let mut reserved = cx.reserved().iter().peekable();
        for region in cx.memory() {
            let mut at = region.start;
            while at < region.end {
                while reserved.next_if(|block| block.end <= at).is_some() {}
                let block = reserved.peek().filter(|block| block.start < region.end);
                let end = block.map_or(region.end, |block| block.start.max(at));
                let mut pages = geometry.whole_pages(PhysRange::new(at, end));
                pages.start = pages.start.max(Pfn::new(1));
                let low = PfnRange::new(pages.start, pages.end.min(line));
                if free.crash_kernel_room.len() < low.len() {
                    free.crash_kernel_room = low;
                }
                if !pages.is_empty() {
                    free.all.push(pages);
                }
                free.mapped.extend(mapped.iter().map(|part| part.intersect(pages)).filter(|part| !part.is_empty()));
                at = block.map_or(region.end, |block| block.end);
            }
        }
        free
    }
}

impl Free {
    /// The same with only that mapped which lies in these pages.
    pub(crate) fn mapped_within(&self, home: &[PfnRange]) -> Self {
        let inside = self.mapped.iter().flat_map(|block| home.iter().map(|part| part.intersect(*block)));
        let mapped = inside.filter(|block| !block.is_empty()).collect();
        Self { all: self.all.clone(), mapped, crash_kernel_room: self.crash_kernel_room }
    }

    /// How many free pages mapping the range adds to those that are mapped.
    pub(crate) fn gain(&self, range: PfnRange) -> u64 {
        overlap(&self.all, range) - overlap(&self.mapped, range)
    }
}

/// How many pages the ranges, ascending, share with one.
fn overlap(ranges: &[PfnRange], range: PfnRange) -> u64 {
    let first = ranges.partition_point(|part| part.end <= range.start);
    ranges[first..].iter().take_while(|part| part.start < range.end).map(|part| part.intersect(range).len()).sum()
}

/// Adds a range to a list of ranges, ascending and merged.
pub(crate) fn insert(ranges: &mut Vec<PfnRange>, new: PfnRange) {
    let first = ranges.partition_point(|range| range.end < new.start);
    let past = first + ranges[first..].partition_point(|range| range.start <= new.end);
    let touched = &ranges[first..past];
    let start = touched.first().map_or(new.start, |range| range.start.min(new.start));
    let end = touched.last().map_or(new.end, |range| range.end.max(new.end));
    ranges.splice(first..past, [PfnRange::new(start, end)]);
}
