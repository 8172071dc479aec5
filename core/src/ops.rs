// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operation trace: what a cell did to the MMU, in order, and what the model says came of each.
//!
//! It is what judges are given. [`Ops`] holds the machine as it stood when the strategy began ([`BootState`]),
//! every operation ([`Op`]) and how the boot ended. [`Ops::parse`] and its `Display` are each other's inverse,
//! byte for byte; [`Ops::tables`] rebuilds the page tables from it, without the builder.
//!
//! A boot records its operations where [`crate::build::Watch::ops`] is set; otherwise none of this costs anything.
//!
//! # The text
//!
//! One fact a line, words separated by one space, lines in this order. Frames, entries and addresses are
//! hexadecimal without `0x`, slots, counts, levels and error codes decimal, ranges half open. The text has one
//! form: a line that is not what printing it again gives is refused.
//!
//! | line | meaning |
//! |---|---|
//! | `pgtlab-ops 1` | the format and its version |
//! | `strategy TEXT` | the strategy, with the options that were chosen |
//! | `layout TEXT` | the machine |
//! | `backend native` or `xen` | who owns the tables |
//! | `geometry x86-64` or `tiny` | the shape of the tables ([`Geometry`]) |
//! | `direct_map ADDR` | where the direct map begins: page P is mapped at ADDR + P pages |
//! | `e820 START END TYPE` | firmware ranges, as in a layout file |
//! | `frames START END MFN KIND` | the frames `[START, END)` are the machine's from MFN on; KIND `guest`, or `identity` for frames that are not the guest's and have the IO bit in their leaves. Frames between runs have no machine frame. A table page in no run lies where the guest cannot name it: Xen's own memory. |
//! | `root FRAME` | the root table |
//! | `table FRAME LEVEL` or `table FRAME LEVEL pinned` | a table the boot code or Xen's domain builder left; `pinned` if Xen holds it for its own sake |
//! | `entries SLOT N FIRST STEP` | N entries of the table above from SLOT on: FIRST, and STEP more each. Others are zero. |
//! | `begin` | the strategy begins; a line an operation from here on |
//! | `fixmap FRAME rw`, `ro` or `io` | a page is mapped through the fixmap; `io`: an ACPI table |
//! | `unfixmap FRAME` | that slot is dropped |
//! | `new FRAME LEVEL VIA` | a page is zeroed to become a table; VIA `fixmap`, `direct`, or `demand`: through the direct map, which the early page-fault handler fills |
//! | `write FRAME LEVEL SLOT N FIRST STEP` | N entries of a table, which map or clear, never link |
//! | `protect FRAME N ro` or `rw` | the direct-map leaves of N pages from FRAME on lose or get the writable bit |
//! | `pin FRAME LEVEL`, `unpin FRAME` | Xen is asked to hold or to let go a table |
//! | `link FRAME LEVEL SLOT ENTRY` | an entry of the table FRAME, of this level, links a table |
//! | `store WHO START END`, `load WHO START END` | the virtual addresses are written or read |
//! | `built` | the build is done: what follows is done by whoever boots next |
//! | `end completed`, or `end HOW STAGE: TEXT` | HOW `panic`, `bug`, `crash`, or `failed` for the strategy itself |
//!
//! An operation that is not simply done says so behind ` -> `: `refused ERRNO FUNCTION: TEXT` (Xen's error number,
//! the kernel function that meets it, and what was wrong), or `fault ERROR ADDR`: a page fault with this error
//! code (bit 0 present, 1 write, 4 fetch) at this address, `fixmap` where the address is a fixmap slot.
//!
//! ```text
//! new 1df0f3 1 fixmap
//! write 1df0f3 1 0 512 8000000100000063 1000
//! unfixmap 1df0f3
//! protect 1df0f3 1 ro
//! pin 1df0f3 1 -> refused 22 pin_pagetable_pfn: Bad type: pfn 1df0f3 wanted as L1 table but has 1 writable mapping(s)
//! ```

mod record;
mod replay;
mod text;

pub(crate) use record::Recorder;
pub use replay::ReplayError;
pub use text::OpsError;

use crate::addr::{Mfn, Pfn, PfnRange, PhysRange, VirtAddr};
use crate::build::{Built, Death, End};
use crate::e820::E820Entry;
use crate::entry::Entry;
use crate::event::Consumer;
use crate::geometry::{Geometry, Level};
use crate::layout::{Backend, Layout, Machine, P2m};
use crate::mmu::Bug;
use crate::ptdump;
use crate::table::EntryRun;

/// The version of the text.
pub const VERSION: u32 = 1;

/// The operation trace of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ops {
    /// The strategy, with what was chosen for it.
    pub strategy: String,
    /// The layout's name.
    pub layout: String,
    /// Who owns the tables.
    pub backend: Backend,
    /// The shape of the tables.
    pub geometry: Geometry,
    /// Where the direct map begins.
    pub direct_map: VirtAddr,
    /// The firmware's ranges.
    pub e820: Vec<E820Entry>,
    /// The machine as the strategy found it.
    pub boot: BootState,
    /// What was done, in order.
    pub ops: Vec<Op>,
    /// How it ended.
    pub end: OpsEnd,
}

/// The machine as a strategy finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootState {
    /// Which machine frames stand behind the guest's frames, ascending.
    pub frames: Vec<FrameRun>,
    /// The root table's frame.
    pub root: Pfn,
    /// The tables.
    pub tables: Vec<BootTable>,
}

/// Frames that follow one another, and the machine frames behind them, which do so too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRun {
    /// The guest's frames.
    pub pages: PfnRange,
    /// The machine frame of the first.
    pub mfn: Mfn,
    /// Whether they are frames of the machine and not the guest's own.
    pub is_identity: bool,
}

/// A table that was there before the strategy began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTable {
    /// Its frame.
    pub frame: Pfn,
    /// Its level.
    pub level: Level,
    /// Whether Xen holds it for its own sake.
    pub is_pinned: bool,
    /// Its entries that are not zero.
    pub entries: Vec<EntryRun>,
}

/// One operation and what the model says came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// What was asked for.
    pub act: Act,
    /// What came of it.
    pub outcome: Outcome,
}

/// What was asked of the MMU, or done through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A page is mapped through the fixmap.
    Fixmap {
        /// The page.
        frame: Pfn,
        /// How.
        access: FixmapAccess,
    },
    /// The fixmap slot of a page is dropped.
    Unfixmap(Pfn),
    /// A page is zeroed to become a table.
    New {
        /// The page.
        table: Pfn,
        /// The table's level.
        level: Level,
        /// Through which mapping.
        via: Via,
    },
    /// Entries of a table that map memory or clear.
    Write {
        /// The table.
        table: Pfn,
        /// Its level.
        level: Level,
        /// The entries.
        run: EntryRun,
    },
    /// The direct-map leaves of pages are made read-only or writable.
    Protect {
        /// The pages.
        pages: PfnRange,
        /// Whether they become writable.
        is_writable: bool,
    },
    /// Xen is to hold a table.
    Pin {
        /// The table.
        table: Pfn,
        /// Its level.
        level: Level,
    },
    /// Xen is to let a table go.
    Unpin(Pfn),
    /// An entry links a table.
    Link {
        /// The table that holds the entry.
        parent: Pfn,
        /// Its level.
        level: Level,
        /// The slot.
        slot: u64,
        /// The entry.
        entry: Entry,
    },
    /// Virtual memory is written or read.
    Access {
        /// Who does so.
        by: Accessor,
        /// The first address.
        start: VirtAddr,
        /// The address behind the last.
        end: VirtAddr,
        /// Whether it writes.
        is_store: bool,
    },
    /// The build is done.
    Built,
}

/// How a page is mapped through the fixmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixmapAccess {
    /// Writable.
    Writable,
    /// Read-only.
    ReadOnly,
    /// As a page of a device or of the firmware.
    Io,
}

/// Through which mapping a table page is zeroed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A slot of the fixmap.
    Fixmap,
    /// The direct map.
    Direct,
    /// The direct map, which the early page-fault handler fills.
    Demand,
}

/// Who accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accessor {
    /// The builder, for an entry of a table that is there.
    SetPte,
    /// A consumer.
    Consumer(Consumer),
    /// A judge that tries an address.
    Probe,
}

/// What came of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    #[default]
    Done,
    /// Xen refused it.
    Refused {
        /// Its error number, positive.
        errno: u32,
        /// The kernel function that meets it.
        function: String,
        /// What was wrong.
        text: String,
    },
    /// It met a page fault.
    Fault {
        /// The processor's error code.
        error: u32,
        /// The address; none if it is a fixmap slot's.
        address: Option<VirtAddr>,
    },
}

/// Page-fault error code, bit 0: the page is present. Intel SDM vol. 3A, "Page-Fault Exceptions".
pub const FAULT_PRESENT: u32 = 1;
/// Bit 1: a write.
pub const FAULT_WRITE: u32 = 1 << 1;
/// Bit 4: an instruction was to be fetched.
pub const FAULT_FETCH: u32 = 1 << 4;

impl Outcome {
    /// A write that may not be made: to a page that is there or is not.
    pub(crate) const fn write_fault(is_present: bool, address: Option<VirtAddr>) -> Self {
        let present = if is_present { FAULT_PRESENT } else { 0 };
        Self::Fault { error: FAULT_WRITE | present, address }
    }
}

impl From<&Bug> for Outcome {
    fn from(bug: &Bug) -> Self {
        Self::Refused { errno: bug.refusal.errno(), function: bug.function.to_owned(), text: bug.refusal.to_string() }
    }
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpsEnd {
    /// It came through.
    Completed,
    /// It did not.
    Broken {
        /// How.
        how: Break,
        /// The part of the boot, or the strategy's stage.
        stage: String,
        /// What was said.
        text: String,
    },
}

/// How a boot broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The kernel died.
    Died(Death),
    /// The strategy failed.
    Failed,
}

impl From<&End> for OpsEnd {
    fn from(end: &End) -> Self {
        let (how, stage, text) = match end {
            End::Completed => return Self::Completed,
            End::Died { death, stage, text } => (Break::Died(*death), *stage, text),
            End::StrategyFailed(fault) => (Break::Failed, fault.stage.name(), &fault.text),
        };
        Self::Broken { how, stage: stage.to_owned(), text: one_line(text) }
    }
}

impl Ops {
    /// The operations of a boot; `None` unless they were watched.
    #[must_use]
    pub fn of(strategy: &str, layout: &Layout, built: &Built) -> Option<Self> {
        let (boot, ops) = built.ops.clone()?;
        Some(Self {
            strategy: one_line(strategy),
            layout: one_line(&layout.name),
            backend: layout.backend,
            geometry: layout.geometry,
            direct_map: ptdump::BASE,
            e820: layout.e820.entries().to_vec(),
            boot,
            ops,
            end: OpsEnd::from(&built.end),
        })
    }

    /// The page whose direct-map address this is; `None` below the direct map.
    #[must_use]
    pub fn page_at(&self, address: VirtAddr) -> Option<Pfn> {
        let offset = address.get().checked_sub(self.direct_map.get())?;
        Some(Pfn::new(offset >> self.geometry.page_shift))
    }
}

/// Where the direct map has the bytes.
pub(crate) fn direct_map(bytes: PhysRange) -> (VirtAddr, VirtAddr) {
    (ptdump::BASE.saturating_add(bytes.start.get()), ptdump::BASE.saturating_add(bytes.end.get()))
}

/// The frames of a machine: as the p2m says, one to one without one.
pub(crate) fn frames(p2m: Option<&P2m>, pages: PfnRange) -> Vec<FrameRun> {
    let Some(p2m) = p2m else {
        return vec![FrameRun { pages, mfn: Mfn::new(pages.start.get()), is_identity: false }];
    };
    let runs = p2m.runs(pages).filter_map(|run| {
        let (mfn, is_identity) = match run.machine {
            Machine::Frame(mfn) => (mfn, false),
            Machine::Identity(mfn) => (mfn, true),
            Machine::Invalid => return None,
        };
        Some(FrameRun { pages: run.pages, mfn, is_identity })
    });
    runs.collect()
}

/// A text that may stand at the end of a line, whatever a strategy or a file said.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}
