// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine of a log as a replay needs it: what the log says up to the build and no more, and told
//! assumptions where it says nothing.

use super::ReplayError;
use super::era::{Builder, Era, NodeRule};
use super::evidence::Evidence;
use super::line::Line;
use super::release::Release;
use crate::addr::{PhysAddr, PhysRange, VirtAddr};
use crate::bootlog::{Assumed, BootLog, Fact, LogEntry, LogKind, LogMap, MapStage, NoteKind, Stage};
use crate::e820::E820Type;
use crate::geometry::{DIRECT_MAP_END, Geometry};
use crate::layout::{Backend, Layout, Reservation};
use std::fmt;

/// What a replay takes to be so, though no line says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assumption {
    /// The log has no map: RAM is what the kernel maps or reserves.
    RamFromLines(Vec<PhysRange>),
    /// The map's lines have no types: RAM begins at 0 and 1 MiB, and ends where the last pages are printed.
    RamWithoutTypes,
    /// The map begins at 1 MiB, so its first lines are missing.
    LowRam(PhysRange),
    /// The end of a PV guest's map is memory that it does not have yet.
    ExtraMemory(PhysRange),
    /// The kernel's image ends where its pool begins.
    KernelBelowPool(PhysRange),
    /// Where an old kernel puts the trampoline.
    Trampoline(PhysRange),
    /// The walk of a fault shows that memory is mapped in 4K pages.
    SmallPages,
    /// The direct map is, or is not, at a random address.
    Random(bool),
    /// A random address of the direct map puts the border between two entries of the root inside RAM. Without
    /// that, so many lines would differ.
    RootBorder(usize),
    /// Pages that a 32-bit kernel counts for its fixmap depend on its configuration.
    FixmapPages(u64),
    /// What the import of the log's machine assumed.
    Import(Assumed),
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |range: &PhysRange| format!("{:x}-{:x}", range.start, range.end);
        match self {
            Self::RamFromLines(ranges) => {
                let ranges: Vec<String> = ranges.iter().map(range).collect();
                write!(f, "no memory map in the log; RAM is {}, as other lines have it", ranges.join(" and "))
            }
            Self::RamWithoutTypes => {
                f.write_str("the map has no types; RAM starts at 0 and 1 MiB, and ends at each last_pfn")
            }
            Self::LowRam(ram) => write!(f, "the map's first lines are missing; {} is RAM", range(ram)),
            Self::ExtraMemory(extra) => write!(f, "{} is memory that the guest does not have yet", range(extra)),
            Self::KernelBelowPool(kernel) => {
                write!(f, "the kernel lies at {}, below its first BRK table", range(kernel))
            }
            Self::Trampoline(trampoline) => write!(f, "the trampoline lies at {}", range(trampoline)),
            Self::SmallPages => f.write_str("memory is mapped in 4K pages, as the walk of the fault shows"),
            Self::Random(true) => f.write_str("the direct map is at a random address (KASLR)"),
            Self::Random(false) => f.write_str("the direct map is not at a random address (no KASLR)"),
            Self::RootBorder(n) => {
                let lines = if *n == 1 { "line" } else { "lines" };
                write!(
                    f,
                    "the random address puts a 512 GiB border of the direct map inside RAM, which takes one table \
                     more; without that {n} {lines} would differ"
                )
            }
            Self::FixmapPages(n) => write!(f, "the kernel's fixmap takes {n} table pages"),
            Self::Import(assumed) => assumed.fmt(f),
        }
    }
}

/// What the log leaves open, changed to see whether it explains a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Twist {
    pub(super) is_random: Option<bool>,
    pub(super) pse: Option<bool>,
    pub(super) gbpages: Option<bool>,
    /// A PV guest's map ends where its memory does.
    pub(super) has_no_extra: bool,
    /// A border between two entries of the root lies inside RAM.
    pub(super) has_root_border: bool,
}

/// A machine to be replayed.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) layout: Layout,
    pub(super) is_random: bool,
    /// Whether the log has no map: lines of it may be missing too.
    pub(super) is_excerpt: bool,
    pub(super) assumed: Vec<Assumption>,
}

/// A PV guest's map ends this far above its memory, where Xen does not give it one (`xen_memory_setup`).
const EXTRA_BYTES: u64 = 8 << 20;
/// Room for a kernel's image, of which nothing but its end is known.
const KERNEL_BYTES: u64 = 32 << 20;
/// Where the first lines of a map usually have RAM.
const LOW_RAM: PhysRange = PhysRange::from_numbers(0, 0x9_f000);
/// Before 2.6.37 the trampoline had a place of its own.
const TRAMPOLINE: PhysRange = PhysRange::from_numbers(0x6000, 0x8000);

impl Ground {
    /// # Errors
    /// If no machine can be made of the log.
    pub(super) fn new(
        log: &BootLog,
        evidence: &Evidence,
        lines: &[(usize, Line)],
        era: &Era,
        twist: Twist,
    ) -> Result<Self, ReplayError> {
        let mut assumed = Vec::new();
        let mended = mended_map(log, evidence, lines, &mut assumed);
        let log = mended.as_ref().unwrap_or(log);
        let is_excerpt = assumed.iter().any(|assumption| matches!(assumption, Assumption::RamFromLines(_)));
        let backend = if log.kind().has_native_cell() { Backend::Native } else { Backend::Xen };
        let imported = log.import("log", backend, Stage::Last).map_err(ReplayError::NoMachine)?;
        let end = imported.layout.geometry.addr(imported.layout.max_pfn());
        if DIRECT_MAP_END < end {
            return Err(ReplayError::TooMuchRam { end, most: DIRECT_MAP_END });
        }
        let told = |assumed: &&Assumed| {
            matches!(assumed, Assumed::KernelMoved { .. } | Assumed::Option { .. } | Assumed::NodesCut)
        };
        assumed.extend(imported.assumed.iter().filter(told).cloned().map(Assumption::Import));
        let mut ground = Self { layout: imported.layout, is_random: false, is_excerpt, assumed };
        ground.set_switches(log, evidence, era, twist);
        ground.reserve(log, era, twist);
        ground.place_pool(log, lines);
        let acpi = evidence.acpi.filter(|table| *table < DIRECT_MAP_END);
        ground.layout.acpi =
            acpi.map(|table| table.align_down(ground.layout.geometry.page_bytes())).or(ground.layout.acpi);
        // What is printed is the size of this kernel's; its place is to be found.
        if let Some(bytes) = lines.iter().find_map(|(_, line)| node_bytes(line)) {
            ground.layout.geometry.node_data_bytes = bytes;
        }
        ground.layout.switches.numa = matches!(era.node_data, NodeRule::FirstRegion | NodeRule::LastRegion);
        Ok(ground)
    }

    fn set_switches(&mut self, log: &BootLog, evidence: &Evidence, era: &Era, twist: Twist) {
        let switches = &mut self.layout.switches;
        // Later, large leaves are split: what the kernel says of its pages counts more.
        let says_pages = log.facts().iter().any(|taken| matches!(taken.fact, Fact::Piece { .. } | Fact::GbPages));
        if !says_pages && evidence.has_small_leaf && evidence.faults.iter().any(|(_, address)| is_direct_map(*address))
        {
            (switches.pse, switches.gbpages) = (false, false);
            self.assumed.push(Assumption::SmallPages);
        }
        switches.pse = twist.pse.unwrap_or(switches.pse);
        switches.gbpages = twist.gbpages.unwrap_or(switches.gbpages);
        let Builder::Paged(paged) = era.builder else { return };
        let has_word = |wanted: &str| {
            let is_in = |fact: &Fact| matches!(fact, Fact::CommandLine(text) if text.split(' ').any(|w| w == wanted));
            log.facts().iter().any(|taken| is_in(&taken.fact))
        };
        let printed = evidence.direct_map.map(|at| !FIXED_DIRECT_MAPS.contains(&at));
        let is_xen = self.layout.backend == Backend::Xen;
        self.is_random = match printed {
            Some(printed) => printed,
            None => paged.is_random && !is_xen && !has_word("nokaslr"),
        };
        self.is_random = twist.is_random.unwrap_or(self.is_random);
        if printed.is_none() && paged.is_random && !is_xen {
            self.assumed.push(Assumption::Random(self.is_random));
        }
    }

    /// What is reserved before the build, and nothing that is reserved after it.
    fn reserve(&mut self, log: &BootLog, era: &Era, twist: Twist) {
        let layout = &mut self.layout;
        layout.reservations.retain(|reservation| !reservation.is_made_after_the_build());
        if !era.releases.are_after(Release::new(2, 6, 36)) {
            if layout.switches.trampoline {
                layout.reservations.push(Reservation { range: TRAMPOLINE, name: "TRAMPOLINE".to_owned() });
                self.assumed.push(Assumption::Trampoline(TRAMPOLINE));
            }
            layout.switches.trampoline = false;
            return;
        }
        let is_told = layout.reservations.iter().any(|reservation| reservation.name.contains("EXTRA"));
        if layout.backend == Backend::Native || is_told {
            return;
        }
        // A PV guest's extra memory: behind what Xen gave it last, else what every guest's map has at its end.
        let ram_end = layout.e820.ram().map(|range| range.end).max().unwrap_or_default();
        let populated = log.facts().iter().filter_map(|taken| match &taken.fact {
            Fact::Populated(frames) => Some(layout.geometry.addr(frames.end)),
            _ => None,
        });
        let printed = populated.max();
        let start = match printed {
            Some(end) => end,
            None if log.kind() == LogKind::DomU && !twist.has_no_extra => ram_end.saturating_sub(EXTRA_BYTES),
            None => return,
        };
        let extra = PhysRange::new(start, ram_end);
        if !extra.is_empty() {
            layout.reservations.push(Reservation { range: extra, name: "XEN-EXTRA".to_owned() });
            if printed.is_none() {
                self.assumed.push(Assumption::ExtraMemory(extra));
            }
        }
    }

    /// Puts the pool where its first page is printed, and the kernel below it if nothing is known of that.
    fn place_pool(&mut self, log: &BootLog, lines: &[(usize, Line)]) {
        let pool = lines.iter().find_map(|(_, line)| if let Line::Pool(range) = line { Some(*range) } else { None });
        let Some(pool) = pool else { return };
        let layout = &mut self.layout;
        layout.brk = pool.start;
        let is_printed = |fact: &Fact| matches!(fact, Fact::Kernel(_) | Fact::Xen { .. });
        let ram = layout.e820.ram().find(|ram| ram.contains(pool.start));
        let Some(ram) = ram.filter(|_| !log.facts().iter().any(|taken| is_printed(&taken.fact))) else { return };
        let start = pool.start.saturating_sub(KERNEL_BYTES).max(ram.start.align_up(layout.geometry.page_bytes()));
        layout.kernel = PhysRange::new(start, pool.start);
        self.assumed.push(Assumption::KernelBelowPool(layout.kernel));
        if let Some(bytes) = log.ramdisk() {
            let range = layout.geometry.bytes(layout.geometry.touched_pages(bytes));
            if layout.reservations.iter().all(|reservation| reservation.name != "RAMDISK") {
                layout.reservations.push(Reservation { range, name: "RAMDISK".to_owned() });
            }
        }
    }
}

/// Where the direct map is if it is not at a random address: up to 4.19, and from then on.
const FIXED_DIRECT_MAPS: [VirtAddr; 2] = [VirtAddr::new(0xffff_8800_0000_0000), VirtAddr::new(0xffff_8880_0000_0000)];

/// Whether an address may lie in the direct map, wherever that is.
fn is_direct_map(address: VirtAddr) -> bool {
    VirtAddr::new(0xffff_8000_0000_0000) <= address && address < VirtAddr::new(0xffff_c800_0000_0000)
}

const fn node_bytes(line: &Line) -> Option<u64> {
    match line {
        Line::NodeData(range) => Some(range.len()),
        _ => None,
    }
}

/// The log with a map that can be used, where its own cannot.
pub(super) fn mended_map(
    log: &BootLog,
    evidence: &Evidence,
    lines: &[(usize, Line)],
    assumed: &mut Vec<Assumption>,
) -> Option<BootLog> {
    let Some(map) = log.map_of(Stage::Last) else {
        let ram = ram_from_lines(evidence, lines);
        if ram.is_empty() {
            return None;
        }
        let entry = |range: &PhysRange| LogEntry { range: *range, kind: E820Type::Ram, line: 0 };
        let entries = ram.iter().map(entry).collect();
        assumed.push(Assumption::RamFromLines(ram));
        return Some(log.with_map(LogMap { stage: MapStage::Bios, entries }));
    };
    let is_without_type = |entry: &LogEntry| {
        log.notes().iter().any(|note| note.line == Some(entry.line) && note.kind == NoteKind::NoType)
    };
    if map.entries.iter().all(is_without_type) {
        let geometry = Geometry::X86_64;
        let is_ram = |range: PhysRange| {
            let begins = [PhysAddr::default(), geometry.isa_end].contains(&range.start);
            begins || evidence.last_pfns.contains(&geometry.pfn_down(range.end))
        };
        let typed = |entry: &LogEntry| LogEntry {
            kind: if is_ram(entry.range) { E820Type::Ram } else { E820Type::Reserved },
            ..*entry
        };
        assumed.push(Assumption::RamWithoutTypes);
        return Some(log.with_map(LogMap { stage: map.stage, entries: map.entries.iter().map(typed).collect() }));
    }
    let first = map.entries.first().filter(|first| first.range.start == Geometry::X86_64.isa_end)?;
    assumed.push(Assumption::LowRam(LOW_RAM));
    let low = LogEntry { range: LOW_RAM, kind: E820Type::Ram, line: first.line };
    let entries = std::iter::once(low).chain(map.entries.iter().copied()).collect();
    Some(log.with_map(LogMap { stage: map.stage, entries }))
}

/// RAM by the ranges that are mapped, else by the last pages, else by what is reserved or what tables are for.
fn ram_from_lines(evidence: &Evidence, lines: &[(usize, Line)]) -> Vec<PhysRange> {
    let geometry = Geometry::X86_64;
    let line_at = geometry.low_end;
    let calls =
        || lines.iter().filter_map(|(_, line)| if let Line::Call(range) = line { Some(range.end) } else { None });
    let last = || evidence.last_pfns.iter().map(|pfn| geometry.addr(*pfn));
    let reserved = || evidence.memblock.iter().map(|range| range.end);
    let tables =
        || lines.iter().filter_map(|(_, line)| if let Line::Tables { end, .. } = line { Some(*end) } else { None });
    let low = |ends: &mut dyn Iterator<Item = PhysAddr>| ends.filter(|end| *end <= line_at).max();
    let high = |ends: &mut dyn Iterator<Item = PhysAddr>| ends.filter(|end| line_at < *end).max();
    let low =
        low(&mut calls()).or_else(|| low(&mut last())).or_else(|| low(&mut tables())).or_else(|| low(&mut reserved()));
    let high = high(&mut calls()).or_else(|| high(&mut last())).or_else(|| high(&mut tables()));
    let low = low.map(|end| PhysRange::new(PhysAddr::default(), end));
    low.into_iter().chain(high.map(|end| PhysRange::new(line_at, end))).collect()
}
