// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words a line of a layout file can begin with.

use std::fmt;

/// The first word of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Geometry,
    E820,
    Kernel,
    Brk,
    Reserve,
    BootMapped,
    Pse,
    Gbpages,
    Nx,
    Pge,
    Trampoline,
    Numa,
    Memtest,
    Dom0,
    Xen,
    Node,
    Acpi,
    XenMapped,
    XenPt,
    XenMfnList,
    P2m,
}

impl Key {
    /// Every key, in the order of its discriminant.
    pub(super) const ALL: [(Self, &'static str); 22] = [
        (Self::Name, "name"),
        (Self::Geometry, "geometry"),
        (Self::E820, "e820"),
        (Self::Kernel, "kernel"),
        (Self::Brk, "brk"),
        (Self::Reserve, "reserve"),
        (Self::BootMapped, "boot_mapped"),
        (Self::Pse, "pse"),
        (Self::Gbpages, "gbpages"),
        (Self::Nx, "nx"),
        (Self::Pge, "pge"),
        (Self::Trampoline, "trampoline"),
        (Self::Numa, "numa"),
        (Self::Memtest, "memtest"),
        (Self::Dom0, "dom0"),
        (Self::Xen, "xen"),
        (Self::Node, "node"),
        (Self::Acpi, "acpi"),
        (Self::XenMapped, "xen_mapped"),
        (Self::XenPt, "xen_pt"),
        (Self::XenMfnList, "xen_mfn_list"),
        (Self::P2m, "p2m"),
    ];

    /// The key that is this word.
    pub(super) fn find(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(key, _)| *key)
    }

    /// Its word.
    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether its line holds an address.
    pub(super) fn has_address(self) -> bool {
        matches!(
            self,
            Self::E820
                | Self::Kernel
                | Self::Brk
                | Self::Reserve
                | Self::BootMapped
                | Self::Node
                | Self::Acpi
                | Self::XenMapped
                | Self::XenPt
                | Self::XenMfnList
                | Self::P2m
        )
    }

    /// Whether a file may hold many lines of it.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::E820 | Self::Reserve | Self::Node | Self::P2m)
    }
}

/// All keys, for a message.
pub(super) struct KeyNames;

impl fmt::Display for KeyNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Key::ALL.map(|(_, name)| name).join(", "))
    }
}
