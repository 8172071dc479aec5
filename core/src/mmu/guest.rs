// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PV guest before the model's Xen: the answer to any request about page tables, not only to those a kernel makes.
//!
//! [`Guest`] keeps to the same types and counts as the builder's back end ([`super::Refusal`] is what both meet), so
//! requests that are put to it and to a real Xen put the builder's rules to the test. What it knows besides is what
//! Xen does to the guest's memory:
//!
//! * An entry that Xen accepts is rewritten. One of level 1 gains the user bit and a bit that marks it as the
//!   kernel's; one that has the user bit gains the global bit. Those of higher levels gain the user bit.
//! * The global bit is refused above level 1, so a page that was a level 1 table once may be refused at another.
//! * A write through a read-only mapping of a live level 1 table is emulated if the entry it makes is legal, and is
//!   a page fault otherwise. A write to a table of another level is always one.
//!
//! None of it can be noticed by a strategy, which never reads an entry: the builder does without.

mod text;

pub use text::{LineError, parse_line};

use super::typed::{Accepted, Refusal, TypedFrames};
use crate::addr::{Pfn, PfnRange};
use crate::entry::{Entry, EntryFlags};
use crate::geometry::{Geometry, Level};
use crate::table::{EntryRun, TableId, TableStore};

/// The bit by which Xen remembers that an entry without the user bit is the guest kernel's (`_PAGE_GUEST_KERNEL`).
const GUEST_KERNEL: u64 = 1 << 52;

/// `EINVAL` of Xen's public `errno.h`.
const EINVAL: u32 = 22;

/// A virtual page of the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A page that maps nothing until it is told what, in tables of the guest's own.
    Window(u16),
    /// The direct map's page for this frame, below the root's slots that requests set.
    Direct(Pfn),
}

/// One request of the guest's, or an access. Frames in entries are the guest's own, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `update_va_mapping`.
    Map {
        /// Where.
        place: Place,
        /// The entry of level 1.
        entry: Entry,
    },
    /// The same entry is stored in slots of the page that is mapped there.
    Store {
        /// Where.
        place: Place,
        /// The first slot.
        slot: u16,
        /// How many.
        n: u16,
        /// The entry.
        entry: Entry,
    },
    /// `MMUEXT_PIN_Ln_TABLE`.
    Pin {
        /// The frame.
        frame: Pfn,
        /// The level.
        level: Level,
    },
    /// `MMUEXT_UNPIN_TABLE`.
    Unpin(Pfn),
    /// `mmu_update` of an entry of a frame.
    SetEntry {
        /// The frame.
        frame: Pfn,
        /// The slot.
        slot: u16,
        /// The entry.
        entry: Entry,
    },
    /// `mmu_update` of an entry of the live root. The direct map begins at slot 0.
    SetRoot {
        /// The slot.
        slot: u16,
        /// The entry.
        entry: Entry,
    },
    /// 8 zero bytes are written.
    Write {
        /// To which page.
        place: Place,
        /// To which slot of it.
        slot: u16,
    },
    /// 8 bytes are read.
    Read {
        /// From which page.
        place: Place,
        /// From which slot of it.
        slot: u16,
    },
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Done,
    /// Xen refused it, with this error number (positive).
    Refused(u32),
    /// It met a page fault with this error code.
    Fault(u8),
}

impl From<Result<(), Refusal>> for Reply {
    fn from(outcome: Result<(), Refusal>) -> Self {
        outcome.map_or_else(|refusal| Self::Refused(refusal.errno()), |()| Self::Done)
    }
}

/// A fault's error code: the page is there. Intel SDM vol. 3A, "Page-Fault Exceptions". Xen takes the user bit out.
const PRESENT: u8 = 1;
/// A write.
const WRITE: u8 = 2;

/// A guest of some frames, none of which is mapped or typed.
#[derive(Debug)]
pub struct Guest {
    tables: TableStore,
    windows: Vec<Entry>,
    root: Vec<Entry>,
    typed: TypedFrames,
}

impl Guest {
    /// A guest with this many frames of zeros, windows, and slots of the root.
    #[must_use]
    pub fn new(n_frames: u32, n_windows: u16, n_root_slots: u16) -> Self {
        let mut tables = TableStore::new(Geometry::X86_64);
        let mut typed = TypedFrames::new();
        typed.accepted = Some(Vec::new());
        for number in 0..n_frames {
            // The store's level plays no part: Xen takes a frame for what it is asked for.
            let _ = tables.create(Pfn::new(u64::from(number)), Level::L1);
        }
        Self {
            tables,
            windows: vec![Entry::ABSENT; usize::from(n_windows)],
            root: vec![Entry::ABSENT; usize::from(n_root_slots)],
            typed,
        }
    }

    /// The level of the table a frame is at this moment.
    #[must_use]
    pub fn level(&self, frame: Pfn) -> Option<Level> {
        self.typed.level(frame)
    }

    /// Whether a pin holds the frame.
    #[must_use]
    pub fn is_pinned(&self, frame: Pfn) -> bool {
        self.typed.is_pinned(frame)
    }

    /// What comes of a request.
    pub fn ask(&mut self, request: &Request) -> Reply {
        let reply = match *request {
            Request::Map { place, entry } => self.map(place, entry),
            Request::Store { place, slot, n, entry } => {
                let stored = (slot..slot.saturating_add(n)).map(|slot| self.store(place, slot, entry));
                stored.into_iter().find(|reply| *reply != Reply::Done).unwrap_or(Reply::Done)
            }
            Request::Pin { frame, .. } if self.typed.is_pinned(frame) => Reply::Refused(EINVAL),
            Request::Pin { frame, level } => self.typed.pin(&self.tables, frame, level).into(),
            Request::Unpin(frame) if !self.typed.is_pinned(frame) => Reply::Refused(EINVAL),
            Request::Unpin(frame) => {
                self.typed.unpin(&self.tables, frame);
                Reply::Done
            }
            Request::SetEntry { frame, slot, entry } => self.set_entry(frame, slot, entry),
            Request::SetRoot { slot, entry } => self.set_root(slot, entry),
            Request::Write { place, slot } => self.store(place, slot, Entry::ABSENT),
            Request::Read { place, .. } => match self.leaf(place) {
                Some(_) => Reply::Done,
                None => Reply::Fault(0),
            },
        };
        self.rewrite_accepted();
        reply
    }

    fn table(&self, frame: Pfn) -> Option<TableId> {
        self.tables.at(frame)
    }

    /// The entry of level 1 for a place, and whether all entries above it grant writing.
    fn leaf(&self, place: Place) -> Option<(Entry, bool)> {
        let (entry, above) = match place {
            Place::Window(window) => (*self.windows.get(usize::from(window))?, true),
            Place::Direct(page) => {
                let (table, slot, above) = self.leaf_slot(page)?;
                (self.tables.get(table).entry(slot), above)
            }
        };
        entry.is_present().then_some((entry, above))
    }

    /// The live level 1 table and the slot for the direct map's page, and whether the entries above grant writing.
    fn leaf_slot(&self, page: Pfn) -> Option<(TableId, u64, bool)> {
        let geometry = self.tables.geometry();
        let slot = page.get() / geometry.pages_per_entry(geometry.root_level());
        let mut entry = *self.root.get(usize::try_from(slot).ok()?)?;
        let mut level = geometry.root_level();
        let mut is_writable = true;
        loop {
            is_writable &= entry.is_writable();
            let table = self.tables.linked(entry)?;
            level = level.below()?;
            let slot = geometry.slot(level, page);
            if level == Level::L1 {
                return Some((table, slot, is_writable));
            }
            entry = self.tables.get(table).entry(slot);
        }
    }

    fn write_raw(&mut self, table: TableId, slot: u64, entry: Entry) {
        self.tables.write(table, EntryRun { slot, n: 1, first: entry, step: 0 });
    }

    fn map(&mut self, place: Place, entry: Entry) -> Reply {
        match place {
            Place::Window(window) => {
                let Some(old) = self.windows.get(usize::from(window)).copied() else { return Reply::Refused(EINVAL) };
                if let Err(refusal) = self.typed.get_writable(counted(entry)) {
                    return Err(refusal).into();
                }
                self.typed.put_writable(counted(old));
                self.windows[usize::from(window)] = entry;
                Reply::Done
            }
            Place::Direct(page) => match self.leaf_slot(page) {
                Some((table, slot, _)) => self.set_leaf(table, slot, entry).into(),
                None => Reply::Refused(EINVAL),
            },
        }
    }

    /// Sets an entry of a live level 1 table.
    fn set_leaf(&mut self, table: TableId, slot: u64, entry: Entry) -> Result<(), Refusal> {
        let run = EntryRun { slot, n: 1, first: entry, step: 0 };
        self.typed.leaves_change(&self.tables, table, run)?;
        self.write_raw(table, slot, accepted(entry, Level::L1));
        Ok(())
    }

    fn set_entry(&mut self, frame: Pfn, slot: u16, entry: Entry) -> Reply {
        let Some(table) = self.table(frame) else { return Reply::Refused(EINVAL) };
        let slot = u64::from(slot);
        match self.typed.level(frame) {
            Some(Level::L1) => self.set_leaf(table, slot, entry).into(),
            Some(level) => {
                if let Err(refusal) = self.typed.link_change(&self.tables, table, slot, entry) {
                    return Err(refusal).into();
                }
                self.write_raw(table, slot, accepted(entry, level));
                Reply::Done
            }
            None => {
                // To Xen it is a page like any other.
                self.write_raw(table, slot, entry);
                Reply::Done
            }
        }
    }

    fn set_root(&mut self, slot: u16, entry: Entry) -> Reply {
        let root = self.tables.geometry().root_level();
        let Some(old) = self.root.get(usize::from(slot)).copied() else { return Reply::Refused(EINVAL) };
        if let Err(refusal) = self.typed.get_link(&self.tables, entry, root) {
            return Err(refusal).into();
        }
        if old.is_present() {
            self.typed.put_link(&self.tables, Pfn::new(old.frame()));
        }
        self.root[usize::from(slot)] = accepted(entry, root);
        Reply::Done
    }

    /// A store of 8 bytes to the page that is mapped at a place.
    fn store(&mut self, place: Place, slot: u16, entry: Entry) -> Reply {
        let Some((leaf, is_writable_above)) = self.leaf(place) else { return Reply::Fault(WRITE) };
        let refused = Reply::Fault(WRITE | PRESENT);
        if leaf.flags().contains(EntryFlags::IO) {
            // A frame of the machine holds none of the guest's entries.
            return if leaf.is_writable() && is_writable_above { Reply::Done } else { refused };
        }
        let frame = Pfn::new(leaf.frame());
        let Some(table) = self.table(frame) else { return refused };
        if leaf.is_writable() {
            if is_writable_above {
                self.write_raw(table, u64::from(slot), entry);
                return Reply::Done;
            }
            return refused;
        }
        // What is emulated is told by the leaf alone.
        match self.typed.level(frame) {
            Some(Level::L1) => self.set_leaf(table, u64::from(slot), entry).map_or(refused, |()| Reply::Done),
            _ => refused,
        }
    }

    /// Gives the entries of tables that were validated the bits that Xen gives them.
    fn rewrite_accepted(&mut self) {
        let entries = self.typed.accepted.as_mut().map(std::mem::take).unwrap_or_default();
        for Accepted { table, level, slot } in entries {
            if let Some(id) = self.tables.at(table) {
                let entry = accepted(self.tables.get(id).entry(slot), level);
                self.write_raw(id, slot, entry);
            }
        }
    }
}

/// The page to which an entry takes a writable reference.
fn counted(entry: Entry) -> PfnRange {
    TypedFrames::counted(EntryRun { slot: 0, n: 1, first: entry, step: 0 })
}

/// An entry as Xen leaves it when it has accepted it in a table of this level.
fn accepted(entry: Entry, level: Level) -> Entry {
    let is_users = entry.flags().contains(EntryFlags::USER);
    let gained = match (entry.is_present(), level, is_users) {
        (false, ..) => 0,
        (true, Level::L1, true) => EntryFlags::GLOBAL.bits(),
        (true, Level::L1, false) => EntryFlags::USER.bits() | GUEST_KERNEL,
        (true, ..) => EntryFlags::USER.bits(),
    };
    Entry::from_bits(entry.bits() | gained)
}
