// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a layout file: [`Layout::render`], the inverse of [`Layout::parse`].

use std::fmt::{self, Write as _};

use super::parse::BOOT_MAPPED;
use super::{Backend, Layout, P2m, Switches};
use crate::addr::{PfnRange, PhysRange};
use crate::geometry::Geometry;

impl Layout {
    /// The layout as a file. Lines that only say the default are left out, but for `nx` and (natively)
    /// `gbpages`, which the imported machines always state.
    ///
    /// Reading the text gives an equal layout as long as the layout could have come from a file: names
    /// are one word (any character that cannot stand in one is written as `-`), and the geometry is one that
    /// has a name.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_file().to_string()
    }

    fn to_file(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| self.write(f))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_xen = self.backend == Backend::Xen;
        writeln!(f, "name {}", one_word(&self.name))?;
        if self.geometry != Geometry::X86_64 {
            writeln!(f, "geometry {}", self.geometry.name())?;
        }
        for entry in self.e820.entries() {
            writeln!(f, "e820 {} {}", bytes(entry.range), entry.kind.number())?;
        }
        writeln!(f, "kernel {}", bytes(self.kernel))?;
        if self.brk != self.kernel.end {
            writeln!(f, "brk {:x}", self.brk)?;
        }
        if self.boot_mapped != BOOT_MAPPED {
            writeln!(f, "boot_mapped {:x}", self.boot_mapped)?;
        }
        self.write_switch(f, "trampoline", |switches| switches.trampoline)?;
        for reservation in &self.reservations {
            writeln!(f, "reserve {} {}", bytes(reservation.range), one_word(&reservation.name))?;
        }
        if let Some(xen) = self.xen {
            writeln!(f, "xen_mfn_list {:x}", xen.mfn_list)?;
            writeln!(f, "xen_pt {:x} {}", xen.pt_base, xen.pt_frames)?;
            writeln!(f, "xen_mapped {:x}", xen.mapped_end)?;
        }
        if is_xen {
            writeln!(f, "xen 1")?;
        }
        writeln!(f, "nx {}", u8::from(self.switches.nx))?;
        if is_xen {
            self.write_switch(f, "gbpages", |switches| switches.gbpages)?;
        } else {
            writeln!(f, "gbpages {}", u8::from(self.switches.gbpages))?;
        }
        self.write_switch(f, "pse", |switches| switches.pse)?;
        self.write_switch(f, "pge", |switches| switches.pge)?;
        self.write_switch(f, "numa", |switches| switches.numa)?;
        self.write_switch(f, "memtest", |switches| switches.memtest)?;
        self.write_switch(f, "dom0", |switches| switches.dom0)?;
        for node in &self.nodes {
            writeln!(f, "node {} {}", node.id, bytes(node.range))?;
        }
        if let Some(acpi) = self.acpi {
            writeln!(f, "acpi {acpi:x}")?;
        }
        write_p2m(f, &self.p2m, &self.geometry)
    }

    /// A line for a switch that differs from the default.
    fn write_switch(&self, f: &mut fmt::Formatter<'_>, key: &str, read: fn(&Switches) -> bool) -> fmt::Result {
        let is_on = read(&self.switches);
        if is_on == read(&Switches::DEFAULT) { Ok(()) } else { writeln!(f, "{key} {}", u8::from(is_on)) }
    }
}

fn write_p2m(f: &mut fmt::Formatter<'_>, p2m: &P2m, geometry: &Geometry) -> fmt::Result {
    let mut write = |word: &str, ranges: &[PfnRange]| {
        ranges.iter().try_for_each(|frames| writeln!(f, "p2m {word} {}", bytes(geometry.bytes(*frames))))
    };
    write("invalid", &p2m.invalid)?;
    write("identity", &p2m.identity)
}

fn bytes(range: PhysRange) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "{:x} {:x}", range.start, range.end))
}

/// The name as a word of the format: what cannot stand in one is a `-`.
pub(crate) fn one_word(name: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        let is_foreign = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '#' | '\u{fffd}' | '\u{feff}');
        if name.is_empty() {
            f.write_char('-')?;
        }
        name.chars().try_for_each(|c| f.write_char(if is_foreign(c) { '-' } else { c }))
    })
}
