// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one window through which a strategy sees the machine and acts on it.

use super::{PgtBuf, Pool, Range, Stage};
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::e820::E820Entry;
use crate::geometry::Geometry;
use crate::layout::{Backend, Node, Switches};
use std::fmt;

/// The last range that was mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastRange {
    /// Its pages.
    pub pages: PfnRange,
    /// Where its fill came to.
    pub last_mapped: Pfn,
}

/// What is known of the machine at the moment of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Table shape and landmarks.
    pub geometry: Geometry,
    /// What the processor can do, as the kernel sees it.
    pub switches: Switches,
    /// The kernel image.
    pub kernel: PhysRange,
    /// Where early BRK allocation starts.
    pub brk: PhysAddr,
    /// The page behind the last page of RAM.
    pub max_pfn: Pfn,
    /// The page behind the last page of RAM below 4 GiB.
    pub max_low_pfn: Pfn,
    /// How far the kernel believes memory to be mapped.
    pub max_pfn_mapped: Pfn,
    /// The table space, as the last buffer left it.
    pub buf: PgtBuf,
    /// The pool of BRK pages.
    pub pool: Pool,
    /// How many ranges have been mapped.
    pub ranges_done: u64,
    /// The last of them.
    pub last: LastRange,
}

impl Facts {
    /// The page at the 4 GiB line.
    #[must_use]
    pub const fn low_end_pfn(&self) -> Pfn {
        self.geometry.pfn_down(self.geometry.low_end)
    }

    /// The page at the end of the ISA area.
    #[must_use]
    pub const fn isa_end_pfn(&self) -> Pfn {
        self.geometry.pfn_down(self.geometry.isa_end)
    }
}

/// What stands behind a [`Context`]: the builder itself, or the far side of a plugin's interface.
pub trait Services {
    /// What is known at this moment.
    fn facts(&self) -> &Facts;
    /// Who owns the MMU.
    fn backend(&self) -> Backend;
    /// Memblock's memory, ascending.
    fn memory(&self) -> &[PhysRange];
    /// Memblock's reserved regions, ascending.
    fn reserved(&self) -> &[PhysRange];
    /// The firmware's map.
    fn e820(&self) -> &[E820Entry];
    /// NUMA nodes; empty for one node over all.
    fn nodes(&self) -> &[Node];
    /// The pages that live tables map, ascending and merged.
    fn mapped(&self) -> Vec<PfnRange>;
    /// Memblock's top-down search.
    fn find_in_range(&self, window: PhysRange, bytes: u64, align: u64) -> Option<PhysAddr>;
    /// Memblock's bottom-up search.
    fn next_free(&self, start: PhysAddr, align: u64) -> Option<PhysRange>;
    /// How many tables the fill of this range would link that do not exist yet.
    fn tables_needed(&self, range: &Range) -> u64;
    /// Do not ask this stage again in this boot.
    fn decline(&self, stage: Stage);
    /// Prints a line to the kernel's log.
    fn printk(&mut self, text: &str);
    /// Reserves a range in memblock.
    fn reserve(&mut self, range: PhysRange, name: &str);
    /// Gives a range back to memblock.
    fn free(&mut self, range: PhysRange);
    /// Makes pages writable in the direct map where they are mapped.
    fn set_rw(&mut self, pages: PfnRange);
    /// Makes pages read-only in the direct map where they are mapped.
    fn set_ro(&mut self, pages: PfnRange);
    /// Says how far memory is mapped.
    fn set_max_pfn_mapped(&mut self, pfn: Pfn);
}

/// A strategy's view of the machine.
pub struct Context<'a> {
    services: &'a mut dyn Services,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("facts", self.services.facts()).finish_non_exhaustive()
    }
}

impl<'a> Context<'a> {
    /// A context on these services.
    pub fn new(services: &'a mut dyn Services) -> Self {
        Self { services }
    }

    /// What is known at this moment.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.services.facts()
    }

    /// Who owns the MMU. A strategy that needs to ask is a strategy that knows Xen.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.services.backend()
    }

    /// Memblock's memory, in bytes, ascending, neighbours merged.
    #[must_use]
    pub fn memory(&self) -> &[PhysRange] {
        self.services.memory()
    }

    /// Memblock's reserved regions, in bytes, ascending, neighbours merged.
    #[must_use]
    pub fn reserved(&self) -> &[PhysRange] {
        self.services.reserved()
    }

    /// The firmware's map, ascending.
    #[must_use]
    pub fn e820(&self) -> &[E820Entry] {
        self.services.e820()
    }

    /// NUMA nodes, ascending; empty for one node over all memory.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        self.services.nodes()
    }

    /// The pages that live tables map at this moment, ascending and merged.
    #[must_use]
    pub fn mapped(&self) -> Vec<PfnRange> {
        self.services.mapped()
    }

    /// The highest free block of `bytes` in `window`, aligned to `align`, a power of two
    /// (`memblock_find_in_range`).
    #[must_use]
    pub fn find_in_range(&self, window: PhysRange, bytes: u64, align: u64) -> Option<PhysAddr> {
        self.services.find_in_range(window, bytes, align)
    }

    /// The highest `n` free pages in a row inside the window of pages; for none, an empty range.
    #[must_use]
    pub fn find_free_pages(&self, window: PfnRange, n: u64) -> Option<PfnRange> {
        if n == 0 {
            return Some(PfnRange::default());
        }
        let geometry = self.facts().geometry;
        let page = geometry.page_bytes();
        let base = self.services.find_in_range(geometry.bytes(window), n.checked_mul(page)?, page)?;
        let start = geometry.pfn_down(base);
        Some(PfnRange::new(start, start.saturating_add(n)))
    }

    /// The highest `n` free pages in a row that live tables map at this moment: pages that can become tables
    /// on any back end, since they can be written to now and have no mapping but that one. For none, an empty
    /// range.
    #[must_use]
    pub fn find_mapped_pages(&self, n: u64) -> Option<PfnRange> {
        if n == 0 {
            return Some(PfnRange::default());
        }
        self.mapped().into_iter().rev().find_map(|pages| self.find_free_pages(pages, n))
    }

    /// The first free block at or after `start`, its start aligned to `align`
    /// (`memblock_x86_find_in_range_size`).
    #[must_use]
    pub fn next_free(&self, start: PhysAddr, align: u64) -> Option<PhysRange> {
        self.services.next_free(start, align)
    }

    /// How many tables the fill of this range would link that do not exist yet.
    #[must_use]
    pub fn tables_needed(&self, range: &Range) -> u64 {
        self.services.tables_needed(range)
    }

    /// Do not ask this stage again in this boot: the builder goes on with the default answer.
    pub fn decline(&self, stage: Stage) {
        self.services.decline(stage);
    }

    /// Prints a line to the kernel's log.
    pub fn printk(&mut self, text: &str) {
        self.services.printk(text);
    }

    /// Reserves a range of bytes in memblock, under a name. The next pages of the pool leave it when they are
    /// reserved: they are somebody else's then.
    pub fn reserve(&mut self, range: PhysRange, name: &str) {
        self.services.reserve(range, name);
    }

    /// Reserves pages in memblock, under a name.
    pub fn reserve_pages(&mut self, pages: PfnRange, name: &str) {
        let range = self.facts().geometry.bytes(pages);
        self.services.reserve(range, name);
    }

    /// Gives a range of bytes back to memblock.
    pub fn free(&mut self, range: PhysRange) {
        self.services.free(range);
    }

    /// Makes pages writable in the direct map where they are mapped (`make_lowmem_page_readwrite`). Xen
    /// refuses it for a page that is a table. Natively nothing guards pages, and nothing happens.
    pub fn set_rw(&mut self, pages: PfnRange) {
        self.services.set_rw(pages);
    }

    /// Makes pages read-only in the direct map where they are mapped (`make_lowmem_page_readonly`).
    /// Natively nothing guards pages, and nothing happens.
    pub fn set_ro(&mut self, pages: PfnRange) {
        self.services.set_ro(pages);
    }

    /// Says how far memory is mapped (`max_pfn_mapped`).
    pub fn set_max_pfn_mapped(&mut self, pfn: Pfn) {
        self.services.set_max_pfn_mapped(pfn);
    }
}
