// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a log's map to the layouts of its cells: where kernel and ramdisk lie, and what Xen's domain
//! builder would have left. The rules are fixed (formats, section 1b), so the same log always makes the
//! same cells.

use super::{BootLog, LogEntry, LogKind};
use crate::addr::{PfnRange, PhysAddr, PhysRange};
use crate::e820::{E820Entry, E820Map, E820Type};
use crate::geometry::{Geometry, Level};
use crate::layout::{BOOT_MAPPED, Backend, Layout, P2m, Reservation, Switches, XenBoot, before_or_at_start};

/// Where a kernel is loaded by default (`CONFIG_PHYSICAL_START`), with room for its image.
const KERNEL: PhysRange = PhysRange::from_numbers(0x100_0000, 0x200_0000);
/// Where it goes on a machine that has a hole there: the default up to 2.6.30.
const LOW_KERNEL: PhysRange = PhysRange::from_numbers(0x20_0000, 0x100_0000);

const RAMDISK: &str = "RAMDISK";
/// What the image keeps for early BRK tables. It puts the ramdisk behind a kernel that ends at 32 MiB where it was in the
/// domain of the message of Linux commit 92bdaef7b2c5, at 0x203b000.
pub(super) const BRK_BYTES: u64 = 0x3_b000;
const XEN_RAMDISK_BYTES: u64 = 12 << 20;
/// What the builder puts between the p2m list and its page tables: start info and its neighbours.
const XEN_INFO_PAGES: u64 = 3;
/// Room for page tables that is there before the slack begins.
const XEN_TABLE_PAGES: u64 = 64;
/// The builder leaves at least 512 KiB mapped and free, and maps multiples of 4 MiB (Xen
/// `dom0_construct_pv`, xen/arch/x86/pv/dom0_build.c).
const XEN_SLACK_BYTES: u64 = 512 << 10;
const XEN_MAP_ALIGN: u64 = 4 << 20;
/// The builder's frames beside those that map 2 MiB each: root, L3, L2 and a spare one.
const XEN_UPPER_FRAMES: u64 = 4;

/// Why no layout can be made of a log, or none for Xen of a layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootLogError {
    /// No kernel printed a memory map.
    #[error("no e820 lines")]
    NoE820,
    /// The map has no RAM that a kernel would use.
    #[error("line {line}: the memory map that starts here has no usable range")]
    NoRam {
        /// The map's first line.
        line: usize,
    },
    /// A range of the map has no bytes.
    #[error("line {line}: range ends at {:#x}, {} {:#x}", .range.end, before_or_at_start(*.range), .range.start)]
    EmptyRange {
        /// The line.
        line: usize,
        /// The range.
        range: PhysRange,
    },
    /// A range of the map starts inside the one above it.
    #[error("line {line}: range starts at {start:#x}, before the end {last_end:#x} of the one in line {last_line}")]
    Overlap {
        /// The line.
        line: usize,
        /// Where the range starts.
        start: PhysAddr,
        /// The line of the one above.
        last_line: usize,
        /// Where that one ends.
        last_end: PhysAddr,
    },
    /// A range of the map lies above what a processor can address.
    #[error("line {line}: range ends at {end:#x}; expected at most {largest:#x}")]
    TooHigh {
        /// The line.
        line: usize,
        /// Where the range ends.
        end: PhysAddr,
        /// The largest end.
        largest: PhysAddr,
    },
    /// No place for a kernel image.
    #[error(
        "no room for the kernel image: neither [{:#x}, {:#x}) nor [{:#x}, {:#x}) lies in one usable range",
        KERNEL.start, KERNEL.end, LOW_KERNEL.start, LOW_KERNEL.end
    )]
    NoRoomForKernel,
    /// No place for what the domain builder leaves behind the kernel. The cell is skipped.
    #[error("no room for Xen's boot objects")]
    NoRoomForXen,
    /// A PV guest's log makes no native cell.
    #[error("the memory map of a {kind} log is Xen's making; it has no native cell")]
    NotNative {
        /// What wrote the log.
        kind: LogKind,
    },
}

impl BootLogError {
    /// Whether the machine is fine and only this cell of it cannot exist.
    #[must_use]
    pub const fn is_skipped_cell(&self) -> bool {
        matches!(self, Self::NoRoomForXen)
    }
}

impl BootLog {
    /// The machine booted natively.
    ///
    /// # Errors
    /// If the map is missing or broken (the error names the line), if no kernel fits, or if the log is a
    /// PV guest's.
    pub fn native(&self, name: &str) -> Result<Layout, BootLogError> {
        if !self.kind().has_native_cell() {
            return Err(BootLogError::NotNative { kind: self.kind() });
        }
        let mut layout = self.machine(name)?;
        layout.switches.gbpages = self.has_gb_pages();
        if let Some(bytes) = self.ramdisk() {
            let geometry = layout.geometry;
            let range = geometry.bytes(geometry.touched_pages(bytes));
            if layout.e820.one_ram_entry_holds(range) && layout.kernel.end <= range.start {
                layout.reservations.push(Reservation { range, name: RAMDISK.to_owned() });
            }
        }
        Ok(layout)
    }

    /// The machine booted as a PV guest of Xen: as dom0, or as domU if the log is one's.
    ///
    /// # Errors
    /// As [`Self::native`], and [`BootLogError::NoRoomForXen`] if the builder's objects do not fit behind
    /// the kernel: that cell is skipped.
    pub fn xen(&self, name: &str) -> Result<Layout, BootLogError> {
        under_xen(self.machine(name)?, self.kind() != LogKind::DomU)
    }

    /// The machine with a kernel in it.
    fn machine(&self, name: &str) -> Result<Layout, BootLogError> {
        let geometry = Geometry::X86_64;
        let entries = &self.first_map().ok_or(BootLogError::NoE820)?.entries;
        let e820 = firmware_map(entries, &geometry)?;
        if e820.ram().next().is_none() {
            return Err(BootLogError::NoRam { line: entries.first().map_or(0, |entry| entry.line) });
        }
        place_kernel(name, e820, None)
    }
}

/// A machine with a kernel in it: where it is known to lie, else where it is loaded by default.
pub(super) fn place_kernel(name: &str, e820: E820Map, known: Option<PhysRange>) -> Result<Layout, BootLogError> {
    let fits = |kernel: &PhysRange| e820.one_ram_entry_holds(*kernel);
    let by_default = || [KERNEL, LOW_KERNEL].into_iter().find(fits);
    let kernel = known.or_else(by_default).ok_or(BootLogError::NoRoomForKernel)?;
    Ok(Layout {
        name: name.to_owned(),
        geometry: Geometry::X86_64,
        e820,
        kernel,
        brk: kernel.end,
        reservations: Vec::new(),
        boot_mapped: BOOT_MAPPED,
        switches: Switches { trampoline: true, ..Switches::DEFAULT },
        nodes: Vec::new(),
        acpi: None,
        backend: Backend::Native,
        xen: None,
        p2m: P2m::default(),
    })
}

/// The Xen dom0 cell of a native layout, by the rules a log's is made by. What the layout reserves besides
/// its ramdisk stays. A Xen layout is its own.
///
/// # Errors
/// [`BootLogError::NoRoomForXen`] if the builder's objects do not fit behind the kernel.
pub fn derive_xen(layout: &Layout) -> Result<Layout, BootLogError> {
    match layout.backend {
        Backend::Native => under_xen(layout.clone(), true),
        Backend::Xen => Ok(layout.clone()),
    }
}

/// The printed map as the kernel keeps it: page 0 reserved (`trim_bios_range`), no RAM in the ISA hole.
///
/// ```text
/// printed   |-----------RAM-----------------------| ..
///           0   1000         a0000     100000
/// kept      |res|-----RAM----|         |---RAM----| ..
/// ```
pub(crate) fn firmware_map(entries: &[LogEntry], geometry: &Geometry) -> Result<E820Map, BootLogError> {
    let mut e820 = E820Map::new();
    let page_0 = PhysRange::from_numbers(0, geometry.page_bytes());
    let above_page_0 = PhysRange::new(page_0.end, geometry.phys_end);
    let below_isa = PhysRange::new(page_0.end, geometry.isa_start);
    let above_isa = PhysRange::new(geometry.isa_end, geometry.phys_end);
    // Checked before, so that every push is accepted: what is cut off only moves ranges apart.
    check_entries(entries, geometry)?;
    let mut push = |range: PhysRange, kind: E820Type| {
        if !range.is_empty() {
            e820.push(E820Entry { range, kind }).expect("the entries ascend");
        }
    };
    push(page_0, E820Type::Reserved);
    for entry in entries {
        if entry.kind == E820Type::Ram {
            push(entry.range.intersect(below_isa), entry.kind);
            push(entry.range.intersect(above_isa), entry.kind);
        } else {
            push(entry.range.intersect(above_page_0), entry.kind);
        }
    }
    Ok(e820)
}

fn check_entries(entries: &[LogEntry], geometry: &Geometry) -> Result<(), BootLogError> {
    let mut above: Option<&LogEntry> = None;
    for entry in entries {
        let LogEntry { range, line, .. } = *entry;
        if range.is_empty() {
            return Err(BootLogError::EmptyRange { line, range });
        }
        if geometry.phys_end < range.end {
            return Err(BootLogError::TooHigh { line, end: range.end, largest: geometry.phys_end });
        }
        if let Some(last) = above.filter(|last| range.start < last.range.end) {
            let (last_line, last_end) = (last.line, last.range.end);
            return Err(BootLogError::Overlap { line, start: range.start, last_line, last_end });
        }
        above = Some(entry);
    }
    Ok(())
}

/// Puts Xen under a machine.
///
/// ```text
/// kernel |  | RAMDISK | p2m list | 3 pages | page tables ..  slack |
///        K                                                         xen_mapped, at a multiple of 4 MiB
/// ```
pub(super) fn under_xen(layout: Layout, is_dom0: bool) -> Result<Layout, BootLogError> {
    let ramdisk_start = layout.kernel.end.saturating_add(BRK_BYTES);
    let ramdisk = PhysRange::new(ramdisk_start, ramdisk_start.saturating_add(XEN_RAMDISK_BYTES));
    under_xen_with(layout, is_dom0, ramdisk)
}

/// The same with a ramdisk, behind the kernel, whose place is known.
pub(super) fn under_xen_with(mut layout: Layout, is_dom0: bool, ramdisk: PhysRange) -> Result<Layout, BootLogError> {
    let geometry = layout.geometry;
    let page_bytes = geometry.page_bytes();
    let mfn_list = ramdisk.end;
    let n_frames = layout.e820.ram_bytes() / page_bytes;
    let list_bytes = PhysAddr::new(8 * n_frames).align_up(page_bytes).get();
    let pt_base = mfn_list.saturating_add(list_bytes + XEN_INFO_PAGES * page_bytes);
    let (mapped_end, pt_frames) = builder_map(pt_base, &geometry);
    if !layout.e820.one_ram_entry_holds(PhysRange::new(layout.kernel.start, mapped_end)) {
        return Err(BootLogError::NoRoomForXen);
    }
    layout.backend = Backend::Xen;
    layout.xen = Some(XenBoot { mapped_end, pt_base, pt_frames, mfn_list });
    layout.switches.gbpages = false;
    layout.reservations.retain(|reservation| reservation.name != RAMDISK);
    layout.reservations.push(Reservation { range: ramdisk, name: RAMDISK.to_owned() });
    layout.switches.dom0 = is_dom0;
    layout.p2m = P2m::default();
    if is_dom0 {
        let mut tables = layout.e820.entries().iter().filter(|entry| entry.kind == E820Type::AcpiData);
        let page_of_table = tables.next().map(|entry| entry.range.start.align_down(page_bytes));
        layout.acpi = page_of_table.or(layout.acpi);
        layout.p2m = P2m::new(&[], &identity_frames(&layout.e820, &geometry));
    }
    Ok(layout)
}

/// The end of what the builder maps, and the frames of its page tables. Those lie inside and map what they
/// lie in, so both grow until they fit.
fn builder_map(pt_base: PhysAddr, geometry: &Geometry) -> (PhysAddr, u64) {
    let bytes_per_l1 = geometry.page_bytes() * geometry.pages_per_entry(Level::L2);
    let least = XEN_TABLE_PAGES * geometry.page_bytes() + XEN_SLACK_BYTES;
    let mut mapped_end = pt_base.saturating_add(least).align_up(XEN_MAP_ALIGN);
    loop {
        let pt_frames = mapped_end.get() / bytes_per_l1 + XEN_UPPER_FRAMES;
        if pt_base.saturating_add(pt_frames * geometry.page_bytes()) <= mapped_end {
            return (mapped_end, pt_frames);
        }
        mapped_end = mapped_end.saturating_add(XEN_MAP_ALIGN);
    }
}

/// The frames between two ranges of memory, above the ISA hole: what dom0 sees of the machine there.
///
/// ```text
/// memory     |--RAM--|        |--RAM---|      |-RAM-|
/// identity       1 MiB |------|        |------|
/// ```
fn identity_frames(e820: &E820Map, geometry: &Geometry) -> Vec<PfnRange> {
    let memory = || e820.entries().iter().filter(|entry| entry.kind.is_memory()).map(|entry| entry.range);
    let holes = memory().zip(memory().skip(1)).map(|(below, above)| PhysRange::new(below.end, above.start));
    holes.map(|hole| geometry.whole_pages(PhysRange::new(hole.start.max(geometry.isa_end), hole.end))).collect()
}
