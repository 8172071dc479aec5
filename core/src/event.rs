// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened during a boot, in order: decisions, what was done to the MMU, and who wrote where.
//!
//! Events are kept only when somebody asked for them; a boot that nobody listens to pays nothing.

use crate::addr::{Pfn, PfnRange, PhysRange};
use crate::entry::EntryFlags;
use crate::geometry::Level;
use crate::strategy::{Stage, TableSpace};
use std::fmt;

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
        /// Whether it was reserved in the same breath.
        is_reserved: bool,
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

impl fmt::Display for Noted {
    /// One line: `range 2 page: taken 1df0f3 (L1)`; outside the ranges without the first two words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if 0 < self.range {
            write!(f, "range {} ", self.range)?;
        }
        write!(f, "{}: {}", self.stage.name(), self.event)
    }
}

impl fmt::Display for Event {
    /// One line; ranges are half open, of pages unless it says bytes, and all numbers that count nothing
    /// are hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Printk(text) => write!(f, "printed \"{text}\""),
            Self::RangeChosen(pages) => write!(f, "range {} chosen", Pages(*pages)),
            Self::SpaceChosen(space) => write_space(f, space),
            Self::Taken { page, level, .. } => write!(f, "taken {page:x} (L{})", level.get()),
            Self::FixmapMapped { page, is_writable } => {
                write!(f, "fixmap slot made for {page:x}, {}", writable(*is_writable))
            }
            Self::FixmapUnmapped(page) => write!(f, "fixmap slot of {page:x} dropped"),
            Self::LeavesWritten { table, slot, pages, flags, read_only } => {
                write!(f, "leaves for {} written to table {table:x} from slot {slot}", Pages(*pages))?;
                write!(f, ", {}", flags_text(*flags))?;
                match read_only {
                    Some(pages) => write!(f, ", {} of them read-only", Pages(*pages)),
                    None => Ok(()),
                }
            }
            Self::EntriesCleared { table, slot, n, n_changed } => {
                write!(f, "{n} entries of table {table:x} zeroed from slot {slot}, {n_changed} of them held something")
            }
            Self::Attached { parent, slot, child, level } => {
                write!(f, "table {child:x} (L{}) linked at slot {slot} of {parent:x}", level.get())
            }
            Self::Protected { pages, is_writable, n_changed } => {
                write!(f, "{} made {}, {n_changed} of them were not", Pages(*pages), writable(*is_writable))
            }
            Self::Reserved { range, name } => write!(f, "reserved bytes {} ({name})", Bytes(*range)),
            Self::Freed(range) => write!(f, "freed bytes {}", Bytes(*range)),
            Self::RangeDone { pages, last_mapped } => {
                write!(f, "range {} done, mapped up to {last_mapped:x}", Pages(*pages))
            }
            Self::AcpiMapped(page) => write!(f, "ACPI table at {page:x} mapped through the fixmap"),
            Self::Written { by, range, fault } => {
                write!(f, "{} writes bytes {}", by.name(), Bytes(*range))?;
                match fault {
                    Some(page) => write!(f, ", and faults at {page:x}"),
                    None => Ok(()),
                }
            }
            Self::Died(text) => write!(f, "died: {text}"),
        }
    }
}

impl Consumer {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memtest => "memtest",
            Self::NodeData => "node data",
            Self::RangeArray => "range array",
        }
    }
}

struct Pages(PfnRange);

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:x}, {:x})", self.0.start, self.0.end)
    }
}

struct Bytes(PhysRange);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:x}, {:x})", self.0.start, self.0.end)
    }
}

const fn writable(is_writable: bool) -> &'static str {
    if is_writable { "writable" } else { "read-only" }
}

fn flags_text(flags: EntryFlags) -> String {
    let names: Vec<String> = flags.iter_names().map(|(name, _)| name.to_lowercase().replace('_', " ")).collect();
    names.join(" ")
}

fn write_space(f: &mut fmt::Formatter<'_>, space: &TableSpace) -> fmt::Result {
    match space {
        TableSpace::Buffer(pages) => write!(f, "buffer {} chosen, {} pages", Pages(*pages), pages.len()),
        TableSpace::PageByPage { uses_pool, window } => {
            let pool = if *uses_pool { "the pool, then " } else { "" };
            write!(f, "page by page from {pool}the window {}", Pages(*window))
        }
        TableSpace::Panic(text) => write!(f, "gave up: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::PhysAddr;

    #[track_caller]
    fn check(range: u64, stage: Stage, event: Event, expected: &str) {
        assert_eq!(Noted { range, stage, event }.to_string(), expected);
    }

    #[test]
    fn an_event_is_a_readable_line() {
        let pages = PfnRange::from_numbers(0x100, 0x180);
        let page = Pfn::new(0x1df0f3);
        let taken = Event::Taken { page, level: Level::L1, is_reserved: false };
        check(2, Stage::Page, taken, "range 2 page: taken 1df0f3 (L1)");
        let buffer = Event::SpaceChosen(TableSpace::Buffer(pages));
        check(1, Stage::TableSpace, buffer, "range 1 table space: buffer [100, 180) chosen, 128 pages");
        let reserved = Event::Reserved {
            range: PhysRange::new(PhysAddr::new(0x1000), PhysAddr::new(0x2000)),
            name: "PGTABLE".to_owned(),
        };
        check(0, Stage::BuildDone, reserved, "build done: reserved bytes [1000, 2000) (PGTABLE)");
        let protected = Event::Protected { pages, is_writable: true, n_changed: 3 };
        check(0, Stage::AllocatorUp, protected, "allocator up: [100, 180) made writable, 3 of them were not");
    }
}
