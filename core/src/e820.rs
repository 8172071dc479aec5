// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's memory map: which physical ranges are RAM, and what the others are for.

use crate::addr::{PhysAddr, PhysRange};

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
