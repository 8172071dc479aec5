// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memblock, the boot allocator: a list of memory and a list of what of it is reserved, in bytes.
//!
//! The model is that of Linux 2.6.39 (`mm/memblock.c`): searches go from the top down, neighbours merge,
//! and an array that is full doubles, its new home being allocated and reserved by memblock itself.

use crate::addr::{PhysAddr, PhysRange};
use crate::e820::E820Map;

/// Regions an array holds before it doubles (`INIT_MEMBLOCK_REGIONS`).
const FIRST_CAPACITY: usize = 128;
/// Bytes of one region in memblock's own arrays: base and size.
const REGION_BYTES: usize = 16;
/// Alignment of those arrays.
const ARRAY_ALIGN: u64 = 8;

/// A list of regions, ascending, neither overlapping nor touching.
#[derive(Clone, Debug, Default)]
struct Regions {
    list: Vec<PhysRange>,
    /// How many regions memblock's array holds before it doubles.
    capacity: usize,
    /// Where the doubled array lives; `None` while the static one is in use.
    home: Option<PhysRange>,
}

impl Regions {
    fn new() -> Self {
        Self { list: Vec::new(), capacity: FIRST_CAPACITY, home: None }
    }

    /// The index of the first region that ends after `addr`.
    fn first_ending_after(&self, addr: PhysAddr) -> usize {
        self.list.partition_point(|region| region.end <= addr)
    }

    fn first_overlapping(&self, range: PhysRange) -> Option<PhysRange> {
        self.list.get(self.first_ending_after(range.start)).copied().filter(|region| region.start < range.end)
    }

    /// ```text
    /// before   [--a--]      [--b--]        [-c-]
    /// add            [=========]
    /// after    [------------------]        [-c-]      neighbours that touch merge too
    /// ```
    fn add(&mut self, range: PhysRange) {
        if range.is_empty() {
            return;
        }
        let first = self.list.partition_point(|region| region.end < range.start);
        let past = first + self.list[first..].partition_point(|region| region.start <= range.end);
        if first == past {
            self.list.insert(first, range);
            return;
        }
        let merged = PhysRange::new(range.start.min(self.list[first].start), range.end.max(self.list[past - 1].end));
        self.list[first] = merged;
        self.list.drain(first + 1..past);
    }

    /// ```text
    /// before   [--------a--------]
    /// remove       [====]
    /// after    [--]      [-------]
    /// ```
    fn remove(&mut self, range: PhysRange) {
        let first = self.first_ending_after(range.start);
        let past = first + self.list[first..].partition_point(|region| region.start < range.end);
        let mut rest = Vec::with_capacity(2);
        for region in &self.list[first..past] {
            let below = PhysRange::new(region.start, range.start);
            let above = PhysRange::new(range.end, region.end);
            rest.extend([below, above].into_iter().filter(|part| !part.is_empty()));
        }
        self.list.splice(first..past, rest);
    }

    fn covers(&self, range: PhysRange) -> bool {
        range.is_empty() || self.first_overlapping(range).is_some_and(|region| region.covers(range))
    }
}

/// The boot allocator's two lists.
#[derive(Clone, Debug)]
pub struct Memblock {
    memory: Regions,
    reserved: Regions,
    page_bytes: u64,
    /// Where memblock may put arrays of its own; the end of what is mapped.
    current_limit: PhysAddr,
}

impl Memblock {
    /// An empty allocator. Searches leave out the first page, whose size is `page_bytes`.
    #[must_use]
    pub fn new(page_bytes: u64) -> Self {
        Self { memory: Regions::new(), reserved: Regions::new(), page_bytes, current_limit: PhysAddr::default() }
    }

    /// Takes over what the firmware's map calls memory (`memblock_x86_fill`).
    pub fn fill(&mut self, e820: &E820Map) {
        for entry in e820.entries().iter().filter(|entry| entry.kind.is_memory()) {
            self.memory.add(entry.range);
        }
    }

    /// Allows memblock's own arrays to be placed below `limit` (`memblock.current_limit`).
    pub const fn set_current_limit(&mut self, limit: PhysAddr) {
        self.current_limit = limit;
    }

    /// Memory, ascending.
    #[must_use]
    pub fn memory(&self) -> &[PhysRange] {
        &self.memory.list
    }

    /// What is reserved, ascending; it may lie outside memory.
    #[must_use]
    pub fn reserved(&self) -> &[PhysRange] {
        &self.reserved.list
    }

    /// Reserves the range; what of it is reserved already stays so.
    pub fn reserve(&mut self, range: PhysRange) {
        self.reserved.add(range);
        while self.reserved.capacity <= self.reserved.list.len() && self.double_reserved() {}
    }

    /// Gives the range back; what of it is free already stays so.
    pub fn free(&mut self, range: PhysRange) {
        self.reserved.remove(range);
    }

    /// Moves the full array of reserved regions to a place twice as large, found and reserved like any
    /// other, and gives the old place back (`memblock_double_array`). False if there is no room.
    fn double_reserved(&mut self) -> bool {
        let size = (2 * self.reserved.capacity * REGION_BYTES) as u64;
        let window = PhysRange::new(PhysAddr::default(), self.current_limit);
        let Some(base) = self.find_in_range(window, size, ARRAY_ALIGN) else {
            return false;
        };
        let home = PhysRange::new(base, base.saturating_add(size));
        self.reserved.capacity *= 2;
        self.reserved.add(home);
        if let Some(old) = self.reserved.home.replace(home) {
            self.reserved.remove(old);
        }
        true
    }

    /// Whether all of the range is memory, and of one region.
    #[must_use]
    pub fn is_memory(&self, range: PhysRange) -> bool {
        self.memory.covers(range)
    }

    /// Whether any of the range is reserved.
    #[must_use]
    pub fn is_any_reserved(&self, range: PhysRange) -> bool {
        self.reserved.first_overlapping(range).is_some()
    }

    /// Whether all of the range is reserved.
    #[must_use]
    pub fn is_reserved(&self, range: PhysRange) -> bool {
        self.reserved.covers(range)
    }

    /// The highest free block of `size` bytes inside `window`, aligned to `align` (a power of two); never
    /// in the first page (`memblock_find_in_range`).
    #[must_use]
    pub fn find_in_range(&self, window: PhysRange, size: u64, align: u64) -> Option<PhysAddr> {
        for region in self.memory.list.iter().rev() {
            if region.end <= window.start {
                break;
            }
            let part = region.intersect(window);
            if region.len() < size || part.is_empty() {
                continue;
            }
            if let Some(base) = self.find_in_region(part, size, align) {
                return Some(base);
            }
        }
        None
    }

    /// Steps down from the region's end, each time below the lowest reserved block in the way.
    fn find_in_region(&self, region: PhysRange, size: u64, align: u64) -> Option<PhysAddr> {
        let start = if region.start == PhysAddr::default() { PhysAddr::new(self.page_bytes) } else { region.start };
        let below = |end: PhysAddr| end.get().checked_sub(size).map(|base| PhysAddr::new(base).align_down(align));
        let mut base = below(region.end)?;
        while start <= base {
            match self.reserved.first_overlapping(PhysRange::new(base, base.saturating_add(size))) {
                None => return Some(base),
                Some(block) => base = below(block.start)?,
            }
        }
        None
    }

    /// The first free block at or after `start`, from the bottom up, its start rounded up to `align`
    /// (`memblock_x86_find_in_range_size`).
    #[must_use]
    pub fn next_free(&self, start: PhysAddr, align: u64) -> Option<PhysRange> {
        self.memory.list[self.memory.first_ending_after(start)..].iter().find_map(|region| {
            let mut block = PhysRange::new(region.start.align_up(align).max(start.align_up(align)), region.end);
            while let Some(taken) = self.reserved.first_overlapping(block) {
                if taken.start <= block.start {
                    block.start = taken.end.align_up(align);
                } else {
                    block.end = taken.start;
                }
            }
            (!block.is_empty()).then_some(block)
        })
    }

    /// Memory that is not reserved, inside `window`, ascending.
    pub fn free_ranges(&self, window: PhysRange) -> impl Iterator<Item = PhysRange> + '_ {
        let regions = self.memory.list[self.memory.first_ending_after(window.start)..]
            .iter()
            .take_while(move |region| region.start < window.end);
        regions.flat_map(move |region| {
            let mut rest = region.intersect(window);
            let mut taken = self.reserved.list[self.reserved.first_ending_after(rest.start)..].iter();
            std::iter::from_fn(move || {
                while !rest.is_empty() {
                    let free = match taken.next().filter(|block| block.start < rest.end) {
                        Some(block) => {
                            let free = PhysRange::new(rest.start, block.start);
                            rest.start = rest.start.max(block.end);
                            free
                        }
                        None => std::mem::take(&mut rest),
                    };
                    if !free.is_empty() {
                        return Some(free);
                    }
                }
                None
            })
        })
    }

    /// Bytes that are reserved.
    #[must_use]
    pub fn reserved_bytes(&self) -> u64 {
        self.reserved.list.iter().map(|block| block.len()).sum()
    }
}

#[cfg(test)]
mod tests;
