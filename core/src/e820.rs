// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's memory map: which physical ranges are RAM, and what the others are for.

use crate::addr::{PhysAddr, PhysRange};
use std::collections::BinaryHeap;

/// What a range of the firmware's map is. The numbers are those of the BIOS call INT 15h E820h and of
/// Linux (`E820_RAM` and its neighbours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum E820Type {
    /// Usable memory.
    Ram = 1,
    /// Not to be touched.
    Reserved = 2,
    /// ACPI tables, reclaimable after they were read.
    AcpiData = 3,
    /// ACPI non-volatile storage.
    AcpiNvs = 4,
    /// Memory with errors; under Xen dom0 also RAM the guest may not have.
    Unusable = 5,
    /// RAM that already holds something of the kernel's (`E820_RESERVED_KERN`).
    ReservedKern = 128,
}

impl E820Type {
    /// Every type, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Ram, Self::Reserved, Self::AcpiData, Self::AcpiNvs, Self::Unusable, Self::ReservedKern];

    /// Its number in the firmware's map.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The type with this number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u64::from(kind.number()) == number)
    }

    /// Whether memblock takes the range as memory (`memblock_x86_fill`).
    #[must_use]
    pub const fn is_memory(self) -> bool {
        matches!(self, Self::Ram | Self::ReservedKern)
    }
}

/// One range of the firmware's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E820Entry {
    /// The bytes it covers.
    pub range: PhysRange,
    /// What it is.
    pub kind: E820Type,
}

/// The firmware's map: entries ascending, none overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct E820Map {
    entries: Vec<E820Entry>,
}

impl E820Map {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The map of entries in any order that may lie over each other: where they do, the type with the larger
    /// number counts, as in `sanitize_e820_map`. Neighbours that come from one entry, or have one type where
    /// they lay over each other, are one entry.
    ///
    /// ```text
    /// 1   |-----RAM-----------|-----RAM----|
    /// 2         |reserved|
    ///     |-RAM-|reserved|RAM-|-----RAM----|
    /// ```
    #[must_use]
    pub fn overlaid(entries: &[E820Entry]) -> Self {
        let mut edges: Vec<PhysAddr> = entries.iter().flat_map(|entry| [entry.range.start, entry.range.end]).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut waiting: Vec<&E820Entry> = entries.iter().filter(|entry| !entry.range.is_empty()).collect();
        waiting.sort_by_key(|entry| std::cmp::Reverse(entry.range.start));
        // Those that lie over the current edge, and perhaps some that no longer do: type, end, start.
        let mut open: BinaryHeap<(E820Type, PhysAddr, PhysAddr)> = BinaryHeap::new();
        let mut map: Vec<E820Entry> = Vec::new();
        let mut reached = PhysAddr::default();
        for edge in edges.windows(2) {
            let (start, end) = (edge[0], edge[1]);
            while let Some(entry) = waiting.pop_if(|entry| entry.range.start <= start) {
                open.push((entry.kind, entry.range.end, entry.range.start));
            }
            while open.peek().is_some_and(|(_, end, _)| *end <= start) {
                open.pop();
            }
            let Some((kind, top_end, top_start)) = open.peek().copied() else { continue };
            let goes_on = start < reached || top_start < start;
            match map.last_mut() {
                Some(last) if last.range.end == start && last.kind == kind && goes_on => last.range.end = end,
                _ => map.push(E820Entry { range: PhysRange::new(start, end), kind }),
            }
            reached = top_end;
        }
        Self { entries: map }
    }

    /// Adds an entry behind the last one.
    ///
    /// # Errors
    /// Gives the last entry back if the new one starts before its end.
    pub fn push(&mut self, entry: E820Entry) -> Result<(), E820Entry> {
        match self.entries.last() {
            Some(last) if entry.range.start < last.range.end => Err(*last),
            _ => {
                self.entries.push(entry);
                Ok(())
            }
        }
    }

    /// The entries, ascending.
    #[must_use]
    pub fn entries(&self) -> &[E820Entry] {
        &self.entries
    }

    /// The RAM entries, ascending.
    pub fn ram(&self) -> impl DoubleEndedIterator<Item = PhysRange> + '_ {
        self.entries.iter().filter(|entry| entry.kind == E820Type::Ram).map(|entry| entry.range)
    }

    /// Bytes of RAM.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram().map(PhysRange::len).sum()
    }

    /// Whether one RAM entry holds the whole range.
    #[must_use]
    pub fn one_ram_entry_holds(&self, range: PhysRange) -> bool {
        self.ram().any(|ram| ram.covers(range))
    }

    /// Whether any entry touches the range (`e820_any_mapped` with type 0).
    #[must_use]
    pub fn any(&self, range: PhysRange) -> bool {
        self.touching(range).next().is_some()
    }

    /// Whether an entry that memblock takes as memory touches the range (`e820_any_mapped` for RAM and
    /// kernel-reserved).
    #[must_use]
    pub fn any_memory(&self, range: PhysRange) -> bool {
        self.touching(range).any(|entry| entry.kind.is_memory())
    }

    /// The largest end of any entry.
    #[must_use]
    pub fn end(&self) -> PhysAddr {
        self.entries.last().map_or_else(PhysAddr::default, |entry| entry.range.end)
    }

    fn touching(&self, range: PhysRange) -> impl Iterator<Item = &E820Entry> {
        let first = self.entries.partition_point(|entry| entry.range.end <= range.start);
        self.entries[first..].iter().take_while(move |entry| entry.range.start < range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_overlaid_entries_the_larger_type_counts_at_every_byte(
            entries in prop::collection::vec((0u64..60, 1u64..20, 0usize..6), 0..12),
        ) {
            let entry = |&(start, len, kind): &(u64, u64, usize)| {
                E820Entry { range: PhysRange::from_numbers(start, start + len), kind: E820Type::ALL[kind] }
            };
            let entries: Vec<E820Entry> = entries.iter().map(entry).collect();
            let map = E820Map::overlaid(&entries);
            let mut checked = E820Map::new();
            for entry in map.entries() {
                prop_assert!(!entry.range.is_empty());
                prop_assert_eq!(checked.push(*entry), Ok(()));
            }
            for at in (0..90).map(PhysAddr::new) {
                let kind_in = |entries: &[E820Entry]| {
                    entries.iter().filter(|entry| entry.range.contains(at)).map(|entry| entry.kind).max()
                };
                prop_assert_eq!(kind_in(map.entries()), kind_in(&entries), "{:x}", at);
            }
        }
    }

    #[test]
    fn entries_that_only_touch_stay_apart() {
        let entry = |start, end| E820Entry { range: PhysRange::from_numbers(start, end), kind: E820Type::Ram };
        let entries = [entry(0, 0x1000), entry(0x1000, 0x2000)];
        assert_eq!(E820Map::overlaid(&entries).entries(), entries);
    }
}
