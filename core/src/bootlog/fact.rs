// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a line of a boot log says about memory besides the map: one [`Fact`] a line.
//!
//! ```text
//! SRAT: Node 0 PXM 0 0-80000000                                    old; the end exclusive, in one kernel not
//! SRAT: Node 0 PXM 0 [mem 0x380000000-0x83c7fffffff] hotplug
//! Initmem setup node 0 [mem 0x1000-0x11e5fffff]                    also Bootmem; older: S-E, exclusive
//!   #2 [0001000000 - 0001a29e64]    TEXT DATA BSS ==> [..]         early reservations, 2.6.27 to 2.6.36
//! (XEN)  Loaded kernel: ffffffff81000000->ffffffff820d7000         what Xen's domain builder made
//! 1-1 mapping on 40000->40200                                      page frames
//! BRK [0x01fd6000, 0x01fd6fff] PGTABLE
//! ```
//!
//! Sources: the corpus; Linux `acpi_numa_memory_affinity_init`, `setup_node_bootmem`, `early_res.c`,
//! `xen_memory_setup`; Xen `construct_dom0`.

use super::map_line::{FoundRange, HYPERVISOR, hex, inclusive, read_range};
use crate::addr::{PfnRange, PhysAddr, PhysRange, VirtAddr};
use crate::geometry::Geometry;
use aho_corasick::AhoCorasick;
use std::fmt;
use std::sync::LazyLock;

/// One block of what Xen's domain builder made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XenBlock {
    /// The kernel.
    Kernel,
    /// The initial ramdisk.
    Ramdisk,
    /// The physical-to-machine list.
    PhysMachMap,
    /// The start info page.
    StartInfo,
    /// The page tables.
    PageTables,
    /// The boot stack.
    BootStack,
    /// All that is mapped.
    Total,
}

impl fmt::Display for XenBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Ramdisk => "ramdisk",
            Self::PhysMachMap => "p2m list",
            Self::StartInfo => "start info",
            Self::PageTables => "page tables",
            Self::BootStack => "boot stack",
            Self::Total => "all that is mapped",
        })
    }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The firmware's table says that a node has this range.
    SratNode {
        /// The node.
        id: u32,
        /// Its bytes.
        range: PhysRange,
        /// Whether there is no memory yet.
        is_hotplug: bool,
    },
    /// The kernel set up a node that spans this.
    SetUpNode {
        /// The node.
        id: u32,
        /// From its first byte to its last.
        range: PhysRange,
    },
    /// The kernel did without the firmware's nodes.
    OneNode,
    /// A node's data was placed here.
    NodeData(PhysRange),
    /// The kernel's image.
    Kernel(PhysRange),
    /// Memory reserved early by somebody.
    Reserved {
        /// The bytes.
        range: PhysRange,
        /// By whom.
        name: String,
    },
    /// Reserved for a crash kernel.
    CrashKernel(PhysRange),
    /// The command line.
    CommandLine(String),
    /// A piece of a range that is mapped with pages of one size.
    Piece {
        /// The bytes.
        range: PhysRange,
        /// log2 of the size in bytes.
        page_shift: u32,
    },
    /// A range is mapped.
    MappingCall(PhysRange),
    /// Table space for memory up to this end.
    TableSpace {
        /// The end.
        end: PhysAddr,
        /// The table space.
        space: PhysRange,
    },
    /// A page of the BRK pool became a table.
    BrkTable(PhysRange),
    /// Whether memory can be made not executable.
    Nx(bool),
    /// Pages of 1 GiB are used.
    GbPages,
    /// How far the boot code had mapped memory.
    BootMapped(PhysAddr),
    /// A trampoline was reserved below 1 MiB.
    Trampoline(PhysAddr),
    /// A block of what Xen's domain builder made, by its virtual addresses.
    Xen {
        /// Which.
        block: XenBlock,
        /// From.
        start: VirtAddr,
        /// To.
        end: VirtAddr,
    },
    /// Frames of the machine, mapped one to one.
    Identity(PfnRange),
    /// Frames given back to Xen.
    Released(PfnRange),
    /// Frames got from Xen.
    Populated(PfnRange),
}

impl fmt::Display for Fact {
    /// In a few words, with ranges half open.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |range: &PhysRange| format!("[{:#x}, {:#x})", range.start, range.end);
        let frames = |range: &PfnRange| format!("frames {:x}-{:x}", range.start, range.end);
        match self {
            Self::SratNode { id, range, is_hotplug: false } => write!(f, "node {id}, by SRAT: {}", bytes(range)),
            Self::SratNode { id, range, is_hotplug: true } => write!(f, "node {id}, hotplug: {}", bytes(range)),
            Self::SetUpNode { id, range } => write!(f, "node {id}: {}", bytes(range)),
            Self::OneNode => f.write_str("all memory is one node"),
            Self::NodeData(range) => write!(f, "node data at {}", bytes(range)),
            Self::Kernel(range) => write!(f, "kernel {}", bytes(range)),
            Self::Reserved { range, name } => write!(f, "reserved {} for {name}", bytes(range)),
            Self::CrashKernel(range) => write!(f, "crash kernel {}", bytes(range)),
            Self::CommandLine(_) => f.write_str("options of the command line"),
            Self::Piece { range, page_shift } => {
                write!(f, "{} in pages of {} KiB", bytes(range), (1u64 << page_shift) >> 10)
            }
            Self::MappingCall(range) => write!(f, "mapped: {}", bytes(range)),
            Self::TableSpace { end, space } => write!(f, "tables for memory up to {end:#x} in {}", bytes(space)),
            Self::BrkTable(range) => write!(f, "BRK table at {}", bytes(range)),
            Self::Nx(true) => f.write_str("NX is on"),
            Self::Nx(false) => f.write_str("NX is off"),
            Self::GbPages => f.write_str("1G pages"),
            Self::BootMapped(end) => write!(f, "mapped by the boot code up to {end:#x}"),
            Self::Trampoline(base) => write!(f, "trampoline at {base:#x}"),
            Self::Xen { block, start, end } => write!(f, "Xen's builder: {block} at [{start:#x}, {end:#x})"),
            Self::Identity(range) => write!(f, "mapped one to one: {}", frames(range)),
            Self::Released(range) => write!(f, "given back to Xen: {}", frames(range)),
            Self::Populated(range) => write!(f, "got from Xen: {}", frames(range)),
        }
    }
}

/// Of these words, each line with a fact has one.
pub(super) const WORDS: [&str; 41] = [
    "SRAT: Node ",
    "SRAT: SRAT not used",
    "setup node ",
    "NUMA turned off",
    "Faking a node at ",
    "NODE_DATA",
    "#0",
    "#1",
    "#2",
    "#3",
    "#4",
    "#5",
    "#6",
    "#7",
    "#8",
    "#9",
    "ommand line: ",
    "crashkernel reserved: ",
    "crashkernel low memory reserved: ",
    " for crashkernel (System RAM",
    " for crashkernel (low RAM",
    "init_memory_mapping: ",
    "kernel direct mapping tables up to ",
    "BRK [",
    " page 4k",
    " page 2M",
    " page 4M",
    " page 1G",
    "NX (Execute",
    "Using GB pages",
    "initial memory mapped",
    "Base memory trampoline at ",
    "Loaded kernel:",
    "Init. ramdisk:",
    "Phys-Mach map:",
    "Start info:",
    "Page tables:",
    "Boot stack:",
    "TOTAL:",
    "1-1 mapping on ",
    " pfn range: ",
];

/// The same for [`read`], which passes over all other lines at once.
static ANY: LazyLock<AhoCorasick> = LazyLock::new(|| AhoCorasick::new(WORDS).expect("a few short words"));

impl Fact {
    /// The largest address it is about.
    const fn end(&self) -> Option<PhysAddr> {
        match self {
            Self::SratNode { range, .. }
            | Self::SetUpNode { range, .. }
            | Self::NodeData(range)
            | Self::Kernel(range)
            | Self::Reserved { range, .. }
            | Self::CrashKernel(range)
            | Self::Piece { range, .. }
            | Self::MappingCall(range)
            | Self::TableSpace { space: range, .. }
            | Self::BrkTable(range) => Some(range.end),
            Self::BootMapped(address) | Self::Trampoline(address) => Some(*address),
            Self::OneNode
            | Self::CommandLine(_)
            | Self::Nx(_)
            | Self::GbPages
            | Self::Xen { .. }
            | Self::Identity(_)
            | Self::Released(_)
            | Self::Populated(_) => None,
        }
    }
}

/// Reads a line without what mail did to it. `Some(None)` if it begins like a fact and is none, or is about
/// what no processor can address.
pub(super) fn read(line: &str) -> Option<Option<Fact>> {
    if !ANY.is_match(line) {
        return None;
    }
    let can_be = |fact: &Fact| fact.end().is_none_or(|end| end <= Geometry::X86_64.phys_end);
    read_any(line).map(|fact| fact.filter(can_be))
}

fn read_any(line: &str) -> Option<Option<Fact>> {
    // Most lines of a log are of none of these; each test looks for one word.
    let after = |word: &str| line.find(word).map(|at| &line[at + word.len()..]);
    if let Some(rest) = after("SRAT: Node ") {
        return Some(srat_node(rest));
    }
    for word in ["Initmem setup node ", "Bootmem setup node "] {
        if let Some(rest) = after(word) {
            // A node without memory is printed as [0, 0].
            let node = node_range(rest);
            return if rest.contains("-0x0000000000000000]") {
                None
            } else {
                Some(node.map(|(id, range)| Fact::SetUpNode { id, range }))
            };
        }
    }
    if line.contains("SRAT: SRAT not used") || line.contains("NUMA turned off") || line.contains("Faking a node at ") {
        return Some(Some(Fact::OneNode));
    }
    if let Some(rest) = after("NODE_DATA") {
        return node_data(rest);
    }
    if let Some((range, name)) = early_reservation(line) {
        return Some(range.map(|range| reservation(range, name)));
    }
    if let Some(rest) = after("Command line: ").or_else(|| after("ommand line: ")) {
        return Some(Some(Fact::CommandLine(rest.trim().to_owned())));
    }
    if let Some(rest) = after("crashkernel reserved: ").or_else(|| after("crashkernel low memory reserved: ")) {
        return Some(range_of(rest).map(Fact::CrashKernel));
    }
    let crash =
        line.split_once(" for crashkernel (System RAM").or_else(|| line.split_once(" for crashkernel (low RAM"));
    if let Some((before, _)) = crash {
        return Some(megabytes(before).map(Fact::CrashKernel));
    }
    if let Some(rest) = after("init_memory_mapping: ") {
        return Some(any_range(rest).map(Fact::MappingCall));
    }
    if let Some(rest) = after("kernel direct mapping tables up to ") {
        return Some(table_space(rest));
    }
    if let Some(rest) = after("BRK [") {
        let text = rest.strip_suffix(" PGTABLE").unwrap_or(rest).trim_end().strip_suffix(']');
        let range = text.and_then(|text| text.split_once(", ")).and_then(|(start, last)| inclusive(start, last));
        return Some(range.map(Fact::BrkTable));
    }
    if let Some((range, size)) = line.trim_end().rsplit_once(" page ")
        && let Some(page_shift) = page_shift(size)
    {
        let start = range.find("[mem ").unwrap_or_else(|| word_before_dash(range));
        return any_range(&range[start..]).map(|range| Some(Fact::Piece { range, page_shift }));
    }
    read_switches(line).or_else(|| read_xen(line))
}

fn read_switches(line: &str) -> Option<Option<Fact>> {
    let fact = if let Some((_, rest)) = line.split_once("NX (Execute Disable) protection") {
        Fact::Nx(rest.trim_start_matches(':').trim_start().starts_with("active"))
    } else if line.trim_end().ends_with("Using GB pages for direct mapping") {
        Fact::GbPages
    } else if let Some((_, rest)) = line.split_once("initial memory mapped") {
        let rest = rest.trim_start().trim_start_matches(':').trim_start();
        return Some(any_range(rest).map(|range| Fact::BootMapped(range.end)));
    } else if let Some((_, rest)) = line.split_once("Base memory trampoline at [") {
        let address = rest.split_once("] ").and_then(|(_, rest)| hex(rest.split(' ').next()?));
        return Some(address.map(|address| Fact::Trampoline(PhysAddr::new(address))));
    } else {
        return None;
    };
    Some(Some(fact))
}

fn read_xen(line: &str) -> Option<Option<Fact>> {
    let blocks = [
        ("Loaded kernel:", XenBlock::Kernel),
        ("Init. ramdisk:", XenBlock::Ramdisk),
        ("Phys-Mach map:", XenBlock::PhysMachMap),
        ("Start info:", XenBlock::StartInfo),
        ("Page tables:", XenBlock::PageTables),
        ("Boot stack:", XenBlock::BootStack),
        ("TOTAL:", XenBlock::Total),
    ];
    if let Some((_, rest)) = line.split_once(HYPERVISOR)
        && let Some((block, rest)) = blocks.iter().find_map(|(name, block)| Some((*block, rest.split_once(name)?.1)))
    {
        let ends = rest.trim().split_once("->").and_then(|(start, end)| Some((hex(start)?, hex(end)?)));
        let ends = ends.filter(|(start, end)| start < end);
        return Some(ends.map(|(start, end)| Fact::Xen {
            block,
            start: VirtAddr::new(start),
            end: VirtAddr::new(end),
        }));
    }
    let frames = |rest: &str, between: &str| {
        let (start, end) = rest.split(' ').next()?.split_once(between)?;
        let range = PfnRange::from_numbers(hex(start)?, hex(end)?);
        (!range.is_empty() && range.end.get() <= 1 << 40).then_some(range)
    };
    if let Some((_, rest)) = line.split_once("1-1 mapping on ") {
        return Some(frames(rest.trim_end(), "->").map(Fact::Identity));
    }
    if let Some((before, _)) = line.split_once(" pfn range: ") {
        let (before, range) = before.rsplit_once(' ')?;
        return match before.rsplit(' ').next()? {
            "Freeing" => Some(frames(range, "-").map(Fact::Released)),
            "Populating" => Some(frames(range, "-").map(Fact::Populated)),
            _ => None,
        };
    }
    None
}

fn srat_node(rest: &str) -> Option<Fact> {
    let (id, rest) = rest.split_once(' ')?;
    let (_, range) = rest.strip_prefix("PXM ")?.split_once(' ')?;
    let range = range.trim();
    let is_hotplug = range.ends_with("hotplug") || range.ends_with("(hotplug)");
    let found = match range.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        // Xen's own form.
        Some((inner, _)) if !inner.starts_with("mem") => {
            let (start, last) = inner.split_once(", ")?;
            inclusive(start, last)?
        }
        _ => any_range(range)?,
    };
    let is_inclusive_by_mistake = found.end.get() & 0xfff == 0xfff;
    let end = if is_inclusive_by_mistake { found.end.saturating_add(1) } else { found.end };
    Some(Fact::SratNode { id: id.parse().ok()?, range: PhysRange::new(found.start, end), is_hotplug })
}

/// `0 [mem ..]` or `0 S-E`.
fn node_range(rest: &str) -> Option<(u32, PhysRange)> {
    let (id, range) = rest.trim_start().split_once(' ')?;
    Some((id.parse().ok()?, any_range(range)?))
}

/// `(0) allocated [mem ..]`, ` [S - E]` with the end inclusive, or ` [mem ..]`; `(0) on node 5` has no place.
fn node_data(rest: &str) -> Option<Option<Fact>> {
    let (before, range) = rest.split_at(rest.find('[')?);
    if !(before.trim().is_empty() || before.trim_end().ends_with("allocated")) {
        return None;
    }
    if range.starts_with("[mem") {
        return Some(range_of(range).map(Fact::NodeData));
    }
    let inner = range.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(inner, _)| inner);
    let ends = inner.and_then(|inner| inner.split_once(" - "));
    Some(ends.and_then(|(start, last)| inclusive(start, last)).map(Fact::NodeData))
}

/// `#2 [0001000000 - 0001a29e64]    TEXT DATA BSS ==> ..`: the range, if it is one, and the name.
fn early_reservation(line: &str) -> Option<(Option<PhysRange>, &str)> {
    let (number, rest) = line.split_once('#')?.1.split_once(" [")?;
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (range, rest) = rest.split_once(']')?;
    let name = rest.split_once("==>").map_or(rest, |(name, _)| name).trim();
    Some((range_of(range).filter(|range| !range.is_empty()), name))
}

fn reservation(range: PhysRange, name: &str) -> Fact {
    match name {
        "TEXT DATA BSS" => Fact::Kernel(range),
        _ => Fact::Reserved { range, name: name.to_owned() },
    }
}

/// `E @ S-T`, the ends exclusive; `0xE @ [mem S-T]`, inclusive.
fn table_space(rest: &str) -> Option<Fact> {
    let (end, space) = rest.split_once(" @ ")?;
    let (is_inclusive, end) = (end.starts_with("0x"), hex(end)?);
    let end = PhysAddr::new(if is_inclusive { end.saturating_add(1) } else { end });
    Some(Fact::TableSpace { end, space: any_range(space)? })
}

/// `.. Reserving 128MB of memory at 736MB`.
fn megabytes(before: &str) -> Option<PhysRange> {
    let (_, rest) = before.rsplit_once("Reserving ")?;
    let (size, start) = rest.split_once("MB of memory at ").or_else(|| rest.split_once("MB of low memory at "))?;
    let mib = |text: &str| text.parse::<u64>().ok()?.checked_mul(1 << 20);
    let (size, start) = (mib(size)?, mib(start.strip_suffix("MB")?)?);
    Some(PhysRange::from_numbers(start, start.checked_add(size)?)).filter(|range| !range.is_empty())
}

/// A range in any of the forms with words around it.
fn range_of(text: &str) -> Option<PhysRange> {
    read_range(text).map(|FoundRange { range, .. }| range).filter(|range| !range.is_empty())
}

/// Also `S-E` without blanks, the end exclusive.
fn any_range(text: &str) -> Option<PhysRange> {
    range_of(text).or_else(|| {
        let word = text.trim_start().split([' ', '\t', '\r']).next()?;
        let (start, end) = word.split_once('-')?;
        Some(PhysRange::from_numbers(hex(start)?, hex(end)?)).filter(|range| !range.is_empty())
    })
}

/// Where the word begins that holds the first number of `S - E` at the end of a text.
fn word_before_dash(text: &str) -> usize {
    let head = text.trim_end().rsplit_once(" - ").map_or(text, |(before, _)| before);
    head.rfind([' ', '\t']).map_or(0, |at| at + 1)
}

fn page_shift(size: &str) -> Option<u32> {
    match size {
        "4k" => Some(12),
        "2M" => Some(21),
        "4M" => Some(22),
        "1G" => Some(30),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
