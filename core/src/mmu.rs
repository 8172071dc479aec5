// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MMU back ends: every page-table entry is written here, natively or as Xen allows it.
//!
//! Natively an entry is a store. Under Xen PV a table is a typed page (`typed`), entries follow the
//! p2m, a new table is made read-only and, at level 1, pinned before it is linked, and a request that
//! breaks Xen's rules is refused.

pub mod guest;
mod typed;

use crate::addr::{Pfn, PfnRange, index};
use crate::entry::{Entry, EntryFlags};
use crate::geometry::Level;
use crate::layout::{Layout, Machine, P2m, P2mRun};
use crate::ops::{self, Act, FixmapAccess, Outcome, Recorder};
use crate::table::{EntryRun, TableId, TableStore};
use crate::walk::{Walk, walk};
use std::cell::Cell;
use typed::TypedFrames;
pub use typed::{Refusal, Wanted};

/// A request that Xen refused, and the kernel function that then hits its `BUG()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("BUG() in {function} ({refusal})")]
pub struct Bug {
    /// The kernel function.
    pub function: &'static str,
    /// What Xen said.
    pub refusal: Refusal,
}

/// Names the kernel function in which a refusal becomes a `BUG()`.
fn in_function(function: &'static str) -> impl Fn(Refusal) -> Bug {
    move |refusal| Bug { function, refusal }
}

/// What came of an operation, as it is kept.
fn came_of(outcome: &Result<(), Bug>) -> Outcome {
    outcome.as_ref().map_or_else(Outcome::from, |()| Outcome::Done)
}

/// A fixmap slot through which a table page is written for a while.
#[derive(Clone, Copy, Debug)]
struct FixmapSlot {
    page: Pfn,
    is_writable: bool,
}

/// Leaves about to be made.
#[derive(Clone, Copy, Debug)]
struct Leaves {
    id: TableId,
    /// The slot of the first of them.
    slot: u64,
    pages: PfnRange,
    per_entry: u64,
    /// Whether the table is one that Xen has validated.
    is_validated: bool,
    /// Which of the pages are mapped read-only.
    read_only: PfnRange,
}

/// The frame an entry names for what the p2m answers, and the bits it has; none where no entry is made.
const fn behind(machine: Machine, flags: EntryFlags) -> Option<(u64, EntryFlags)> {
    match machine {
        Machine::Frame(mfn) => Some((mfn.get(), flags)),
        Machine::Identity(mfn) => Some((mfn.get(), flags.union(EntryFlags::IO))),
        Machine::Invalid => None,
    }
}

/// The tables and who guards them.
#[derive(Debug)]
pub(crate) struct Mmu<'l> {
    pub(crate) tables: TableStore,
    pub(crate) root: TableId,
    typed: Option<TypedFrames>,
    p2m: Option<&'l P2m>,
    supported: EntryFlags,
    fixmap: Vec<FixmapSlot>,
    /// The live level 1 table that was looked at last, by the pages it maps.
    last_leaf_table: Cell<Option<(PfnRange, TableId)>>,
    /// Tables that became live by the last operations, for whoever watches links.
    pub(crate) newly_linked: Vec<Pfn>,
    pub(crate) tracks_links: bool,
    /// Keeps what is done here, where somebody wants it.
    pub(crate) ops: Recorder,
    /// The tables that Xen was asked to hold before the build.
    pinned_before: Vec<Pfn>,
}

impl<'l> Mmu<'l> {
    /// An MMU that owns `tables`, below `root`. `p2m` is given where entries follow it.
    pub(crate) fn native(layout: &'l Layout, tables: TableStore, root: TableId) -> Self {
        let features = layout.features();
        let mut supported = EntryFlags::all();
        supported.set(EntryFlags::NO_EXECUTE, features.nx);
        supported.set(EntryFlags::GLOBAL, features.pge);
        let (typed, p2m) = (None, None);
        let mut mmu = Self {
            tables,
            root,
            typed,
            p2m,
            supported,
            fixmap: Vec::new(),
            last_leaf_table: Cell::new(None),
            newly_linked: Vec::new(),
            tracks_links: false,
            ops: Recorder::default(),
            pinned_before: Vec::new(),
        };
        mmu.link(root);
        mmu.newly_linked.clear();
        mmu
    }

    /// Hands the tables over to Xen: the root is pinned, and everything below it typed.
    pub(crate) fn guard(&mut self, p2m: Option<&'l P2m>, statics: &[Pfn]) -> Result<(), Refusal> {
        let mut typed = TypedFrames::new();
        self.pinned_before = [self.tables.get(self.root).pfn()].into_iter().chain(statics.iter().copied()).collect();
        typed.pin(&self.tables, self.tables.get(self.root).pfn(), self.tables.geometry().root_level())?;
        for &page in statics {
            if let Some(id) = self.tables.at(page) {
                typed.pin(&self.tables, page, self.tables.get(id).level())?;
                self.tables.set_linked(id, true);
            }
        }
        self.typed = Some(typed);
        self.p2m = p2m;
        Ok(())
    }

    /// Operations on the MMU are kept from here on: the strategy begins. `pages` are all that the machine has.
    pub(crate) fn begin_ops(&mut self, pages: PfnRange) {
        let frames = ops::frames(self.p2m, pages);
        self.ops.begin(&self.tables, self.root, &self.pinned_before, frames);
    }

    /// Whether tables are guarded, which is to say whether Xen owns them.
    pub(crate) const fn is_guarded(&self) -> bool {
        self.typed.is_some()
    }

    /// Walks the live tables for the page's address in the direct map.
    pub(crate) fn walk(&self, pfn: Pfn) -> Walk {
        walk(&self.tables, self.root, pfn)
    }

    /// The leaf of the page in the live tables: its table, slot and entry, if it has a level 1 table.
    #[inline]
    fn leaf(&self, pfn: Pfn) -> Option<(TableId, u64, Entry)> {
        let slot = self.tables.geometry().slot(Level::L1, pfn);
        if let Some((pages, table)) = self.last_leaf_table.get()
            && pages.contains(pfn)
        {
            return Some((table, slot, self.tables.get(table).entry(slot)));
        }
        let found = self.walk(pfn);
        if found.level != Level::L1 {
            return None;
        }
        let start = pfn.align_down(self.tables.geometry().entries());
        let pages = PfnRange::new(start, start.saturating_add(self.tables.geometry().entries()));
        self.last_leaf_table.set(Some((pages, found.table)));
        Some((found.table, slot, found.entry))
    }

    /// Whether an entry for any of the pages would not be zero.
    pub(crate) fn any_entry(&self, pages: PfnRange) -> bool {
        let Some(p2m) = self.p2m.filter(|p2m| !p2m.is_plain()) else { return true };
        p2m.runs(pages).any(|run| run.machine != Machine::Invalid)
    }

    /// Makes leaves for `pages` from `slot` on, those of `read_only` without the writable bit. The slots
    /// must be empty or hold leaves of no other page.
    pub(crate) fn set_leaves(
        &mut self,
        id: TableId,
        slot: u64,
        pages: PfnRange,
        flags: EntryFlags,
        read_only: Option<PfnRange>,
    ) -> Result<(), Bug> {
        let flags = flags & self.supported;
        let table = self.tables.get(id);
        let is_validated = self.typed.as_ref().is_some_and(|typed| typed.is_table(table.pfn()));
        let per_entry = self.tables.geometry().pages_per_entry(table.level());
        let none = PfnRange::new(pages.end, pages.end);
        let leaves = Leaves { id, slot, pages, per_entry, is_validated, read_only: read_only.unwrap_or(none) };
        let Some(p2m) = self.p2m.filter(|p2m| !p2m.is_plain()) else {
            return self.set_guarded(&leaves, pages, pages.start.get(), flags);
        };
        let mut runs = p2m.runs(pages);
        let Some(mut run) = runs.next() else { return Ok(()) };
        if !is_validated && per_entry == 1 && run.pages != pages {
            self.set_each(&leaves, run, runs, flags);
            self.ops.written(&self.tables, id, slot, pages.len(), Entry::FRAME_STEP);
            return Ok(());
        }
        loop {
            if let Some((frame, flags)) = behind(run.machine, flags) {
                self.set_guarded(&leaves, run.pages, frame, flags)?;
            }
            match runs.next() {
                Some(next) => run = next,
                None => return Ok(()),
            }
        }
    }

    /// Makes leaves of 4 KiB in a table that Xen does not look at yet, whose frames do not follow one
    /// another: entry by entry, which costs less than a run for each where runs are short.
    fn set_each(&mut self, leaves: &Leaves, first: P2mRun, mut rest: impl Iterator<Item = P2mRun>, flags: EntryFlags) {
        let slots = &mut self.tables.slots_mut(leaves.id)[index(leaves.slot)..];
        let made_for = |run: P2mRun| behind(run.machine, flags).map(|(frame, flags)| Entry::new(frame, flags).bits());
        let (mut n_left, mut made) = (first.pages.len(), made_for(first));
        for slot in &mut slots[..index(leaves.pages.len())] {
            if n_left == 0 {
                let Some(run) = rest.next() else { break };
                (n_left, made) = (run.pages.len(), made_for(run));
            }
            if let Some(bits) = &mut made {
                *slot = Entry::from_bits(*bits);
                *bits = bits.wrapping_add(Entry::FRAME_STEP);
            }
            n_left -= 1;
        }
        let guarded = leaves.read_only.intersect(leaves.pages);
        if !guarded.is_empty() {
            let at = index(guarded.start.offset_from(leaves.pages.start));
            for slot in &mut slots[at..at + index(guarded.len())] {
                *slot = slot.without(EntryFlags::WRITABLE);
            }
        }
    }

    /// Makes those of the leaves that map `pages`, the first to `frame`, in up to three runs: before, in
    /// and behind what is read-only.
    #[inline]
    fn set_guarded(&mut self, leaves: &Leaves, pages: PfnRange, frame: u64, flags: EntryFlags) -> Result<(), Bug> {
        let guarded = leaves.read_only.intersect(pages);
        if guarded.is_empty() {
            return self.set_run(leaves, pages, frame, flags);
        }
        let frame_of = |page: Pfn| frame + page.offset_from(pages.start);
        self.set_run(leaves, PfnRange::new(pages.start, guarded.start), frame, flags)?;
        self.set_run(leaves, guarded, frame_of(guarded.start), flags - EntryFlags::WRITABLE)?;
        self.set_run(leaves, PfnRange::new(guarded.end, pages.end), frame_of(guarded.end), flags)
    }

    #[inline]
    fn set_run(&mut self, leaves: &Leaves, pages: PfnRange, frame: u64, flags: EntryFlags) -> Result<(), Bug> {
        if pages.is_empty() {
            return Ok(());
        }
        let run = EntryRun {
            slot: leaves.slot + pages.start.offset_from(leaves.pages.start) / leaves.per_entry,
            n: pages.len().div_ceil(leaves.per_entry),
            first: Entry::new(frame, flags),
            step: leaves.per_entry * Entry::FRAME_STEP,
        };
        let mut outcome = Ok(());
        if let Some(typed) = self.typed.as_mut().filter(|_| leaves.is_validated) {
            outcome = typed.leaves_change(&self.tables, leaves.id, run).map_err(in_function("xen_set_pte"));
        }
        self.keep_write(leaves.id, run, &outcome);
        outcome?;
        self.tables.write(leaves.id, run);
        Ok(())
    }

    /// Keeps that entries were written, or what Xen said to it.
    #[inline]
    fn keep_write(&mut self, id: TableId, run: EntryRun, outcome: &Result<(), Bug>) {
        let table = self.tables.get(id);
        self.ops.came_to(|| Act::Write { table: table.pfn(), level: table.level(), run }, || came_of(outcome));
    }

    /// Zeroes `n` entries from `slot` on, dropping what they link. Gives how many were not zero.
    pub(crate) fn clear(&mut self, id: TableId, slot: u64, n: u64) -> u64 {
        let step = Entry::FRAME_STEP * self.tables.geometry().pages_per_entry(self.tables.get(id).level());
        self.last_leaf_table.set(None);
        let old: Vec<EntryRun> =
            self.tables.get(id).runs(slot, slot + n, step).filter(|run| run.first != Entry::ABSENT).collect();
        for run in &old {
            let empty = EntryRun { slot: run.slot, n: run.n, first: Entry::ABSENT, step: 0 };
            if let Some(typed) = &mut self.typed {
                typed.entries_dropped(&self.tables, id, *run);
            }
            self.keep_write(id, empty, &Ok(()));
            self.tables.write(id, empty);
            for at in 0..run.n {
                if let Some(child) = self.tables.linked(run.entry(at)) {
                    self.unlink(child);
                }
            }
        }
        old.iter().map(|run| run.n).sum()
    }

    /// Links a filled table into a slot of its parent: under Xen it is made read-only and, at level 1,
    /// pinned first (`paravirt_alloc_pte` and its kin), then the parent's entry is set.
    pub(crate) fn attach(&mut self, parent: TableId, slot: u64, child: TableId) -> Result<(), Bug> {
        let page = self.tables.get(child).pfn();
        let level = self.tables.get(child).level();
        if self.typed.is_some() {
            self.set_read_only(page);
        }
        self.pin(child)?;
        let first = Entry::new(page.get(), EntryFlags::TABLE);
        let mut outcome = Ok(());
        if let Some(typed) = &mut self.typed {
            outcome = typed.link_change(&self.tables, parent, slot, first).map_err(in_function(match level {
                Level::L1 => "xen_set_pmd_hyper",
                Level::L2 => "xen_set_pud_hyper",
                _ => "xen_set_pgd_hyper",
            }));
        }
        let above = self.tables.get(parent);
        let link = || Act::Link { parent: above.pfn(), level: above.level(), slot, entry: first };
        self.ops.came_to(link, || came_of(&outcome));
        outcome?;
        self.tables.write(parent, EntryRun { slot, n: 1, first, step: 0 });
        if self.tables.get(parent).is_linked() {
            self.last_leaf_table.set(None);
        }
        let is_pinned = self.typed.is_some() && level == Level::L1;
        if is_pinned || self.tables.get(parent).is_linked() {
            self.link(child);
        }
        Ok(())
    }

    /// Under Xen, has a new table of level 1 held; at other levels a table is only looked at, for what a link of it
    /// would meet.
    fn pin(&mut self, id: TableId) -> Result<(), Bug> {
        let (page, level) = (self.tables.get(id).pfn(), self.tables.get(id).level());
        let mut outcome = if self.fixmap.is_empty() { Ok(()) } else { self.check_fixmap(page, level) };
        let Some(typed) = &mut self.typed else { return Ok(()) };
        if level == Level::L1 {
            outcome = outcome.and_then(|()| typed.pin(&self.tables, page, level));
        }
        let outcome = outcome.map_err(in_function("pin_pagetable_pfn"));
        if level == Level::L1 || outcome.is_err() {
            self.ops.came_to(|| Act::Pin { table: page, level }, || came_of(&outcome));
        }
        outcome
    }

    /// Marks a table and everything below it as live.
    fn link(&mut self, id: TableId) {
        if self.tables.get(id).is_linked() {
            return;
        }
        self.tables.set_linked(id, true);
        if self.tracks_links {
            self.newly_linked.push(self.tables.get(id).pfn());
        }
        self.each_child(id, Self::link);
    }

    /// Marks a table and everything below it as no longer live, unless Xen still holds it as a table.
    fn unlink(&mut self, id: TableId) {
        let page = self.tables.get(id).pfn();
        if self.typed.as_ref().is_some_and(|typed| typed.is_table(page)) {
            return;
        }
        self.tables.set_linked(id, false);
        self.each_child(id, Self::unlink);
    }

    /// Visits the tables that a table links.
    fn each_child(&mut self, id: TableId, visit: fn(&mut Self, TableId)) {
        if self.tables.get(id).level() == Level::L1 || self.tables.get(id).has_only_leaves() {
            return;
        }
        for slot in 0..self.tables.geometry().entries() {
            if let Some(child) = self.tables.linked(self.tables.get(id).entry(slot)) {
                visit(self, child);
            }
        }
    }

    /// Takes writing away from a page's address in the direct map if it is mapped there
    /// (`make_lowmem_page_readonly`). Whether anything changed.
    pub(crate) fn set_read_only(&mut self, page: Pfn) -> bool {
        let Some((table, slot, entry)) = self.leaf(page).filter(|(_, _, entry)| entry.is_writable()) else {
            return false;
        };
        let Some(typed) = &mut self.typed else { return false };
        let first = entry.without(EntryFlags::WRITABLE);
        let run = EntryRun { slot, n: 1, first, step: 0 };
        // Taking a right away is never refused.
        if typed.leaves_change(&self.tables, table, run).is_err() {
            return false;
        }
        self.tables.write(table, run);
        self.ops.done(|| Act::Protect { pages: PfnRange::new(page, page.saturating_add(1)), is_writable: false });
        true
    }

    /// Makes a page's address in the direct map writable if it is mapped there
    /// (`make_lowmem_page_readwrite`). Whether anything changed.
    pub(crate) fn set_writable(&mut self, page: Pfn) -> Result<bool, Bug> {
        let is_read_only = |entry: Entry| entry.is_present() && !entry.is_writable();
        let Some((table, slot, entry)) = self.leaf(page).filter(|(_, _, entry)| is_read_only(*entry)) else {
            return Ok(false);
        };
        let Some(typed) = &mut self.typed else { return Ok(false) };
        let first = Entry::from_bits(entry.bits() | EntryFlags::WRITABLE.bits());
        let run = EntryRun { slot, n: 1, first, step: 0 };
        let outcome = typed.leaves_change(&self.tables, table, run).map_err(in_function("make_lowmem_page_readwrite"));
        let pages = PfnRange::new(page, page.saturating_add(1));
        self.ops.came_to(|| Act::Protect { pages, is_writable: true }, || came_of(&outcome));
        outcome?;
        self.tables.write(table, run);
        Ok(true)
    }

    /// Maps a page through a slot of the fixmap. Its writable reference is the slot itself: there are only
    /// ever a few.
    #[inline]
    pub(crate) fn map_fixmap(&mut self, page: Pfn, is_writable: bool) -> Result<(), Bug> {
        let mut outcome = Ok(());
        if let (Some(typed), true) = (&self.typed, is_writable) {
            outcome = typed.check_writable(page).map_err(in_function("xen_set_pte"));
        }
        let access = match is_writable || self.typed.is_none() {
            true => FixmapAccess::Writable,
            false => FixmapAccess::ReadOnly,
        };
        self.ops.came_to(|| Act::Fixmap { frame: page, access }, || came_of(&outcome));
        outcome?;
        self.fixmap.push(FixmapSlot { page, is_writable });
        Ok(())
    }

    /// Drops the fixmap slot made last.
    #[inline]
    pub(crate) fn unmap_fixmap(&mut self) {
        if let Some(slot) = self.fixmap.pop() {
            self.ops.done(|| Act::Unfixmap(slot.page));
        }
    }

    /// A page with a writable fixmap slot cannot become a table.
    fn check_fixmap(&self, page: Pfn, level: Level) -> Result<(), Refusal> {
        let n_writable = self.fixmap.iter().filter(|slot| slot.page == page && slot.is_writable).count();
        match u32::try_from(n_writable) {
            Ok(0) => Ok(()),
            n => Err(Refusal { page, wanted: Wanted::Table(level), n_writable: n.unwrap_or(u32::MAX), table: None }),
        }
    }

    /// Whether a fixmap slot maps the page at this moment, and then whether it may be written through.
    pub(crate) fn fixmap_of(&self, page: Pfn) -> Option<bool> {
        let slots = self.fixmap.iter().filter(|slot| slot.page == page);
        slots.map(|slot| slot.is_writable || !self.is_guarded()).reduce(|any, is_writable| any | is_writable)
    }

    /// Whether a fixmap slot maps the page writable at this moment.
    pub(crate) fn is_writable_in_fixmap(&self, page: Pfn) -> bool {
        self.fixmap.iter().any(|slot| slot.page == page && slot.is_writable)
    }
}
