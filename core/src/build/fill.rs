// SPDX-License-Identifier: MIT OR Apache-2.0
//! Filling the tables of one range, in the kernel's order (`kernel_physical_mapping_init` and below,
//! `arch/x86/mm/init_64.c` of 2.6.39): depth first, a parent's page taken before its children's, and a
//! table attached to its parent only when all below it is filled.

use super::{Halt, Machine};
use crate::addr::{Pfn, PfnRange};
use crate::decide::Decider;
use crate::entry::{Entry, EntryFlags};
use crate::event::Event;
use crate::geometry::{Geometry, Level};
use crate::ops::{self, Accessor, Act, Outcome, Via};
use crate::strategy::{
    Access, Alias, Context, KeptLarge, LeafQuestion, OnEmptyGib, Page, PageQuestion, PageSizes, PastEnd, Piece, Range,
    SplitLarge, Stage, WriteQuestion,
};
use crate::table::TableId;

/// Size of an entry of a table.
const ENTRY_BYTES: u64 = 8;

/// Where table pages come from, as the strategy answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Space {
    Buffer,
    PageByPage { uses_pool: bool, window: PfnRange },
}

/// The leaf size an entry of this level has, where the kernel knows one.
pub(super) const fn leaf_size(level: Level) -> PageSizes {
    match level {
        Level::L2 => PageSizes::M2,
        Level::L3 => PageSizes::G1,
        _ => PageSizes::empty(),
    }
}

/// Under Xen, asks whether anything is to be done before entries for `pages` are written; not if none of
/// them would be there.
pub(super) fn ask_write(
    machine: &mut Machine<'_>,
    decider: &mut dyn Decider,
    pages: PfnRange,
    is_fixmap: bool,
) -> Result<(), Halt> {
    if !machine.mmu.is_guarded() || !machine.asks(Stage::Write) || !machine.mmu.any_entry(pages) {
        return Ok(());
    }
    machine.enter(Stage::Write);
    let question = WriteQuestion { pages, is_fixmap, buf: machine.facts.buf };
    machine.ask(|cx| decider.write(cx, &question))
}

/// The fill of one range.
pub(super) struct Fill<'m, 'l, 'd, 'r> {
    machine: &'m mut Machine<'l>,
    decider: &'d mut dyn Decider,
    range: &'r Range,
    space: Space,
    /// Tables taken and not attached yet, the topmost first.
    unattached: Vec<TableId>,
}

impl<'m, 'l, 'd, 'r> Fill<'m, 'l, 'd, 'r> {
    pub(super) fn new(
        machine: &'m mut Machine<'l>,
        decider: &'d mut dyn Decider,
        range: &'r Range,
        space: Space,
    ) -> Self {
        Self { machine, decider, range, space, unattached: Vec::new() }
    }

    fn geometry(&self) -> &'l Geometry {
        &self.machine.layout.geometry
    }

    /// Fills all pieces. Gives where the last one came to.
    pub(super) fn run(mut self) -> Result<Pfn, Halt> {
        let mut last = self.range.pages.end;
        let root = self.machine.mmu.root;
        for piece in &self.range.pieces {
            last = self.fill(root, piece.pages.start, piece.pages.end, piece, EntryFlags::KERNEL)?;
        }
        Ok(last)
    }

    /// Fills a table from `start` to the end of the piece or of the table, whichever comes first.
    fn fill(&mut self, id: TableId, start: Pfn, end: Pfn, piece: &Piece, prot: EntryFlags) -> Result<Pfn, Halt> {
        let level = self.machine.mmu.tables.get(id).level();
        if level == Level::L1 {
            return self.fill_leaves(id, start, end, prot);
        }
        let geometry = self.geometry();
        let span = geometry.pages_per_entry(level);
        let table_end =
            start.align_down(geometry.pages_per_table(level)).saturating_add(geometry.pages_per_table(level));
        let is_root = level == geometry.root_level();
        if !is_root {
            self.before_start(id, level, start);
        }
        let mut last = end;
        let mut at = start;
        while at < end && at < table_end {
            let next = at.align_down(span).saturating_add(span);
            let slot = geometry.slot(level, at);
            let entry = self.machine.mmu.tables.get(id).entry(slot);
            if level == Level::L3 && self.range.on_empty_gib == OnEmptyGib::Drop && !self.any_firmware(at, span) {
                self.clear(id, slot, 1);
                at = next;
                continue;
            }
            if let Some(child) = self.machine.mmu.tables.linked(entry) {
                // The kernel passes the protection on to existing level 1 tables alone.
                let prot = if level == Level::L2 { prot } else { EntryFlags::KERNEL };
                let is_fixmap = self.open(child, false)?;
                last = self.fill(child, at, end, piece, prot)?;
                self.close(child, is_fixmap);
            } else if !leaf_size(level).is_empty() && piece.sizes.contains(leaf_size(level)) {
                if entry.is_present() {
                    if self.range.kept_large == KeptLarge::MovesLast {
                        last = next;
                    }
                } else {
                    let run = self.absent_run(id, slot, level, at, end.min(table_end));
                    self.write_leaves(id, slot, run, prot | EntryFlags::LARGE)?;
                    last = run.end;
                    at = run.end;
                    continue;
                }
            } else {
                let Some(below) = level.below() else { unreachable!("level 1 is filled above") };
                let prot = if entry.is_large() { entry.flags() - EntryFlags::LARGE } else { prot };
                let (child, is_fixmap) = self.take(below)?;
                if entry.is_large() && self.range.split_large == SplitLarge::KeepsRest {
                    let large = if below == Level::L1 { EntryFlags::empty() } else { EntryFlags::LARGE };
                    self.write_leaves(child, 0, PfnRange::new(at.align_down(span), next), prot | large)?;
                }
                let child_end = if is_root { next.min(end) } else { end };
                last = self.fill(child, at, child_end, piece, prot)?;
                self.close(child, is_fixmap);
                self.attach(id, slot, child)?;
            }
            at = next;
        }
        if !is_root && end <= at && at < table_end {
            self.past_end(id, level, at, table_end);
        }
        Ok(last)
    }

    /// The aligned blocks from `slot` on that have no entry yet, up to `end`.
    fn absent_run(&self, id: TableId, slot: u64, level: Level, at: Pfn, end: Pfn) -> PfnRange {
        let span = self.geometry().pages_per_entry(level);
        let start = at.align_down(span);
        let most = end.offset_from(start).div_ceil(span);
        let absent =
            self.machine.mmu.tables.get(id).runs(slot, slot + most, 0).take_while(|run| run.first == Entry::ABSENT);
        // Without a step an array is cut into runs of equal entries, so the first run is all there is.
        let mut n = absent.map(|run| run.n).next().unwrap_or(1);
        if self.range.on_empty_gib == OnEmptyGib::Drop && level == Level::L3 {
            let full = (1..n).take_while(|&block| self.any_firmware(start.saturating_add(block * span), span)).count();
            n = full as u64 + 1;
        }
        PfnRange::new(start, start.saturating_add(n * span))
    }

    fn fill_leaves(&mut self, id: TableId, start: Pfn, end: Pfn, prot: EntryFlags) -> Result<Pfn, Halt> {
        let per_table = self.geometry().entries();
        let table_start = start.align_down(per_table);
        let table_end = table_start.saturating_add(per_table);
        let fill_end = end.min(table_end);
        let slot = start.offset_from(table_start);
        let slot_end = fill_end.offset_from(table_start);
        self.before_start(id, Level::L1, start);
        let mut last = end;
        let mut at = slot;
        while at < slot_end {
            let table = self.machine.mmu.tables.get(id);
            // Entries that are there are kept: under Xen they may be read-only for a reason.
            let Some(run) = table.runs(at, slot_end, Entry::FRAME_STEP).next() else { break };
            if run.first == Entry::ABSENT {
                let pages = PfnRange::new(table_start.saturating_add(at), table_start.saturating_add(at + run.n));
                self.write_leaves(id, at, pages, prot)?;
                last = pages.end;
            }
            at += run.n;
        }
        if end < table_end {
            self.past_end(id, Level::L1, end, table_end);
        }
        Ok(last)
    }

    /// What becomes of the entries of a table behind the end of the piece.
    fn past_end(&mut self, id: TableId, level: Level, start: Pfn, table_end: Pfn) {
        let span = self.geometry().pages_per_entry(level);
        let slot = self.geometry().slot(level, start);
        let n = table_end.offset_from(start) / span;
        match self.range.past_end {
            PastEnd::Clear if level <= Level::L2 => self.clear(id, slot, n),
            PastEnd::Clear => {}
            PastEnd::ClearHoles | PastEnd::ClearHolesAround => self.clear_holes(id, slot, n, start, span),
        }
    }

    /// Clears the entries of a table before the start of the piece, where they lie over no memory. The ISA
    /// area is left alone: VGA and option ROMs are reached through it.
    fn before_start(&mut self, id: TableId, level: Level, start: Pfn) {
        if self.range.past_end != PastEnd::ClearHolesAround {
            return;
        }
        let span = self.geometry().pages_per_entry(level);
        let isa_end = self.geometry().pfn_down(self.geometry().isa_end).align_up(span);
        let first = start.align_down(self.geometry().pages_per_table(level)).max(isa_end);
        let n = start.align_down(span).offset_from(first) / span;
        if 0 < n {
            self.clear_holes(id, self.geometry().slot(level, first), n, first, span);
        }
    }

    /// Clears those of `n` entries from `slot` on, which cover `start` and what follows, that lie over no
    /// memory.
    fn clear_holes(&mut self, id: TableId, slot: u64, n: u64, start: Pfn, span: u64) {
        for at in 0..n {
            let is_there = self.machine.mmu.tables.get(id).entry(slot + at) != Entry::ABSENT;
            let block = start.saturating_add(at * span);
            let bytes = self.geometry().bytes(PfnRange::new(block, block.saturating_add(span)));
            if is_there && !self.machine.layout.e820.any_memory(bytes) {
                self.clear(id, slot + at, 1);
            }
        }
    }

    fn any_firmware(&self, start: Pfn, n_pages: u64) -> bool {
        let bytes = self.geometry().bytes(PfnRange::new(start, start.saturating_add(n_pages)));
        self.machine.layout.e820.any(bytes)
    }

    fn clear(&mut self, id: TableId, slot: u64, n: u64) {
        let n_changed = self.machine.mmu.clear(id, slot, n);
        if 0 < n_changed {
            let table = self.machine.mmu.tables.get(id).pfn();
            self.machine.note(|| Event::EntriesCleared { table, slot, n, n_changed });
        }
    }

    fn write_leaves(&mut self, id: TableId, slot: u64, pages: PfnRange, flags: EntryFlags) -> Result<(), Halt> {
        let mut read_only = None;
        if self.machine.mmu.is_guarded() {
            ask_write(self.machine, self.decider, pages, false)?;
            if self.machine.asks(Stage::Leaf) {
                self.machine.enter(Stage::Leaf);
                let question = LeafQuestion { pages, buf: self.machine.facts.buf };
                let decider = &mut self.decider;
                let answer = self.machine.ask(|cx| decider.leaf(cx, &question))?;
                read_only = answer.map(|guarded| guarded.intersect(pages)).filter(|guarded| !guarded.is_empty());
            }
        }
        self.machine.enter(Stage::Leaf);
        self.machine.mmu.set_leaves(id, slot, pages, flags, read_only)?;
        let table = self.machine.mmu.tables.get(id).pfn();
        self.machine.note(|| Event::LeavesWritten { table, slot, pages, flags, read_only });
        let moment = self.machine.moment();
        if let Some(rules) = &mut self.machine.rules {
            let guarded = read_only.unwrap_or_else(|| PfnRange::new(pages.end, pages.end));
            rules.made_writable(moment, PfnRange::new(pages.start, guarded.start));
            rules.made_writable(moment, PfnRange::new(guarded.end, pages.end));
        }
        Ok(())
    }

    /// Takes a page for a table of this level, as the strategy provides, and opens it.
    fn take(&mut self, level: Level) -> Result<(TableId, bool), Halt> {
        self.machine.enter(Stage::Page);
        let (page, reserves) = match self.space {
            Space::Buffer => {
                let buf = &mut self.machine.facts.buf;
                let page = buf.end;
                // The kernel counts first and looks afterwards.
                buf.end = page.saturating_add(1);
                if buf.top <= page {
                    return Err(Halt::panic("alloc_low_page: ran out of memory"));
                }
                (page, false)
            }
            Space::PageByPage { uses_pool, window } => self.ask_page(uses_pool, window)?,
        };
        if self.geometry().end_of_map() <= page {
            return Err(self.machine.fault(format!("table page {page:x} lies outside all tables")));
        }
        let moment = self.machine.moment();
        if let Some(rules) = &mut self.machine.rules {
            rules.take(moment, page, &self.machine.memblock, &self.machine.mmu, &self.unattached);
        }
        if reserves {
            let bytes = self.geometry().bytes(PfnRange::new(page, page.saturating_add(1)));
            self.machine.memblock.reserve(bytes);
        }
        self.machine.note(|| Event::Taken { page, level, is_reserved: reserves });
        let Some(id) = self.machine.mmu.tables.create(page, level) else {
            return Err(Halt::crash(format!("clear_page writes pfn {page:x}: it is a page table already")));
        };
        let is_fixmap = self.open(id, true)?;
        self.unattached.push(id);
        Ok((id, is_fixmap))
    }

    fn ask_page(&mut self, uses_pool: bool, window: PfnRange) -> Result<(Pfn, bool), Halt> {
        let question = PageQuestion { uses_pool, window, pool: self.machine.facts.pool };
        let decider = &mut self.decider;
        let answer = if self.machine.asks(Stage::Page) {
            self.machine.ask(|cx| decider.page(cx, &question))?
        } else {
            question.default_page(&Context::new(self.machine))
        };
        let (page, reserves) = match answer {
            Page::Take(page) => (page, false),
            Page::TakeAndReserve(page) => (page, true),
            Page::Panic(text) => return Err(Halt::panic(text)),
        };
        let pool = &mut self.machine.facts.pool;
        if page == pool.next && !pool.rest().is_empty() {
            pool.next = page.saturating_add(1);
        }
        Ok((page, reserves))
    }

    /// Makes a table page accessible for writing. Whether that took a slot of the fixmap.
    fn open(&mut self, id: TableId, is_new: bool) -> Result<bool, Halt> {
        let (page, level) = (self.machine.mmu.tables.get(id).pfn(), self.machine.mmu.tables.get(id).level());
        let new = is_new.then_some(level);
        let mut access = Access { alias: Alias::DirectMap, is_writable: true };
        if self.machine.asks(Stage::Access) {
            self.machine.enter(Stage::Access);
            let buf = self.machine.facts.buf;
            let decider = &mut self.decider;
            access = self.machine.ask(|cx| decider.access(cx, page, is_new, &buf))?;
        }
        match access.alias {
            Alias::Fixmap => self.open_fixmap(page, new, access.is_writable)?,
            Alias::DirectMap => self.open_direct_map(page, new)?,
        }
        Ok(access.alias == Alias::Fixmap)
    }

    fn open_fixmap(&mut self, page: Pfn, new: Option<Level>, is_writable: bool) -> Result<(), Halt> {
        let is_guarded = self.machine.mmu.is_guarded();
        let pages = PfnRange::new(page, page.saturating_add(1));
        ask_write(self.machine, self.decider, pages, true)?;
        self.machine.enter(Stage::Access);
        self.machine.mmu.map_fixmap(page, is_writable)?;
        self.machine.note(|| Event::FixmapMapped { page, is_writable: is_writable || !is_guarded });
        let moment = self.machine.moment();
        if let (Some(rules), true) = (&mut self.machine.rules, is_writable) {
            rules.made_writable(moment, pages);
        }
        if let Some(level) = new {
            let meets = if is_guarded && !is_writable { Outcome::write_fault(true, None) } else { Outcome::Done };
            self.machine.mmu.ops.came_to(|| Act::New { table: page, level, via: Via::Fixmap }, || meets);
        }
        if new.is_some() && is_guarded && !is_writable {
            return Err(Halt::crash(format!("clear_page writes pfn {page:x}: its fixmap slot is not writable")));
        }
        Ok(())
    }

    fn open_direct_map(&mut self, page: Pfn, new: Option<Level>) -> Result<(), Halt> {
        let found = self.machine.mmu.walk(page).entry;
        let is_new = new.is_some();
        // Writes to a live table are emulated by Xen, so only a new one must be writable.
        let is_enough = if is_new { found.is_writable() } else { found.is_present() };
        // Tables that Xen keeps outside the guest's memory are reached as Xen arranged it.
        let is_guests = page < self.machine.facts.max_pfn;
        let is_on_demand = !is_enough && self.machine.is_mapped_on_demand(page);
        let is_written = is_enough || !(is_new || is_guests) || is_on_demand;
        let start = ops::direct_map(self.geometry().bytes(PfnRange::new(page, page))).0;
        let meets = || match is_written {
            true => Outcome::Done,
            false => Outcome::write_fault(found.is_present(), Some(start)),
        };
        let recorded = &mut self.machine.mmu.ops;
        match new {
            Some(level) => {
                let via = if is_on_demand { Via::Demand } else { Via::Direct };
                recorded.came_to(|| Act::New { table: page, level, via }, meets);
            }
            // A write that comes through is told by the entries it writes.
            None if !is_written => {
                let end = start.saturating_add(ENTRY_BYTES);
                recorded.came_to(|| Act::Access { by: Accessor::SetPte, start, end, is_store: true }, meets);
            }
            None => {}
        }
        if is_written {
            return Ok(());
        }
        let what = if is_new { "clear_page" } else { "set_pte" };
        Err(Halt::crash(format!("{what} writes pfn {page:x}: direct map not writable")))
    }

    fn close(&mut self, id: TableId, is_fixmap: bool) {
        if is_fixmap {
            self.machine.mmu.unmap_fixmap();
            let page = self.machine.mmu.tables.get(id).pfn();
            self.machine.note(|| Event::FixmapUnmapped(page));
        }
    }

    fn attach(&mut self, parent: TableId, slot: u64, child: TableId) -> Result<(), Halt> {
        self.unattached.pop();
        self.machine.enter(Stage::Write);
        self.machine.mmu.attach(parent, slot, child)?;
        let tables = &self.machine.mmu.tables;
        let (parent, child, level) = (tables.get(parent).pfn(), tables.get(child).pfn(), tables.get(child).level());
        self.machine.note(|| Event::Attached { parent, slot, child, level });
        self.machine.links_made(&self.unattached);
        Ok(())
    }
}
