// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened during a boot, in order: decisions, what was done to the MMU, and who wrote where.
//!
//! Events are kept only when somebody asked for them; a boot that nobody listens to pays nothing.

use crate::addr::{Pfn, PfnRange, PhysRange};
use crate::entry::EntryFlags;
use crate::geometry::Level;
use crate::strategy::{Stage, TableSpace};

/// Who uses memory right after the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// `memtest=`: writes to all free memory.
    Memtest,
    /// A node's data.
    NodeData,
    /// The range array of `memblock_find_dma_reserve`.
    RangeArray,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel printed a line.
    Printk(String),
    /// The strategy chose a range.
    RangeChosen(PfnRange),
    /// The strategy said where the range's tables come from.
    SpaceChosen(TableSpace),
    /// A page was handed out to become a table of this level.
    Taken {
        /// The page.
        page: Pfn,
        /// The level.
        level: Level,
    },
    /// A table page was mapped through the fixmap.
    FixmapMapped {
        /// The page.
        page: Pfn,
        /// Whether the slot may be written through.
        is_writable: bool,
    },
    /// The fixmap slot of a table page was dropped.
    FixmapUnmapped(Pfn),
    /// Leaves were written to a table.
    LeavesWritten {
        /// The table's page.
        table: Pfn,
        /// The first slot.
        slot: u64,
        /// The pages they map.
        pages: PfnRange,
        /// Their bits before the back end masked them.
        flags: EntryFlags,
        /// The pages among them that are mapped read-only.
        read_only: Option<PfnRange>,
    },
    /// Entries were zeroed.
    EntriesCleared {
        /// The table's page.
        table: Pfn,
        /// The first slot.
        slot: u64,
        /// How many slots.
        n: u64,
        /// How many of them were not zero.
        n_changed: u64,
    },
    /// A table was linked into its parent; under Xen it was made read-only, and pinned at level 1, first.
    Attached {
        /// The parent's page.
        parent: Pfn,
        /// The slot.
        slot: u64,
        /// The table's page.
        child: Pfn,
        /// The table's level.
        level: Level,
    },
    /// Permissions in the direct map were changed.
    Protected {
        /// The pages.
        pages: PfnRange,
        /// Whether they became writable, or read-only.
        is_writable: bool,
        /// How many pages that changed.
        n_changed: u64,
    },
    /// Memory was reserved.
    Reserved {
        /// The bytes.
        range: PhysRange,
        /// Whose they are.
        name: String,
    },
    /// Memory was given back.
    Freed(PhysRange),
    /// A range was filled and its last stage has returned.
    RangeDone {
        /// The range's pages.
        pages: PfnRange,
        /// Where the fill came to.
        last_mapped: Pfn,
    },
    /// A page was mapped through the fixmap by somebody else: an ACPI table.
    AcpiMapped(Pfn),
    /// A consumer writes to memory.
    Written {
        /// Who.
        by: Consumer,
        /// The bytes.
        range: PhysRange,
        /// The first page of them that may not be written to, if there is one.
        fault: Option<Pfn>,
    },
    /// The boot ended here.
    Died(String),
}

/// An event with where in the boot it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The range being mapped, counted from 1; 0 outside.
    pub range: u64,
    /// The stage.
    pub stage: Stage,
    /// What happened.
    pub event: Event,
}
