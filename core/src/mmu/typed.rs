// SPDX-License-Identifier: MIT OR Apache-2.0
//! Xen's view of a PV guest's frames: what each is typed as, and how many mappings may write to it.
//!
//! A frame is a table of one level or may be written to, never both at once. It becomes a table when it is
//! pinned or linked into a validated table (`MMUEXT_PIN_L1_TABLE` and `mmu_update` in Xen's public
//! headers): then its own entries are validated, and each writable one takes a writable reference on the
//! frame it maps. A writable entry in a page that is no validated table does not count yet.

use crate::addr::{Pfn, PfnRange, index};
use crate::entry::{Entry, EntryFlags};
use crate::frame_map::FrameMap;
use crate::geometry::Level;
use crate::table::{EntryRun, TableId, TableStore};
use std::fmt;

/// What a refused request wanted of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To be a table of this level.
    Table(Level),
    /// To be written to.
    Writable,
}

/// Xen's "Bad type": a frame is in use in a way that excludes the one wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The frame.
    pub page: Pfn,
    /// What was wanted.
    pub wanted: Wanted,
    /// Writable mappings it has.
    pub n_writable: u32,
    /// The level of the table it is, if it is one.
    pub table: Option<Level>,
}

impl Refusal {
    /// The error number that Xen answers with: EBUSY where an entry would be a writable mapping of a table, EINVAL
    /// where a frame cannot become one (seen of Xen 4.17; `get_page_type` in its public interface's terms).
    #[must_use]
    pub const fn errno(self) -> u32 {
        match self.wanted {
            Wanted::Writable => 16,
            Wanted::Table(_) => 22,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bad type: pfn {:x} wanted ", self.page)?;
        match self.wanted {
            Wanted::Table(level) => write!(f, "as L{} table", level.get())?,
            Wanted::Writable => f.write_str("writable")?,
        }
        match self.table {
            Some(level) => write!(f, " but is an L{} table", level.get()),
            None => write!(f, " but has {} writable mapping(s)", self.n_writable),
        }
    }
}

/// What Xen knows of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Frame {
    /// Writable mappings in validated tables; those of the fixmap are kept beside.
    n_writable: u32,
    /// The level of the table it is validated as; 0 for none.
    level: u8,
    is_pinned: bool,
    /// Entries of validated tables that link it.
    n_links: u16,
}

impl Frame {
    fn refusal(self, page: Pfn, wanted: Wanted) -> Refusal {
        let table = (self.level != 0).then(|| Level::new(self.level));
        Refusal { page, wanted, n_writable: self.n_writable, table }
    }
}

/// Whether a leaf of a validated table takes a writable reference on its frame: not if it is read-only, and
/// not on frames of the machine, which Xen does not count as the guest's.
const fn takes_reference(leaf: Entry) -> bool {
    leaf.is_writable() && leaf.bits() & EntryFlags::IO.bits() == 0
}

/// Types and reference counts of all frames.
#[derive(Debug)]
pub(super) struct TypedFrames {
    frames: FrameMap<Frame>,
}

impl TypedFrames {
    pub(super) fn new() -> Self {
        Self { frames: FrameMap::new() }
    }

    pub(super) fn is_table(&self, page: Pfn) -> bool {
        self.frames.get(page).level != 0
    }

    /// Whether a page may be mapped writable.
    #[inline]
    pub(super) fn check_writable(&self, page: Pfn) -> Result<(), Refusal> {
        let frame = self.frames.get(page);
        if frame.level == 0 { Ok(()) } else { Err(frame.refusal(page, Wanted::Writable)) }
    }

    /// Takes a writable reference on each of the pages; none is taken if one is refused.
    #[inline]
    pub(super) fn get_writable(&mut self, pages: PfnRange) -> Result<(), Refusal> {
        if pages.len() == 1 {
            let frame = self.frames.get_mut(pages.start);
            if frame.level != 0 {
                return Err(frame.refusal(pages.start, Wanted::Writable));
            }
            frame.n_writable += 1;
            return Ok(());
        }
        self.get_all_writable(pages)
    }

    fn get_all_writable(&mut self, pages: PfnRange) -> Result<(), Refusal> {
        let taken = self.frames.try_update(pages, |frame| {
            if frame.level != 0 { Err(frame) } else { Ok(Frame { n_writable: frame.n_writable + 1, ..frame }) }
        });
        taken.map_err(|(page, frame)| {
            self.put_writable(PfnRange::new(pages.start, page));
            frame.refusal(page, Wanted::Writable)
        })
    }

    /// Takes the writable references of a table's leaves, entry by entry.
    fn get_each_writable(&mut self, entries: &[Entry]) -> Result<(), Refusal> {
        let mut rest = entries;
        while let Some(at) = rest.iter().position(|entry| takes_reference(*entry)) {
            rest = &rest[at..];
            let (first, frames) = self.frames.neighbours_mut(Pfn::new(rest[0].frame()));
            let mut n_done = 0;
            for entry in rest {
                if takes_reference(*entry) {
                    let Some(frame) = frames.get_mut(index(entry.frame().wrapping_sub(first.get()))) else { break };
                    if frame.level != 0 {
                        return Err(frame.refusal(Pfn::new(entry.frame()), Wanted::Writable));
                    }
                    frame.n_writable += 1;
                }
                n_done += 1;
            }
            rest = &rest[n_done..];
        }
        Ok(())
    }

    #[inline]
    pub(super) fn put_writable(&mut self, pages: PfnRange) {
        if pages.len() == 1 {
            let frame = self.frames.get_mut(pages.start);
            frame.n_writable = frame.n_writable.saturating_sub(1);
            return;
        }
        let dropped = self
            .frames
            .try_update(pages, |frame| Ok::<_, ()>(Frame { n_writable: frame.n_writable.saturating_sub(1), ..frame }));
        debug_assert!(dropped.is_ok(), "dropping references never fails");
    }

    /// The pages to which a run of leaves takes writable references.
    fn counted(run: EntryRun) -> PfnRange {
        let start = Pfn::new(run.first.frame());
        PfnRange::new(start, if takes_reference(run.first) { start.saturating_add(run.n) } else { start })
    }

    /// The leaf runs of a table's slots, each with frames that follow one another.
    fn leaf_runs(tables: &TableStore, id: TableId, slot: u64, end: u64) -> impl Iterator<Item = EntryRun> + '_ {
        tables.get(id).runs(slot, end, Entry::FRAME_STEP).filter(|run| run.first.is_present())
    }

    /// Leaves are about to be written to a level 1 table: if it is validated, the new ones take their
    /// references and the old ones give theirs back.
    pub(super) fn leaves_change(&mut self, tables: &TableStore, id: TableId, run: EntryRun) -> Result<(), Refusal> {
        if !self.is_table(tables.get(id).pfn()) {
            return Ok(());
        }
        self.get_writable(Self::counted(run))?;
        for old in Self::leaf_runs(tables, id, run.slot, run.slot + run.n) {
            self.put_writable(Self::counted(old));
        }
        Ok(())
    }

    /// Entries of a table are about to be zeroed.
    pub(super) fn entries_dropped(&mut self, tables: &TableStore, id: TableId, run: EntryRun) {
        if !self.is_table(tables.get(id).pfn()) {
            return;
        }
        if tables.get(id).level() == Level::L1 {
            for old in Self::leaf_runs(tables, id, run.slot, run.slot + run.n) {
                self.put_writable(Self::counted(old));
            }
            return;
        }
        for at in 0..run.n {
            if let Some(child) = tables.linked(run.entry(at)) {
                self.put_link(tables, child);
            }
        }
    }

    /// Pins a table: it is validated if it is not yet, and stays a table until it is unpinned.
    pub(super) fn pin(&mut self, tables: &TableStore, id: TableId) -> Result<(), Refusal> {
        self.validate(tables, id)?;
        self.frames.get_mut(tables.get(id).pfn()).is_pinned = true;
        Ok(())
    }

    /// An entry of `parent` is about to link `child`: a validated parent validates it.
    pub(super) fn link_change(
        &mut self,
        tables: &TableStore,
        parent: TableId,
        slot: u64,
        child: TableId,
    ) -> Result<(), Refusal> {
        if !self.is_table(tables.get(parent).pfn()) {
            return Ok(());
        }
        let old = tables.linked(tables.get(parent).entry(slot));
        self.get_link(tables, child)?;
        if let Some(old) = old {
            self.put_link(tables, old);
        }
        Ok(())
    }

    fn get_link(&mut self, tables: &TableStore, id: TableId) -> Result<(), Refusal> {
        let (page, level) = (tables.get(id).pfn(), tables.get(id).level());
        let frame = self.frames.get_mut(page);
        if frame.level == level.get() {
            frame.n_links += 1;
            return Ok(());
        }
        self.validate(tables, id)?;
        self.frames.get_mut(page).n_links += 1;
        Ok(())
    }

    fn put_link(&mut self, tables: &TableStore, id: TableId) {
        let page = tables.get(id).pfn();
        let frame = self.frames.get_mut(page);
        frame.n_links = frame.n_links.saturating_sub(1);
        if 0 < frame.n_links || frame.is_pinned {
            return;
        }
        let whole = EntryRun { slot: 0, n: tables.geometry().entries(), first: Entry::ABSENT, step: 0 };
        let level = tables.get(id).level();
        if level == Level::L1 {
            self.entries_dropped(tables, id, whole);
        } else {
            for slot in 0..whole.n {
                if let Some(child) = tables.linked(tables.get(id).entry(slot)) {
                    self.put_link(tables, child);
                }
            }
        }
        self.frames.get_mut(page).level = 0;
    }

    /// Makes the frame a table of its level, taking the references its entries need.
    fn validate(&mut self, tables: &TableStore, id: TableId) -> Result<(), Refusal> {
        let table = tables.get(id);
        let (page, level) = (table.pfn(), table.level());
        let frame = self.frames.get_mut(page);
        if frame.level == level.get() {
            return Ok(());
        }
        if frame.level != 0 || 0 < frame.n_writable {
            return Err(frame.refusal(page, Wanted::Table(level)));
        }
        // The type stands while the entries are looked at, so a table that maps itself writable is refused.
        frame.level = level.get();
        if level == Level::L1 {
            if let Some(entries) = tables.get(id).each() {
                return self.get_each_writable(entries);
            }
            for run in Self::leaf_runs(tables, id, 0, tables.geometry().entries()) {
                self.get_writable(Self::counted(run))?;
            }
            return Ok(());
        }
        for slot in 0..tables.geometry().entries() {
            if let Some(child) = tables.linked(tables.get(id).entry(slot)) {
                self.get_link(tables, child)?;
            }
        }
        Ok(())
    }
}
