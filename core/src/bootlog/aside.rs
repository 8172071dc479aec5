// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines about memory that are no part of a layout, and the stage of the boot they belong to: what the
//! firmware's map was made of, and what the kernel did after the early page tables, or with them.
//!
//! Source: the corpus; every line of it with a range of addresses is a map's, a [`Fact`] or one of these.

use super::fact::Fact;
use std::fmt;

/// Where a line belongs that a layout has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aside {
    /// The firmware's own tables, which the map was made of before it was printed.
    Firmware,
    /// What the kernel changes of its map, or derives from it, without printing a new one.
    Map,
    /// What the build of the early page tables did: a result, not a machine.
    Build,
    /// Nodes and zones, set up after the build.
    Zones,
    /// What was placed after the build: node data, bootmem, memory map, a moved ramdisk.
    Placed,
    /// What Xen's domain builder or the kernel did to give this domain its frames.
    Domain,
    /// A later boot of the machine.
    LaterBoot,
}

impl Aside {
    /// All of them, in the order of a boot.
    pub const ALL: [Self; 7] =
        [Self::Firmware, Self::Domain, Self::Map, Self::Build, Self::Zones, Self::Placed, Self::LaterBoot];

    /// Where a fact belongs that was not taken.
    pub(super) const fn of(fact: &Fact) -> Self {
        match fact {
            Fact::MappingCall(_)
            | Fact::TableSpace { .. }
            | Fact::Piece { .. }
            | Fact::BrkTable(_)
            | Fact::BootMapped(_) => Self::Build,
            Fact::SratNode { .. } => Self::Firmware,
            Fact::SetUpNode { .. } | Fact::OneNode => Self::Zones,
            Fact::NodeData(_) | Fact::Reserved { .. } | Fact::CrashKernel(_) | Fact::Trampoline(_) => Self::Placed,
            Fact::Xen { .. } | Fact::Identity(_) | Fact::Released(_) | Fact::Populated(_) => Self::Domain,
            Fact::Kernel(_) | Fact::CommandLine(_) | Fact::Nx(_) | Fact::GbPages => Self::Map,
        }
    }
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firmware => "the firmware's tables, which the map was made of",
            Self::Map => "changes of the map, or what follows from it",
            Self::Build => "the build of the early page tables, which a strategy repeats",
            Self::Zones => "nodes and zones, set up after the build",
            Self::Placed => "what was placed after the build",
            Self::LaterBoot => "a later boot",
            Self::Domain => "how the domain got its frames",
        })
    }
}

/// Words of such lines. The first that a line has decides.
pub(super) const WORDS: [(&str, Aside); 34] = [
    ("efi: mem", Aside::Firmware),
    ("found SMP MP-table at", Aside::Firmware),
    ("Reserving ESRT space", Aside::Firmware),
    ("Failed to add memblk", Aside::Firmware),
    ("e820: update ", Aside::Map),
    ("e820: remove ", Aside::Map),
    ("e820 update range", Aside::Map),
    ("e820 remove range", Aside::Map),
    ("reserve RAM buffer", Aside::Map),
    ("last_pfn = ", Aside::Map),
    ("available for PCI devices", Aside::Map),
    ("low ram: ", Aside::Map),
    ("memblock_reserve: ", Aside::Placed),
    ("memblock_free: ", Aside::Placed),
    ("reserved array is doubled", Aside::Placed),
    ("PMD -> [", Aside::Placed),
    ("==> bootmem [", Aside::Placed),
    ("  bootmap ", Aside::Placed),
    ("initrd moved from", Aside::Placed),
    ("    .init : 0x", Aside::Placed),
    ("    .data : 0x", Aside::Placed),
    ("    .text : 0x", Aside::Placed),
    ("Early memory node ranges", Aside::Zones),
    ("node  ", Aside::Zones),
    (": 0x0", Aside::Zones),
    ("NUMA: Node ", Aside::Zones),
    // A node without memory.
    ("-0x0000000000000000]", Aside::Zones),
    ("DMA      ", Aside::Zones),
    ("DMA32    ", Aside::Zones),
    ("Normal   ", Aside::Zones),
    ("HighMem  ", Aside::Zones),
    ("Dom0 alloc.:", Aside::Domain),
    ("pages of unused memory", Aside::Domain),
    ("Remapped ", Aside::Domain),
];

/// Where a line belongs that says nothing else.
pub(super) fn read(line: &str) -> Option<Aside> {
    WORDS.iter().find(|(word, _)| line.contains(word)).map(|(_, aside)| *aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_stages_are_told_apart() {
        for (line, expected) in [
            ("efi: mem00: type=3, attr=0xf, range=[0x0000000000000000-0x0000000000001000) (0MB)", Aside::Firmware),
            ("e820: remove [mem 0x000a0000-0x000fffff] usable", Aside::Map),
            ("  node   0: [mem 0x0000000000001000-0x000000000008efff]", Aside::Zones),
            ("  DMA32    0x00001000 -> 0x00100000", Aside::Zones),
            ("    0: 0x00000010 -> 0x000000a0", Aside::Zones),
            ("initrd moved from [mem 0x08000000-0x10b5a724] to [mem 0x18537000-0x21091724]", Aside::Placed),
            ("(XEN)  Dom0 alloc.:   0000000220000000->0000000224000000 (1 pages to be allocated)", Aside::Domain),
        ] {
            assert_eq!(read(line), Some(expected), "{line}");
        }
        assert_eq!(read("usb 1-1: new high-speed USB device number 2"), None);
    }
}
