// SPDX-License-Identifier: MIT OR Apache-2.0
//! The builder: asks the strategy stage by stage, and acts.
//!
//! [`boot`] is the way in. The parts, in the order of a boot: `boot_tables` (what the boot code or Xen's
//! domain builder left), `stages` (ranges, table space, pages), `fill` (writing the tables of a range),
//! `need` (counting them beforehand), and `consume` (who writes to memory afterwards).

mod boot_tables;
mod fill;
mod machine;
mod need;
mod stages;

pub(crate) use machine::{Halt, Machine};
pub(crate) use stages::MOST_RANGES;

use crate::addr::{Pfn, PhysRange};
use crate::consume;
use crate::decide::{Decider, StrategyFault};
use crate::event::Noted;
use crate::follow::{Glimpse, Step};
use crate::layout::{Backend, Layout};
use crate::measure::{self, Measures};
use crate::ops::{BootState, Op};
use crate::permission::PermissionMap;
use crate::rules::Finding;
use crate::strategy::{Boot, PgtBuf, Stage};

/// What to watch during a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Read the permission map when the build is done.
    pub map: bool,
    /// Check every rule, and take the measures that need them; reads the map too.
    pub rules: bool,
    /// Keep every event.
    pub events: bool,
    /// A page to be followed through the boot.
    pub page: Option<Pfn>,
    /// Keep every operation on the MMU.
    pub ops: bool,
}

impl Watch {
    /// Rules, no events: what a comparison needs.
    pub const RULES: Self = Self { map: true, rules: true, events: false, page: None, ops: false };
    /// Everything that is told of a boot; judges are given operations besides.
    pub const ALL: Self = Self { map: true, rules: true, events: true, page: None, ops: false };
}

/// What one mapping call of the kernel leaves in its globals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallSpace {
    /// The table buffer (`pgt_buf_*`).
    Buffer(PgtBuf),
    /// Page by page.
    PageByPage {
        /// The next free page of the BRK pool.
        brk_end: Pfn,
        /// The start of the window pages were looked for in.
        min_pfn_mapped: Pfn,
        /// How far memory is mapped now.
        max_pfn_mapped: Pfn,
    },
}

/// What a trace holds of the boot besides the tables, in the order it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A line the kernel prints.
    Printk(String),
    /// Where RAM ends, and how far it is mapped before the build.
    Bounds {
        /// The page behind the last of RAM.
        max_pfn: Pfn,
        /// The page behind the last of RAM below 4 GiB.
        max_low_pfn: Pfn,
        /// How far the kernel believes memory to be mapped.
        max_pfn_mapped: Pfn,
    },
    /// One range was mapped.
    Call {
        /// Counted from 1.
        number: u64,
        /// The range's bytes.
        range: PhysRange,
        /// The table space afterwards.
        space: CallSpace,
        /// Where the fill came to.
        last_mapped: Pfn,
    },
    /// All ranges were mapped: memblock's reserved list and the direct map stand as they are printed.
    Built,
    /// A node's data was placed.
    NodeData {
        /// The node.
        node: u32,
        /// Its bytes.
        range: PhysRange,
    },
    /// The range array was placed.
    RangeArray(PhysRange),
    /// The table space at a death inside the build.
    AtCrash(PgtBuf),
}

/// How the kernel died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Death {
    /// It gave up itself.
    Panic,
    /// Xen refused a request that it had made for granted.
    Bug,
    /// A write met a page that was not there or not writable.
    Crash,
}

impl Death {
    /// The word of the trace.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Panic => "PANIC",
            Self::Bug => "BUG",
            Self::Crash => "CRASH",
        }
    }
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It came through.
    Completed,
    /// The kernel died.
    Died {
        /// How.
        death: Death,
        /// In which part of the boot: `init_memory_mapping`, `numa` or `dma_reserve`.
        stage: &'static str,
        /// What it said.
        text: String,
    },
    /// The strategy failed: it panicked, or gave an answer that makes no sense.
    StrategyFailed(StrategyFault),
}

/// What a boot left behind.
#[derive(Debug)]
pub struct Built {
    /// How it ended.
    pub end: End,
    /// What the strategy said that the boot code left.
    pub boot: Boot,
    /// What a trace prints, in order.
    pub records: Vec<Record>,
    /// The broken rules; empty unless rules were watched.
    pub findings: Vec<Finding>,
    /// The rules that were broken for the page that was followed, in the order in which they broke.
    pub findings_on_page: Vec<Finding>,
    /// The measures, if the build was completed.
    pub measures: Option<Measures>,
    /// The direct map before the build; only if rules were watched.
    pub map_before: Option<PermissionMap>,
    /// The direct map when the build was completed.
    pub map: Option<PermissionMap>,
    /// The direct map at the end of a boot that died in the build.
    pub map_at_death: Option<PermissionMap>,
    /// How far memory was mapped when the build was completed.
    pub max_pfn_mapped: Pfn,
    /// Memblock's reserved list when the build was completed.
    pub reserved: Vec<PhysRange>,
    /// Table pages by who reserved or took them, for the summary of a Xen trace.
    pub xen_totals: Option<measure::XenTotals>,
    /// What happened, in order; empty unless events were watched.
    pub events: Vec<Noted>,
    /// The machine as the strategy found it, and what was done to the MMU; only if operations were watched.
    pub ops: Option<(BootState, Vec<Op>)>,
    /// The walk for the page at which a write faulted, root first; empty unless events were watched.
    pub fault: Vec<Step>,
    /// The page that was followed, wherever something about it changed.
    pub seen: Vec<Glimpse>,
    /// The stages at which the strategy said that it has nothing to say.
    pub declined: Vec<Stage>,
    /// Whether the strategy asked which back end it is on.
    pub asked_backend: bool,
}

/// A layout that contradicts itself, so that no boot can be made of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the boot tables cannot be laid out: {0}")]
pub struct LayoutConflict(pub String);

/// Boots a layout with a strategy, from the boot tables to the last consumer.
///
/// # Errors
/// A layout whose boot tables overlap one another. All that the strategy does wrong is part of the result.
pub fn boot(layout: &Layout, decider: &mut dyn Decider, watch: Watch) -> Result<Built, LayoutConflict> {
    let mut machine = Machine::new(layout, watch)?;
    let outcome = run(&mut machine, decider);
    if let Some(conflict) = machine.conflict.take() {
        return Err(conflict);
    }
    let end = match outcome {
        Ok(()) => End::Completed,
        Err(halt) => machine.die(halt),
    };
    Ok(machine.into_built(end))
}

fn run(machine: &mut Machine<'_>, decider: &mut dyn Decider) -> Result<(), Halt> {
    stages::boot_stage(machine, decider)?;
    stages::map_all(machine, decider)?;
    stages::build_done(machine, decider)?;
    machine.measure();
    stages::reserve_after_the_build(machine);
    consume::node_data(machine)?;
    consume::range_array(machine)?;
    if machine.layout.backend == Backend::Xen {
        machine.enter(Stage::AllocatorUp);
        machine.ask(|cx| decider.allocator_up(cx))?;
    }
    Ok(())
}
