// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bounded family of machines, every one of which can be run.
//!
//! Tables have four entries, so that a handful of frames brings every level into play
//! ([`Geometry::TINY`]):
//!
//! ```text
//!  frame 0   1   2      10     12            first          first+F      62      66
//!        | - |RAM|kernel| RAM  | Xen's boot  | F frames, each | hole  .. | 4 frames|
//!        |   |   |      |      | objects     | free, reserved |          | each RAM|
//!        |   |   |      |      | (Xen only)  | or a hole      |          | or hole |
//! ```
//!
//! Natively `first` is 12 and the boot code maps frames 0-15 in leaves of four; under Xen it is 28 and the
//! domain builder maps frames 0-27. Frame 16 is where a second table of level 2 begins, frame 32 is the
//! "4 GiB" line, and frame 64 is where a second table of level 3 begins.

use pgtlab_core::addr::{Pfn, PfnRange, PhysAddr};
use pgtlab_core::e820::{E820Entry, E820Map, E820Type};
use pgtlab_core::geometry::Geometry;
use pgtlab_core::layout::{Backend, Layout, P2m, Reservation, Switches, XenBoot};

/// What every name of a member begins with.
const PREFIX: &str = "tiny-";

/// The kernel image: as small as its page tables allow.
const KERNEL: PfnRange = PfnRange::from_numbers(2, 10);
/// What the boot code maps natively.
const BOOT_MAPPED: u64 = 16;
/// The p2m list, one page, in front of the domain builder's tables.
const XEN_MFN_LIST: u64 = 12;
/// What the domain builder maps.
const XEN_MAPPED: u64 = 28;
/// A table for each four pages of it, and one for each level above.
const XEN_PT_FRAMES: u64 = XEN_MAPPED / 4 + 3;
/// The frames at the border of two tables of level 3.
const FAR: PfnRange = PfnRange::from_numbers(62, 66);

/// What a machine of the family is run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Native4K,
    Native2M,
    Native1G,
    /// Holes are frames of the machine, mapped one to one.
    XenDom0,
    /// Reserved frames have no machine frame behind them.
    XenDomU,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Native4K, Self::Native2M, Self::Native1G, Self::XenDom0, Self::XenDomU];

    const fn is_xen(self) -> bool {
        matches!(self, Self::XenDom0 | Self::XenDomU)
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Hole,
    Free,
    Reserved,
}

impl Frame {
    const ALL: [Self; 3] = [Self::Hole, Self::Free, Self::Reserved];
}

/// All machines with this many frames of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    n_frames: u32,
}

/// One machine of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    family: Family,
    index: u64,
}

impl Family {
    /// The most frames of their own a family's machines may have: with one more they would reach into the
    /// far frames.
    pub const MOST_FRAMES: u32 = 30;

    /// The family with this many frames of their own.
    #[must_use]
    pub const fn new(n_frames: u32) -> Option<Self> {
        if n_frames <= Self::MOST_FRAMES { Some(Self { n_frames }) } else { None }
    }

    const fn far_choices() -> u64 {
        1 << FAR.len()
    }

    /// How many machines there are.
    #[must_use]
    pub const fn len(self) -> u64 {
        3_u64.pow(self.n_frames) * Self::far_choices() * Kind::ALL.len() as u64
    }

    /// Never: a family has at least the machines without frames of their own.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How [`Family::len`] comes about.
    #[must_use]
    pub fn formula(self) -> String {
        let (n, far, kinds) = (self.n_frames, FAR.len(), Kind::ALL.len());
        format!("3^{n} (frames free, reserved or holes) x 2^{far} (far frames RAM or holes) x {kinds} kinds")
    }

    /// One machine.
    #[must_use]
    pub const fn member(self, index: u64) -> Option<Member> {
        if index < self.len() { Some(Member { family: self, index }) } else { None }
    }
}

impl Member {
    /// The member with this name, `tiny-FRAMES/INDEX`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (n_frames, index) = name.strip_prefix(PREFIX)?.split_once('/')?;
        Family::new(n_frames.parse().ok()?)?.member(index.parse().ok()?)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        format!("{PREFIX}{}/{}", self.family.n_frames, self.index)
    }

    fn kind(self) -> Kind {
        Kind::ALL[index_of(self.index % Kind::ALL.len() as u64)]
    }

    /// Its frames that differ from member to member, ascending.
    fn frames(self) -> impl Iterator<Item = (Pfn, Frame)> {
        let first = if self.kind().is_xen() { XEN_MAPPED } else { KERNEL.end.get() + 2 };
        let rest = self.index / Kind::ALL.len() as u64;
        let (mut own, far) = (rest / Family::far_choices(), rest % Family::far_choices());
        let own = (first..first + u64::from(self.family.n_frames)).map(move |pfn| {
            let frame = Frame::ALL[index_of(own % 3)];
            own /= 3;
            (Pfn::new(pfn), frame)
        });
        let far = (0..FAR.len()).map(move |at| {
            let frame = if far >> at & 1 == 1 { Frame::Free } else { Frame::Hole };
            (FAR.start.saturating_add(at), frame)
        });
        own.chain(far)
    }

    /// How large it is, to find the smallest: frames that are not holes, then reserved ones, then the index.
    #[must_use]
    pub fn size(self) -> (usize, usize, u64) {
        let n = |wanted: fn(Frame) -> bool| self.frames().filter(|(_, frame)| wanted(*frame)).count();
        (n(|frame| frame != Frame::Hole), n(|frame| frame == Frame::Reserved), self.index)
    }

    /// The machine.
    #[must_use]
    pub fn layout(self) -> Layout {
        let geometry = Geometry::TINY;
        let kind = self.kind();
        let fixed_end = if kind.is_xen() { XEN_MAPPED } else { KERNEL.end.get() + 2 };
        let mut e820 = E820Map::new();
        let mut ram = PfnRange::from_numbers(1, fixed_end);
        let mut reserved = Vec::new();
        for (pfn, frame) in self.frames() {
            let page = PfnRange::new(pfn, pfn.saturating_add(1));
            if frame == Frame::Reserved {
                reserved.push(page);
            }
            if frame == Frame::Hole {
                continue;
            }
            if ram.end == pfn {
                ram.end = page.end;
            } else {
                push(&mut e820, &geometry, ram);
                ram = page;
            }
        }
        push(&mut e820, &geometry, ram);
        let holes = || holes(&e820, &geometry);
        let p2m = match kind {
            Kind::XenDom0 => P2m::new(&[], &holes()),
            Kind::XenDomU => P2m::new(&reserved, &[]),
            Kind::Native4K | Kind::Native2M | Kind::Native1G => P2m::default(),
        };
        let kernel = geometry.bytes(KERNEL);
        let at = |page: u64| geometry.addr(Pfn::new(page));
        Layout {
            name: self.name(),
            geometry,
            kernel,
            brk: kernel.end,
            reservations: reserved.into_iter().map(|page| reservation(&geometry, page)).collect(),
            boot_mapped: at(BOOT_MAPPED),
            switches: Switches {
                pse: matches!(kind, Kind::Native2M | Kind::Native1G),
                gbpages: kind == Kind::Native1G,
                dom0: kind == Kind::XenDom0,
                ..Switches::DEFAULT
            },
            nodes: Vec::new(),
            acpi: None,
            backend: if kind.is_xen() { Backend::Xen } else { Backend::Native },
            xen: kind.is_xen().then(|| XenBoot {
                mapped_end: at(XEN_MAPPED),
                pt_base: at(XEN_MFN_LIST + 1),
                pt_frames: XEN_PT_FRAMES,
                mfn_list: at(XEN_MFN_LIST),
            }),
            p2m,
            e820,
        }
    }
}

fn index_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn push(e820: &mut E820Map, geometry: &Geometry, pages: PfnRange) {
    let pushed = e820.push(E820Entry { range: geometry.bytes(pages), kind: E820Type::Ram });
    debug_assert!(pushed.is_ok(), "ranges ascend");
}

fn reservation(geometry: &Geometry, page: PfnRange) -> Reservation {
    Reservation { range: geometry.bytes(page), name: "RESERVED".to_owned() }
}

/// The holes between RAM above the ISA area.
fn holes(e820: &E820Map, geometry: &Geometry) -> Vec<PfnRange> {
    let mut holes = Vec::new();
    let mut at: PhysAddr = geometry.isa_end;
    for ram in e820.ram() {
        if at < ram.start {
            holes.push(PfnRange::new(geometry.pfn_up(at), geometry.pfn_down(ram.start)));
        }
        at = at.max(ram.end);
    }
    holes
}
