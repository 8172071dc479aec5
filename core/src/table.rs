// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page tables themselves: a store of table pages, each found by the frame it lies in.
//!
//! A page whose entries are one arithmetic run is stored as that run and becomes an array only when
//! something irregular is written to it; both forms read the same. So building costs per table.

use crate::addr::{Pfn, index};
use crate::entry::Entry;
use crate::frame_map::FrameMap;
use crate::geometry::{Geometry, Level};

/// A table page in a [`TableStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableId(u32);

/// Equal steps from one raw entry to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRun {
    /// The slot of the first entry.
    pub slot: u64,
    /// How many entries.
    pub n: u64,
    /// The first entry.
    pub first: Entry,
    /// What to add to an entry's bits for the next one's.
    pub step: u64,
}

impl EntryRun {
    /// The entry `at` places into the run.
    #[must_use]
    pub const fn entry(&self, at: u64) -> Entry {
        Entry::from_bits(self.first.bits().wrapping_add(self.step.wrapping_mul(at)))
    }
}

#[derive(Clone, Debug)]
enum Slots {
    Run { first: Entry, step: u64 },
    Each(Box<[Entry]>),
}

/// One table page.
#[derive(Clone, Debug)]
pub struct Table {
    pfn: Pfn,
    level: Level,
    is_linked: bool,
    slots: Slots,
}

impl Table {
    /// The frame it lies in.
    #[must_use]
    pub const fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// Its level.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether it is live: the processor reaches it from the root, or it is pinned under Xen.
    #[must_use]
    pub const fn is_linked(&self) -> bool {
        self.is_linked
    }

    /// Whether it is known at a glance that no entry links a table: all are absent, or all are large.
    pub(crate) const fn has_only_leaves(&self) -> bool {
        matches!(self.slots, Slots::Run { first, .. } if !first.is_present() || first.is_large())
    }

    /// The entry in a slot.
    #[must_use]
    #[inline]
    pub fn entry(&self, slot: u64) -> Entry {
        match &self.slots {
            Slots::Run { first, step } => Entry::from_bits(first.bits().wrapping_add(step.wrapping_mul(slot))),
            Slots::Each(entries) => entries[index(slot)],
        }
    }

    /// Its entries from `slot` up to `end` as runs: the whole as one where it is stored so, otherwise
    /// neighbours joined while they step by `step`.
    pub(crate) fn runs(&self, slot: u64, end: u64, step: u64) -> impl Iterator<Item = EntryRun> + '_ {
        let mut at = slot;
        std::iter::from_fn(move || {
            if end <= at {
                return None;
            }
            let first = self.entry(at);
            let run = match &self.slots {
                Slots::Run { step, .. } => EntryRun { slot: at, n: end - at, first, step: *step },
                Slots::Each(entries) => {
                    let step = if first == Entry::ABSENT { 0 } else { step };
                    let mut n = 1;
                    let mut expected = first.bits().wrapping_add(step);
                    while at + n < end && entries[index(at + n)].bits() == expected {
                        n += 1;
                        expected = expected.wrapping_add(step);
                    }
                    EntryRun { slot: at, n, first, step }
                }
            };
            at += run.n;
            Some(run)
        })
    }

    fn write(&mut self, run: EntryRun, entries: u64) {
        if run.n == entries {
            self.slots = Slots::Run { first: run.first, step: run.step };
            return;
        }
        let mut bits = run.first.bits();
        for slot in &mut self.slots_mut(entries)[index(run.slot)..index(run.slot + run.n)] {
            *slot = Entry::from_bits(bits);
            bits = bits.wrapping_add(run.step);
        }
    }

    fn slots_mut(&mut self, entries: u64) -> &mut [Entry] {
        if let Slots::Run { first, step } = self.slots {
            let whole = EntryRun { slot: 0, n: entries, first, step };
            self.slots = Slots::Each(match step {
                0 => vec![first; index(entries)].into_boxed_slice(),
                _ => (0..entries).map(|at| whole.entry(at)).collect(),
            });
        }
        let Slots::Each(slots) = &mut self.slots else { unreachable!("made an array just above") };
        slots
    }

    /// The entries one by one, if the page is stored so.
    pub(crate) fn each(&self) -> Option<&[Entry]> {
        match &self.slots {
            Slots::Run { .. } => None,
            Slots::Each(slots) => Some(slots),
        }
    }
}

/// All table pages of a machine.
#[derive(Clone, Debug)]
pub struct TableStore {
    geometry: Geometry,
    tables: Vec<Table>,
    /// The table in each frame, counted from 1; 0 where the frame holds none.
    by_frame: FrameMap<u32>,
}

impl TableStore {
    /// An empty store for tables of this shape.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self { geometry, tables: Vec::new(), by_frame: FrameMap::new() }
    }

    /// The shape of the tables.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The table in the frame.
    #[must_use]
    #[inline]
    pub fn at(&self, pfn: Pfn) -> Option<TableId> {
        self.by_frame.get(pfn).checked_sub(1).map(TableId)
    }

    /// The table.
    #[must_use]
    #[inline]
    pub fn get(&self, id: TableId) -> &Table {
        &self.tables[id.0 as usize]
    }

    /// The table that a present, not large, entry links.
    #[must_use]
    #[inline]
    pub fn linked(&self, entry: Entry) -> Option<TableId> {
        if entry.is_present() && !entry.is_large() { self.at(Pfn::new(entry.frame())) } else { None }
    }

    /// Every table, in the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter()
    }

    /// Makes an empty table in the frame, or `None` if the frame holds one already.
    pub(crate) fn create(&mut self, pfn: Pfn, level: Level) -> Option<TableId> {
        let id = TableId(u32::try_from(self.tables.len()).ok()?);
        let place = self.by_frame.get_mut(pfn);
        if *place != 0 {
            return None;
        }
        *place = id.0 + 1;
        self.tables.push(Table { pfn, level, is_linked: false, slots: Slots::Run { first: Entry::ABSENT, step: 0 } });
        Some(id)
    }

    pub(crate) fn write(&mut self, id: TableId, run: EntryRun) {
        let entries = self.geometry.entries();
        self.tables[id.0 as usize].write(run, entries);
    }

    /// The entries of a table, to be written one by one.
    pub(crate) fn slots_mut(&mut self, id: TableId) -> &mut [Entry] {
        let entries = self.geometry.entries();
        self.tables[id.0 as usize].slots_mut(entries)
    }

    pub(crate) fn set_linked(&mut self, id: TableId, is_linked: bool) {
        self.tables[id.0 as usize].is_linked = is_linked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::EntryFlags;

    fn store() -> (TableStore, TableId) {
        let mut store = TableStore::new(Geometry::X86_64);
        let id = store.create(Pfn::new(5), Level::L1).expect("the store is empty");
        (store, id)
    }

    #[test]
    fn a_run_and_an_array_read_the_same() {
        let first = Entry::new(0x200, EntryFlags::KERNEL);
        let whole = EntryRun { slot: 0, n: 512, first, step: Entry::FRAME_STEP };
        let (mut as_run, run) = store();
        as_run.write(run, whole);
        let (mut as_array, array) = store();
        for slot in 0..512 {
            as_array.write(array, EntryRun { slot, n: 1, first: whole.entry(slot), step: 0 });
        }
        assert!((0..512).all(|slot| as_run.get(run).entry(slot) == as_array.get(array).entry(slot)));
        let runs: Vec<EntryRun> = as_array.get(array).runs(0, 512, Entry::FRAME_STEP).collect();
        assert_eq!(runs, [whole]);
    }

    #[test]
    fn a_frame_holds_one_table() {
        let (mut store, id) = store();
        assert_eq!(store.at(Pfn::new(5)), Some(id));
        assert_eq!(store.create(Pfn::new(5), Level::L2), None);
    }
}
