// SPDX-License-Identifier: MIT OR Apache-2.0
//! A layout: one machine on one back end, as the kernel finds it when it starts to build page tables.
//!
//! [`Layout`] is plain data. It is read from a layout file by [`Layout::parse`] (in `parse`), written by
//! [`Layout::render`] (in `render`), or made from a boot log by [`crate::bootlog`].

mod parse;
mod render;

pub(crate) use parse::{BOOT_MAPPED, before_or_at_start};
pub(crate) use render::one_word;

pub use parse::{Excerpt, LayoutError, LayoutErrorKind, MAX_LAYOUT_BYTES, looks_like_layout};

use crate::addr::{Mfn, Pfn, PfnRange, PhysAddr, PhysRange};
use crate::e820::E820Map;
use crate::geometry::Geometry;

/// Who owns the MMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// The kernel itself: entries are plain stores.
    Native,
    /// Xen, for a PV guest: tables are typed pages, and writes can be refused.
    Xen,
}

impl Backend {
    /// The word used on the command line, in cell names and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Xen => "xen",
        }
    }
}

/// A range reserved in memblock before the build starts; a crash kernel's once it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The bytes.
    pub range: PhysRange,
    /// Whose they are, `RAMDISK` for example.
    pub name: String,
}

impl Layout {
    /// Drops nodes that have no RAM, as `numa_cleanup_meminfo` does (arch/x86/mm/numa.c).
    pub fn drop_nodes_without_ram(&mut self) {
        let e820 = &self.e820;
        self.nodes.retain(|node| e820.ram().any(|ram| ram.overlaps(node.range)));
    }

    /// What is reserved before the build starts.
    pub fn reserved_before_the_build(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations.iter().filter(|reservation| !reservation.is_made_after_the_build())
    }

    /// What is reserved when it is done, and before the first consumer.
    pub fn reserved_after_the_build(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations.iter().filter(|reservation| reservation.is_made_after_the_build())
    }
}

impl Reservation {
    /// A crash kernel's.
    pub const CRASH_KERNEL: &'static str = "crashkernel";

    /// Whether the kernel makes it when the tables are built, and they may lie in it: `reserve_crashkernel` comes after
    /// `init_memory_mapping` and before the NUMA code (`setup_arch`, arch/x86/kernel/setup.c).
    #[must_use]
    pub fn is_made_after_the_build(&self) -> bool {
        self.name == Self::CRASH_KERNEL
    }
}

/// One range of a NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node's number.
    pub id: u32,
    /// The bytes.
    pub range: PhysRange,
}

/// What the processor can do and how the kernel was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the layout file, named there and here alike")]
pub struct Switches {
    /// 2 MiB pages.
    pub pse: bool,
    /// 1 GiB pages.
    pub gbpages: bool,
    /// The no-execute bit.
    pub nx: bool,
    /// Global pages.
    pub pge: bool,
    /// A trampoline for other processors is reserved below 1 MiB.
    pub trampoline: bool,
    /// The kernel sets up NUMA nodes.
    pub numa: bool,
    /// `memtest=` on the command line: free memory is written to right after it is mapped.
    pub memtest: bool,
    /// Under Xen, the privileged domain.
    pub dom0: bool,
}

impl Switches {
    /// What a layout file that names none of them means.
    pub const DEFAULT: Self = Self {
        pse: true,
        gbpages: false,
        nx: true,
        pge: true,
        trampoline: false,
        numa: true,
        memtest: false,
        dom0: false,
    };
}

/// What Xen's domain builder left for a PV guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XenBoot {
    /// It maps `[0, mapped_end)`.
    pub mapped_end: PhysAddr,
    /// Its page tables start here.
    pub pt_base: PhysAddr,
    /// How many frames they take.
    pub pt_frames: u64,
    /// The physical-to-machine list.
    pub mfn_list: PhysAddr,
}

/// How the p2m answers for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// An ordinary frame of the guest.
    Frame(Mfn),
    /// A frame outside the guest's memory, mapped one to one.
    Identity(Mfn),
    /// No machine frame stands behind it.
    Invalid,
}

/// Frames that the p2m answers for alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P2mRun {
    /// The frames.
    pub pages: PfnRange,
    /// What it answers for the first of them; machine frames follow one another.
    pub machine: Machine,
}

/// What stands behind a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Guest,
    Identity,
    Nothing,
}

/// The physical-to-machine translation, as ranges that differ from the ordinary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P2m {
    invalid: Vec<PfnRange>,
    identity: Vec<PfnRange>,
    /// All frames, ascending, by what stands behind them.
    stretches: Vec<(PfnRange, Behind)>,
}

impl Default for P2m {
    fn default() -> Self {
        Self::new(&[], &[])
    }
}

impl P2m {
    /// Makes one from the ranges a layout names, in any order, overlapping or not. Where an invalid and
    /// an identity range overlap, invalid wins.
    #[must_use]
    pub fn new(invalid: &[PfnRange], identity: &[PfnRange]) -> Self {
        let (invalid, identity) = (merge(invalid), merge(identity));
        let edges = invalid.iter().chain(&identity).flat_map(|range| [range.start, range.end]);
        let mut edges: Vec<Pfn> = [Pfn::default(), Pfn::new(u64::MAX)].into_iter().chain(edges).collect();
        edges.sort_unstable();
        edges.dedup();
        let behind = |pfn: Pfn| {
            if holds(&invalid, pfn) {
                Behind::Nothing
            } else if holds(&identity, pfn) {
                Behind::Identity
            } else {
                Behind::Guest
            }
        };
        let stretches = edges.windows(2).map(|edge| (PfnRange::new(edge[0], edge[1]), behind(edge[0]))).collect();
        Self { invalid, identity, stretches }
    }

    /// Whether every frame is an ordinary one.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.invalid.is_empty() && self.identity.is_empty()
    }

    /// The translation of the frames, ascending, a run for each change of it.
    #[inline]
    pub fn runs(&self, pages: PfnRange) -> impl Iterator<Item = P2mRun> + '_ {
        let first = match pages.is_empty() {
            true => self.stretches.len(),
            false => self.stretches.partition_point(|(stretch, _)| stretch.end <= pages.start),
        };
        self.stretches[first..].iter().take_while(move |(stretch, _)| stretch.start < pages.end).map(
            move |(stretch, behind)| {
                let pages = stretch.intersect(pages);
                P2mRun { pages, machine: machine(pages.start, *behind) }
            },
        )
    }
}

const fn machine(pfn: Pfn, behind: Behind) -> Machine {
    let mfn = Mfn::new(pfn.get());
    match behind {
        Behind::Guest => Machine::Frame(mfn),
        Behind::Identity => Machine::Identity(mfn),
        Behind::Nothing => Machine::Invalid,
    }
}

/// Whether one of the ranges, ascending, holds the frame.
fn holds(ranges: &[PfnRange], pfn: Pfn) -> bool {
    let next = ranges.partition_point(|range| range.end <= pfn);
    ranges.get(next).is_some_and(|range| range.start <= pfn)
}

fn merge(ranges: &[PfnRange]) -> Vec<PfnRange> {
    let mut sorted: Vec<PfnRange> = ranges.iter().copied().filter(|range| !range.is_empty()).collect();
    sorted.sort_unstable();
    let mut merged: Vec<PfnRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// One machine on one back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name, as traces and reports print it.
    pub name: String,
    /// Table shape and landmarks.
    pub geometry: Geometry,
    /// The firmware's map.
    pub e820: E820Map,
    /// The kernel image.
    pub kernel: PhysRange,
    /// Where early BRK allocation starts.
    pub brk: PhysAddr,
    /// What is reserved before the build, in the order of the file.
    pub reservations: Vec<Reservation>,
    /// Natively: the end of what the boot code mapped, as the kernel believes it (`max_pfn_mapped`).
    pub boot_mapped: PhysAddr,
    /// Processor and configuration switches, as the machine has them; see [`Layout::features`].
    pub switches: Switches,
    /// NUMA nodes, ascending; empty means one node over all memory.
    pub nodes: Vec<Node>,
    /// An ACPI table that is mapped through the fixmap between the build and NUMA set-up.
    pub acpi: Option<PhysAddr>,
    /// Whether this layout is run under Xen.
    pub backend: Backend,
    /// What Xen's domain builder left; always there when `backend` is Xen.
    pub xen: Option<XenBoot>,
    /// Frames that do not translate in the ordinary way under Xen.
    pub p2m: P2m,
}

impl Layout {
    /// The switches as the kernel sees them: Xen hides large and global pages from a PV guest.
    #[must_use]
    pub const fn features(&self) -> Switches {
        let mut switches = self.switches;
        if matches!(self.backend, Backend::Xen) {
            switches.pse = false;
            switches.gbpages = false;
            switches.pge = false;
        }
        switches
    }

    /// The page behind the last whole page of RAM (`max_pfn`).
    #[must_use]
    pub fn max_pfn(&self) -> Pfn {
        let pages = |ram| self.geometry.whole_pages(ram);
        self.e820.ram().map(pages).filter(|run| !run.is_empty()).map(|run| run.end).max().unwrap_or_default()
    }

    /// The page behind the last whole page of RAM below 4 GiB (`max_low_pfn`).
    #[must_use]
    pub fn max_low_pfn(&self) -> Pfn {
        let line = self.geometry.pfn_down(self.geometry.low_end);
        let pages = |ram| self.geometry.whole_pages(ram);
        let below = self.e820.ram().map(pages).filter(|run| !run.is_empty() && run.start < line);
        below.map(|run| run.end.min(line)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = Vec<PfnRange>> {
        let range = (0u64..60, 0u64..9).prop_map(|(start, len)| PfnRange::from_numbers(start, start + len));
        prop::collection::vec(range, 0..6)
    }

    proptest! {
        #[test]
        fn runs_of_the_p2m_say_of_each_frame_what_the_layout_says(
            invalid in ranges(), identity in ranges(), start in 0u64..70, len in 0u64..70,
        ) {
            let pages = PfnRange::from_numbers(start, start + len);
            let in_any = |ranges: &[PfnRange], pfn: Pfn| ranges.iter().any(|range| range.contains(pfn));
            let mut at = pages.start;
            for run in P2m::new(&invalid, &identity).runs(pages) {
                prop_assert_eq!(run.pages.start, at);
                prop_assert!(!run.pages.is_empty());
                for pfn in (run.pages.start.get()..run.pages.end.get()).map(Pfn::new) {
                    let expected = if in_any(&invalid, pfn) {
                        Behind::Nothing
                    } else if in_any(&identity, pfn) {
                        Behind::Identity
                    } else {
                        Behind::Guest
                    };
                    prop_assert_eq!(std::mem::discriminant(&run.machine), std::mem::discriminant(&machine(pfn, expected)));
                }
                at = run.pages.end;
            }
            prop_assert_eq!(at, pages.end);
        }
    }
}
