// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of the page tables and the landmarks of the address space, as one value.
//!
//! Everything in the model, strategies included, takes page size, entries per table, levels and every
//! fixed address from here, so the same code can be run on tables of four entries.

use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange, VirtAddr};

/// Where the direct map of x86-64 with four levels ends; a kernel uses no memory above (`MAXMEM`;
/// Documentation/x86/x86_64/mm.txt gives it 64 TiB).
pub const DIRECT_MAP_END: PhysAddr = PhysAddr::new(64 << 40);
/// Where the kernel's image is mapped on x86-64, physical address 0 first (`__START_KERNEL_map`).
pub const KERNEL_MAP: VirtAddr = VirtAddr::new(0xffff_ffff_8000_0000);
/// How far that mapping reaches (`KERNEL_IMAGE_SIZE`, with a random address of the image).
pub const KERNEL_MAP_BYTES: u64 = 1 << 30;

/// A level of the page tables. Level 1 tables map pages; an entry of a level `n` table covers as much as
/// a whole level `n - 1` table. Intel SDM vol. 3A, "4-Level Paging": 1 is a page table (PTE), 2 a page
/// directory (PMD), 3 a page-directory-pointer table (PUD), 4 the PML4 (PGD).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Level(u8);

impl Level {
    /// Page tables: their entries map one page each.
    pub const L1: Self = Self(1);
    /// Page directories (PMD): an entry links an L1 table or maps 2 MiB on x86-64.
    pub const L2: Self = Self(2);
    /// Page-directory-pointer tables (PUD): an entry links an L2 table or maps 1 GiB on x86-64.
    pub const L3: Self = Self(3);
    /// The PML4 (PGD): the root on x86-64.
    pub const L4: Self = Self(4);

    /// The level with this number.
    #[must_use]
    pub const fn new(n: u8) -> Self {
        Self(n)
    }

    /// Its number, 1 for the tables that map pages.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The level of the tables that an entry of this level links; `None` for level 1.
    #[must_use]
    pub const fn below(self) -> Option<Self> {
        if 1 < self.0 { Some(Self(self.0 - 1)) } else { None }
    }
}

/// Table shape and landmarks. Sizes and addresses are in bytes unless the name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// log2 of the page size.
    pub page_shift: u32,
    /// log2 of the entries per table.
    pub table_shift: u32,
    /// How many levels; the root is a table of this level.
    pub levels: u8,
    /// Start of the hole between conventional memory and the ISA area's end (VGA, option ROMs).
    pub isa_start: PhysAddr,
    /// End of the ISA area.
    pub isa_end: PhysAddr,
    /// The 4 GiB line: memory below it is "low" to the kernel and to devices.
    pub low_end: PhysAddr,
    /// Where kernels up to 2.6.38 begin to look for table space.
    pub low_tables_start: PhysAddr,
    /// Size of the trampoline for starting other processors.
    pub trampoline_bytes: u64,
    /// Size of one node's data (`pg_data_t`), rounded up to pages.
    pub node_data_bytes: u64,
    /// Alignment of node data.
    pub node_data_align: u64,
    /// Node data is not looked for below this address (the end of ISA DMA memory).
    pub node_data_start: PhysAddr,
    /// Nodes smaller than this get no data.
    pub node_min_bytes: u64,
    /// A node's start is rounded up to this before its data is placed.
    pub zone_align: u64,
    /// Size of one entry of the range array.
    pub range_entry_bytes: u64,
    /// Pages the kernel image's own static page tables and their neighbours take at its end.
    pub static_table_pages: u64,
    /// BRK pages Linux up to 2.6.39 uses to extend the map Xen's domain builder left.
    pub identity_table_pages: u64,
    /// BRK pages set aside as a pool of early tables from 3.9 on.
    pub pool_pages: u64,
    /// The line below which a crash kernel must lie to be loaded by kernels of the time.
    pub crashkernel_end: PhysAddr,
    /// The largest physical address a layout may name, plus one.
    pub phys_end: PhysAddr,
}

impl Geometry {
    /// Four levels of 512 entries over 4 KiB pages, and Linux's landmarks of 2011.
    pub const X86_64: Self = Self {
        page_shift: 12,
        table_shift: 9,
        levels: 4,
        isa_start: PhysAddr::new(0xa_0000),
        isa_end: PhysAddr::new(0x10_0000),
        low_end: PhysAddr::new(0x1_0000_0000),
        low_tables_start: PhysAddr::new(0x8000),
        trampoline_bytes: 0x5000,
        node_data_bytes: 0x5000,
        node_data_align: 64,
        node_data_start: PhysAddr::new(0x100_0000),
        node_min_bytes: 0x40_0000,
        zone_align: 0x40_0000,
        range_entry_bytes: 16,
        static_table_pages: 8,
        identity_table_pages: 4,
        pool_pages: 5,
        crashkernel_end: PhysAddr::new(0x3800_0000),
        phys_end: PhysAddr::new(1 << 52),
    };

    /// Four levels of four entries over 4 KiB pages, and landmarks that shrink with them: a "2 MiB" leaf maps
    /// 4 pages, a "1 GiB" leaf 16, and an entry of the root 64. All of it is 256 pages, so every machine of
    /// a few frames can be run.
    pub const TINY: Self = Self {
        page_shift: 12,
        table_shift: 2,
        levels: 4,
        isa_start: PhysAddr::new(0x2000),
        isa_end: PhysAddr::new(0x2000),
        low_end: PhysAddr::new(0x2_0000),
        low_tables_start: PhysAddr::new(0x1000),
        trampoline_bytes: 0x1000,
        node_data_bytes: 0x1000,
        node_data_align: 64,
        node_data_start: PhysAddr::new(0x2000),
        node_min_bytes: 0x1000,
        zone_align: 0x1000,
        range_entry_bytes: 16,
        static_table_pages: 8,
        identity_table_pages: 1,
        pool_pages: 2,
        crashkernel_end: PhysAddr::new(0xe000),
        phys_end: PhysAddr::new(1 << 20),
    };

    /// The geometries that a layout file can name.
    const NAMED: [(&'static str, Self); 2] = [("x86-64", Self::X86_64), ("tiny", Self::TINY)];

    /// The geometry with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, geometry)| *geometry)
    }

    /// Its name in a layout file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::NAMED.iter().find(|(_, geometry)| geometry == self).map_or("unnamed", |(name, _)| name)
    }

    /// Size of a page.
    #[must_use]
    pub const fn page_bytes(&self) -> u64 {
        1 << self.page_shift
    }

    /// Entries per table.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        1 << self.table_shift
    }

    /// The root's level.
    #[must_use]
    pub const fn root_level(&self) -> Level {
        Level(self.levels)
    }

    /// How many pages one entry of a table of this level covers.
    #[must_use]
    pub const fn pages_per_entry(&self, level: Level) -> u64 {
        1 << (self.table_shift * (level.0 as u32 - 1))
    }

    /// How many pages a whole table of this level covers.
    #[must_use]
    pub const fn pages_per_table(&self, level: Level) -> u64 {
        1 << (self.table_shift * level.0 as u32)
    }

    /// Which entry of a table of this level covers the page.
    #[must_use]
    pub const fn slot(&self, level: Level, pfn: Pfn) -> u64 {
        (pfn.get() >> (self.table_shift * (level.0 as u32 - 1))) & (self.entries() - 1)
    }

    /// The page that holds the address.
    #[must_use]
    pub const fn pfn_down(&self, addr: PhysAddr) -> Pfn {
        Pfn::new(addr.get() >> self.page_shift)
    }

    /// The first page that starts at or after the address.
    #[must_use]
    pub const fn pfn_up(&self, addr: PhysAddr) -> Pfn {
        Pfn::new(addr.align_up(self.page_bytes()).get() >> self.page_shift)
    }

    /// Where the page starts.
    #[must_use]
    pub const fn addr(&self, pfn: Pfn) -> PhysAddr {
        PhysAddr::new(pfn.get() << self.page_shift)
    }

    /// The bytes of the pages.
    #[must_use]
    pub const fn bytes(&self, pages: PfnRange) -> PhysRange {
        PhysRange::new(self.addr(pages.start), self.addr(pages.end))
    }

    /// The pages that lie wholly inside the bytes.
    #[must_use]
    pub const fn whole_pages(&self, bytes: PhysRange) -> PfnRange {
        PfnRange::new(self.pfn_up(bytes.start), self.pfn_down(bytes.end))
    }

    /// The pages that the bytes touch.
    #[must_use]
    pub const fn touched_pages(&self, bytes: PhysRange) -> PfnRange {
        PfnRange::new(self.pfn_down(bytes.start), self.pfn_up(bytes.end))
    }

    /// The end of what the tables can map at all.
    #[must_use]
    pub const fn end_of_map(&self) -> Pfn {
        Pfn::new(self.pages_per_table(self.root_level()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_into_slots_as_the_processor_does() {
        let geometry = Geometry::X86_64;
        let pfn = geometry.pfn_down(PhysAddr::new(0x30_0460_0000));
        assert_eq!(geometry.slot(Level::L4, pfn), 0);
        assert_eq!(geometry.slot(Level::L3, pfn), 0xc0);
        assert_eq!(geometry.slot(Level::L2, pfn), 0x23);
        assert_eq!(geometry.slot(Level::L1, pfn), 0);
        assert_eq!(geometry.pages_per_entry(Level::L3), 0x40000);
    }
}
