// SPDX-License-Identifier: MIT OR Apache-2.0
//! A layout as a boot log: [`print`], the inverse of [`BootLog::import`](super::BootLog::import) for what a
//! log can say.
//!
//! A log cannot say: global pages off, NUMA off, where BRK starts, a dom0 that is none on a machine with
//! firmware's tables. Page 0 and the ISA hole are never RAM in an imported layout.

use crate::addr::{PhysAddr, PhysRange};
use crate::e820::E820Type;
use crate::geometry::KERNEL_MAP;
use crate::layout::{Backend, Layout, Machine};
use std::fmt::{self, Write};

/// How a kernel of some time prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `S - E`, the end exclusive: up to 3.4.
    Old,
    /// `[mem S-E]`, the end inclusive: since 3.5.
    Mem,
    /// `[mem S-E]`, with sizes, new names of the types, and the gaps between: since 2025.
    Gaps,
}

impl Style {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Old, Self::Mem, Self::Gaps];
}

/// The lines a kernel, and Xen under it, would print of the machine.
#[must_use]
pub fn print(layout: &Layout, style: Style) -> String {
    let mut out = String::new();
    let written = write_log(&mut out, layout, style);
    debug_assert!(written.is_ok(), "writing to a string never fails");
    out
}

fn write_log(out: &mut String, layout: &Layout, style: Style) -> fmt::Result {
    let is_xen = layout.backend == Backend::Xen;
    let kind = match (is_xen, layout.switches.dom0) {
        (false, _) => "native",
        (true, true) => "xen-dom0",
        (true, false) => "xen-domU",
    };
    writeln!(out, "# kind: {kind}")?;
    if is_xen {
        write_builder(out, layout)?;
    }
    if layout.switches.memtest {
        writeln!(out, "Command line: root=/dev/sda1 memtest=1")?;
    }
    let whose = if is_xen { "Xen" } else { "BIOS-e820" };
    let mut reached = PhysAddr::default();
    for entry in layout.e820.entries() {
        if style == Style::Gaps && reached < entry.range.start {
            let gap = PhysRange::new(reached, entry.range.start);
            writeln!(out, "{whose}: [gap {}]", inclusive(gap))?;
        }
        reached = entry.range.end;
        match style {
            Style::Old => {
                let PhysRange { start, end } = entry.range;
                writeln!(out, " {whose}: {start:016x} - {end:016x} ({})", type_name(entry.kind))?;
            }
            Style::Mem => writeln!(out, "{whose}: [mem {}] {}", inclusive(entry.range), type_name(entry.kind))?,
            Style::Gaps => writeln!(out, "{whose}: [mem {}] {}", inclusive(entry.range), new_type_name(entry.kind))?,
        }
    }
    let nx = if layout.switches.nx { "active" } else { "disabled in BIOS by default" };
    writeln!(out, "NX (Execute Disable) protection: {nx}")?;
    writeln!(
        out,
        "initial memory mapped: [mem {}]",
        inclusive(PhysRange::new(PhysAddr::default(), layout.boot_mapped))
    )?;
    if layout.switches.gbpages {
        writeln!(out, "Using GB pages for direct mapping")?;
    }
    let page = if layout.switches.pse { "2M" } else { "4k" };
    match style {
        Style::Old => writeln!(out, " 0000000000 - 0040000000 page {page}")?,
        Style::Mem | Style::Gaps => writeln!(out, " [mem 0x00000000-0x3fffffff] page {page}")?,
    }
    for node in &layout.nodes {
        match style {
            Style::Old => {
                writeln!(out, "SRAT: Node {0} PXM {0} {1:x}-{2:x}", node.id, node.range.start, node.range.end)?
            }
            Style::Mem => writeln!(out, "SRAT: Node {0} PXM {0} [mem {1}]", node.id, inclusive(node.range))?,
            Style::Gaps => writeln!(out, "Initmem setup node {} [mem {}]", node.id, inclusive(node.range))?,
        }
    }
    write_reservations(out, layout, style)?;
    let every = crate::addr::PfnRange::new(Default::default(), layout.geometry.end_of_map());
    for run in layout.p2m.runs(every) {
        let (start, end) = (run.pages.start, run.pages.end);
        match run.machine {
            Machine::Frame(_) => {}
            Machine::Identity(_) => writeln!(out, "1-1 mapping on {start:x}->{end:x}")?,
            Machine::Invalid => writeln!(out, "Freeing {start:x}-{end:x} pfn range: {} pages freed", run.pages.len())?,
        }
    }
    Ok(())
}

fn write_builder(out: &mut String, layout: &Layout) -> fmt::Result {
    let Some(xen) = layout.xen else { return Ok(()) };
    let ramdisk = layout.reservations.iter().find(|reservation| reservation.name == "RAMDISK");
    let tables_end = xen.pt_base.saturating_add(xen.pt_frames * layout.geometry.page_bytes());
    let blocks = [
        ("Loaded kernel:", Some(layout.kernel)),
        ("Init. ramdisk:", ramdisk.map(|reservation| reservation.range)),
        ("Phys-Mach map:", Some(PhysRange::new(xen.mfn_list, xen.pt_base))),
        ("Page tables:  ", Some(PhysRange::new(xen.pt_base, tables_end))),
        ("TOTAL:        ", Some(PhysRange::new(PhysAddr::default(), xen.mapped_end))),
    ];
    writeln!(out, "(XEN) VIRTUAL MEMORY ARRANGEMENT:")?;
    for (name, range) in blocks {
        let Some(range) = range else { continue };
        let address = |at: PhysAddr| KERNEL_MAP.get().wrapping_add(at.get());
        writeln!(out, "(XEN)  {name} {:016x}->{:016x}", address(range.start), address(range.end))?;
    }
    Ok(())
}

fn write_reservations(out: &mut String, layout: &Layout, style: Style) -> fmt::Result {
    let is_xen = layout.backend == Backend::Xen;
    let mut number = 0;
    let mut write = |out: &mut String, range: PhysRange, name: &str| {
        number += 1;
        let PhysRange { start, end } = range;
        writeln!(out, "  #{number} [{start:010x} - {end:010x}] {name:>16} ==> [{start:010x} - {end:010x}]")
    };
    if !is_xen {
        write(out, layout.kernel, "TEXT DATA BSS")?;
    }
    for reservation in &layout.reservations {
        let range = reservation.range;
        match (&*reservation.name, style) {
            ("RAMDISK", _) if is_xen => {}
            ("RAMDISK", Style::Old) => writeln!(out, "RAMDISK: {:08x} - {:08x}", range.start, range.end)?,
            ("RAMDISK", Style::Mem | Style::Gaps) => writeln!(out, "RAMDISK: [mem {}]", inclusive(range))?,
            (name, _) => write(out, range, name)?,
        }
    }
    Ok(())
}

fn inclusive(range: PhysRange) -> String {
    format!("0x{:016x}-0x{:016x}", range.start, range.end.saturating_sub(1))
}

/// As `e820_print_type` had it until 2025.
const fn type_name(kind: E820Type) -> &'static str {
    match kind {
        E820Type::Ram | E820Type::ReservedKern => "usable",
        E820Type::Reserved => "reserved",
        E820Type::AcpiData => "ACPI data",
        E820Type::AcpiNvs => "ACPI NVS",
        E820Type::Unusable => "unusable",
    }
}

const fn new_type_name(kind: E820Type) -> &'static str {
    match kind {
        E820Type::Ram => "  12   MB System RAM",
        E820Type::Reserved => "   4   KB device reserved",
        E820Type::ReservedKern => "   4   KB kernel usable RAM",
        E820Type::AcpiData | E820Type::AcpiNvs | E820Type::Unusable => type_name(kind),
    }
}
