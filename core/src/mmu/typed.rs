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
    /// To be linked by an entry of a table of this level that has bits which Xen allows only in leaves.
    LinkedGlobal(Level),
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
            Wanted::Table(_) | Wanted::LinkedGlobal(_) => 22,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Wanted::LinkedGlobal(level) = self.wanted {
            return write!(f, "Bad L{} flags: the entry for pfn {:x} is global", level.get(), self.page);
        }
        write!(f, "Bad type: pfn {:x} wanted ", self.page)?;
        match self.wanted {
            Wanted::Table(level) | Wanted::LinkedGlobal(level) => write!(f, "as L{} table", level.get())?,
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

/// An entry that Xen accepted while it validated a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The table.
    pub(super) table: Pfn,
    /// The level it is a table of.
    pub(super) level: Level,
    /// The slot.
    pub(super) slot: u64,
}

/// Types and reference counts of all frames.
///
/// A frame is looked at as a table of the level that is asked of it, whatever the store takes it for: what a page
/// holds is entries of any level to Xen.
#[derive(Debug)]
pub(super) struct TypedFrames {
    frames: FrameMap<Frame>,
    /// What was accepted since it was looked at last; for whoever wants to know.
    pub(super) accepted: Option<Vec<Accepted>>,
}

impl TypedFrames {
    pub(super) fn new() -> Self {
        Self { frames: FrameMap::new(), accepted: None }
    }

    pub(super) fn is_table(&self, page: Pfn) -> bool {
        self.frames.get(page).level != 0
    }

    /// The level of the table that a frame is validated as.
    pub(super) fn level(&self, page: Pfn) -> Option<Level> {
        let level = self.frames.get(page).level;
        (level != 0).then(|| Level::new(level))
    }

    pub(super) fn is_pinned(&self, page: Pfn) -> bool {
        self.frames.get(page).is_pinned
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

    /// Takes the writable references of a table's leaves, entry by entry; says how many were looked at before one
    /// was refused.
    fn get_each_writable(&mut self, entries: &[Entry]) -> Result<(), (usize, Refusal)> {
        let mut at = 0;
        while let Some(next) = entries[at..].iter().position(|entry| takes_reference(*entry)) {
            at += next;
            let (first, frames) = self.frames.neighbours_mut(Pfn::new(entries[at].frame()));
            for entry in &entries[at..] {
                if takes_reference(*entry) {
                    let Some(frame) = frames.get_mut(index(entry.frame().wrapping_sub(first.get()))) else { break };
                    if frame.level != 0 {
                        return Err((at, frame.refusal(Pfn::new(entry.frame()), Wanted::Writable)));
                    }
                    frame.n_writable += 1;
                }
                at += 1;
            }
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
    pub(super) fn counted(run: EntryRun) -> PfnRange {
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
        let Some(level) = self.level(tables.get(id).pfn()) else { return };
        self.drop_entries(tables, id, level, run.slot, run.slot + run.n);
    }

    /// The references that a range of a table's slots took are given back.
    fn drop_entries(&mut self, tables: &TableStore, id: TableId, level: Level, slot: u64, end: u64) {
        if level == Level::L1 {
            for old in Self::leaf_runs(tables, id, slot, end) {
                self.put_writable(Self::counted(old));
            }
            return;
        }
        for slot in slot..end {
            if let Some(child) = linked(tables.get(id).entry(slot)) {
                self.put_link(tables, child);
            }
        }
    }

    /// Pins a table: it is validated if it is not yet, and stays a table until it is unpinned.
    pub(super) fn pin(&mut self, tables: &TableStore, page: Pfn, level: Level) -> Result<(), Refusal> {
        self.validate(tables, page, level)?;
        self.frames.get_mut(page).is_pinned = true;
        Ok(())
    }

    /// Takes a pin back.
    pub(super) fn unpin(&mut self, tables: &TableStore, page: Pfn) {
        self.frames.get_mut(page).is_pinned = false;
        self.let_go(tables, page);
    }

    /// An entry of `parent` is about to link `child`: a validated parent validates it.
    pub(super) fn link_change(
        &mut self,
        tables: &TableStore,
        parent: TableId,
        slot: u64,
        child: Entry,
    ) -> Result<(), Refusal> {
        let Some(level) = self.level(tables.get(parent).pfn()) else { return Ok(()) };
        self.get_link(tables, child, level)?;
        if let Some(old) = linked(tables.get(parent).entry(slot)) {
            self.put_link(tables, old);
        }
        Ok(())
    }

    /// An entry of a validated table of this level links what it names, if anything.
    pub(super) fn get_link(&mut self, tables: &TableStore, entry: Entry, level: Level) -> Result<(), Refusal> {
        let (Some(page), Some(below)) = (linked(entry), level.below()) else { return Ok(()) };
        if entry.flags().contains(EntryFlags::GLOBAL) {
            return Err(self.frames.get(page).refusal(page, Wanted::LinkedGlobal(level)));
        }
        self.validate(tables, page, below)?;
        self.frames.get_mut(page).n_links += 1;
        Ok(())
    }

    /// A link is given back.
    pub(super) fn put_link(&mut self, tables: &TableStore, page: Pfn) {
        let frame = self.frames.get_mut(page);
        frame.n_links = frame.n_links.saturating_sub(1);
        self.let_go(tables, page);
    }

    /// A table that nothing links and no pin holds is a table no more, and gives back what its entries took.
    fn let_go(&mut self, tables: &TableStore, page: Pfn) {
        let Frame { level, is_pinned, n_links, .. } = self.frames.get(page);
        if 0 < n_links || is_pinned || level == 0 {
            return;
        }
        if let Some(id) = tables.at(page) {
            self.drop_entries(tables, id, Level::new(level), 0, tables.geometry().entries());
        }
        self.frames.get_mut(page).level = 0;
    }

    /// Makes the frame a table of this level, taking the references its entries need; none is left if one is
    /// refused.
    fn validate(&mut self, tables: &TableStore, page: Pfn, level: Level) -> Result<(), Refusal> {
        let frame = self.frames.get_mut(page);
        if frame.level == level.get() {
            return Ok(());
        }
        if frame.level != 0 || 0 < frame.n_writable {
            return Err(frame.refusal(page, Wanted::Table(level)));
        }
        let Some(id) = tables.at(page) else {
            // A page without entries.
            frame.level = level.get();
            return Ok(());
        };
        // The type stands while the entries are looked at, so a table that maps itself writable is refused.
        frame.level = level.get();
        let refused = match level {
            Level::L1 => self.take_leaves(tables, id),
            _ => self.take_links(tables, id, level),
        };
        let n_entries = tables.geometry().entries();
        let n_taken = refused.map_or(n_entries, |(n, _)| n);
        if let Some(accepted) = &mut self.accepted {
            let slots = (0..n_taken).filter(|slot| tables.get(id).entry(*slot).is_present());
            accepted.extend(slots.map(|slot| Accepted { table: page, level, slot }));
        }
        let Some((_, refusal)) = refused else { return Ok(()) };
        self.drop_entries(tables, id, level, 0, n_taken);
        self.frames.get_mut(page).level = 0;
        Err(refusal)
    }

    /// Takes the references of a table's leaves; gives the first slot that was refused, if one was.
    fn take_leaves(&mut self, tables: &TableStore, id: TableId) -> Option<(u64, Refusal)> {
        if let Some(entries) = tables.get(id).each() {
            return self.get_each_writable(entries).err().map(|(at, refusal)| (at as u64, refusal));
        }
        for run in Self::leaf_runs(tables, id, 0, tables.geometry().entries()) {
            if let Err(refusal) = self.get_writable(Self::counted(run)) {
                // The frames of a run follow one another: those before the refused one are taken back as one.
                let n = refusal.page.offset_from(Pfn::new(run.first.frame()));
                let taken = Self::counted(EntryRun { n, ..run });
                if !taken.is_empty() && self.get_writable(taken).is_err() {
                    debug_assert!(false, "what was taken once is taken again");
                }
                return Some((run.slot + n, refusal));
            }
        }
        None
    }

    /// Links what a table's entries name; gives the first slot that was refused, if one was.
    fn take_links(&mut self, tables: &TableStore, id: TableId, level: Level) -> Option<(u64, Refusal)> {
        if tables.get(id).has_only_leaves() {
            return None;
        }
        (0..tables.geometry().entries()).find_map(|slot| {
            self.get_link(tables, tables.get(id).entry(slot), level).err().map(|refusal| (slot, refusal))
        })
    }
}

/// The frame that an entry above level 1 links.
fn linked(entry: Entry) -> Option<Pfn> {
    (entry.is_present() && !entry.is_large()).then(|| Pfn::new(entry.frame()))
}
