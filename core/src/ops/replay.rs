// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rebuilding the page tables from an operation trace, without the builder that made it.

use super::{Act, Op, Ops, Outcome};
use crate::addr::Pfn;
use crate::entry::{Entry, EntryFlags};
use crate::geometry::Level;
use crate::table::{EntryRun, TableId, TableStore};
use crate::walk::walk;

/// A trace that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// An operation names a table that is not there.
    #[error("operation {number}: no table at {frame:x}")]
    NoTable {
        /// The operation, counted from 1; 0 for the boot tables.
        number: usize,
        /// The frame.
        frame: Pfn,
    },
    /// A page becomes a table that is one already.
    #[error("operation {number}: {frame:x} is a table already")]
    Twice {
        /// The operation.
        number: usize,
        /// The frame.
        frame: Pfn,
    },
    /// Entries that the table does not have.
    #[error("operation {number}: slots {slot} to {end} of {frame:x}; a table has {entries}")]
    Slots {
        /// The operation.
        number: usize,
        /// The table.
        frame: Pfn,
        /// The first slot.
        slot: u64,
        /// The slot behind the last.
        end: u64,
        /// How many entries a table has.
        entries: u64,
    },
    /// A page without a leaf of its own is to change.
    #[error("operation {number}: {frame:x} has no 4K leaf in the direct map")]
    NoLeaf {
        /// The operation.
        number: usize,
        /// The page.
        frame: Pfn,
    },
}

/// Tables under reconstruction.
struct Replay {
    tables: TableStore,
    root: TableId,
    number: usize,
}

impl Ops {
    /// The page tables when the build was done, or where the boot broke off before, and the root among them.
    ///
    /// # Errors
    /// The trace contradicts itself.
    pub fn tables(&self) -> Result<(TableStore, TableId), ReplayError> {
        let mut replay = self.boot_tables()?;
        for op in self.ops.iter().take_while(|op| op.act != Act::Built) {
            replay.number += 1;
            replay.apply(op)?;
        }
        Ok((replay.tables, replay.root))
    }

    /// Whether the build came to its end.
    #[must_use]
    pub fn is_built(&self) -> bool {
        self.ops.iter().any(|op| op.act == Act::Built)
    }

    fn boot_tables(&self) -> Result<Replay, ReplayError> {
        let mut tables = TableStore::new(self.geometry);
        for table in &self.boot.tables {
            let twice = ReplayError::Twice { number: 0, frame: table.frame };
            tables.create(table.frame, table.level).ok_or(twice)?;
        }
        let root = tables.at(self.boot.root).ok_or(ReplayError::NoTable { number: 0, frame: self.boot.root })?;
        let mut replay = Replay { tables, root, number: 0 };
        for table in &self.boot.tables {
            for run in &table.entries {
                replay.write(table.frame, *run)?;
            }
        }
        Ok(replay)
    }
}

impl Replay {
    fn apply(&mut self, op: &Op) -> Result<(), ReplayError> {
        if op.outcome != Outcome::Done {
            return Ok(());
        }
        match op.act {
            Act::New { table, level, .. } => {
                let twice = ReplayError::Twice { number: self.number, frame: table };
                self.tables.create(table, level).map(|_| ()).ok_or(twice)
            }
            Act::Write { table, run, .. } => self.write(table, run),
            Act::Link { parent, slot, entry, .. } => self.write(parent, EntryRun { slot, n: 1, first: entry, step: 0 }),
            Act::Protect { pages, is_writable } => {
                (pages.start.get()..pages.end.get()).try_for_each(|page| self.protect(Pfn::new(page), is_writable))
            }
            Act::Fixmap { .. }
            | Act::Unfixmap(_)
            | Act::Pin { .. }
            | Act::Unpin(_)
            | Act::Access { .. }
            | Act::Built => Ok(()),
        }
    }

    fn write(&mut self, frame: Pfn, run: EntryRun) -> Result<(), ReplayError> {
        let number = self.number;
        let id = self.tables.at(frame).ok_or(ReplayError::NoTable { number, frame })?;
        let (slot, end, entries) = (run.slot, run.slot.saturating_add(run.n), self.tables.geometry().entries());
        if entries < end {
            return Err(ReplayError::Slots { number, frame, slot, end, entries });
        }
        self.tables.write(id, run);
        Ok(())
    }

    fn protect(&mut self, frame: Pfn, is_writable: bool) -> Result<(), ReplayError> {
        let found = walk(&self.tables, self.root, frame);
        if found.level != Level::L1 || !found.entry.is_present() {
            return Err(ReplayError::NoLeaf { number: self.number, frame });
        }
        let without = found.entry.without(EntryFlags::WRITABLE);
        let bits = without.bits() | if is_writable { EntryFlags::WRITABLE.bits() } else { 0 };
        let run = EntryRun { slot: found.slot, n: 1, first: Entry::from_bits(bits), step: 0 };
        self.tables.write(found.table, run);
        Ok(())
    }
}
