// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cell's operation trace as requests to the guest, each with the answer that the model predicts.
//!
//! How a machine of any size fits into a small guest:
//!
//! * **Every frame that is a table at some time has a frame of the guest's to itself**, so all that Xen counts for it
//!   is counted: its type, who maps it writable, who links it. All other memory shares one frame, which Xen never has
//!   a reason to refuse; a frame of the machine's own (an identity leaf) is one for the guest too.
//! * The root's slots are slots of the live root, so the direct map is live, and is read and written through. The page
//!   of the kernel's root is a pinned table of level 4 without entries.
//! * A slot of the fixmap is a window; a table that is open nowhere is written through the direct map, or by
//!   `mmu_update` where it lies in memory of Xen's that the guest has no address for.
//! * A *thinned* trace leaves out leaves to memory that nobody looks at again. Kept are the leaves of frames that are
//!   tables at some time, of pages that are protected or accessed, and the first and the last of each run, in every
//!   table.

use super::answer::Answer;
use pgtlab_core::addr::{Mfn, Pfn, PfnRange, VirtAddr};
use pgtlab_core::entry::{Entry, EntryFlags};
use pgtlab_core::geometry::{Geometry, Level};
use pgtlab_core::layout::Backend;
use pgtlab_core::mmu::guest::{Place, Request};
use pgtlab_core::ops::{Act, FixmapAccess, Op, Ops, Outcome, Via};
use pgtlab_core::table::EntryRun;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The frame that all memory shares which is never a table.
const MEMORY: u64 = 0;
/// The window boot tables are filled through; those of the fixmap lie below.
const FILL_WINDOW: u16 = 500;
/// Most pages that are tried of one access, apart from tables and its ends.
const MOST_TRIED: u64 = 512;
/// Leaves up to which nothing is left out.
const MOST_LEAVES: u64 = 1 << 18;
/// Slots of the live root that a guest may set.
const N_ROOT_SLOTS: u64 = 8;

/// Why a cell is not put before Xen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    /// It is not under Xen.
    #[error("Xen judges cells of the xen back end")]
    Native,
    /// Its tables have another shape.
    #[error("Xen's tables have 512 entries, the layout's geometry is {0}")]
    Geometry(&'static str),
    /// It has more tables than the guest has frames.
    #[error("{needed} tables, the guest has {most} frames")]
    TooLarge {
        /// How many it has.
        needed: u64,
        /// How many there may be.
        most: u64,
    },
    /// It has more frames than a domain of ours.
    #[error("a boot of {needed} frames, a domain may have {most}")]
    TooManyFrames {
        /// How many it has.
        needed: u64,
        /// How many there may be.
        most: u64,
    },
    /// Its direct map is larger than the guest's.
    #[error("a direct map of more than {} TiB", N_ROOT_SLOTS / 2)]
    TooHigh,
}

/// A request, what the model says comes of it, and the operation that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The request.
    pub request: Request,
    /// What should come of it.
    pub predicted: Answer,
    /// The operation, counted from 0; none for the boot tables.
    pub op: Option<usize>,
}

/// How much of a cell is put before Xen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// Tables, each with a frame of its own.
    pub n_tables: u64,
    /// Leaves that the cell writes.
    pub n_leaves: u64,
    /// Those of them that are left out.
    pub n_left_out: u64,
    /// Pages that consumers access.
    pub n_accessed: u64,
    /// Those of them that are tried.
    pub n_tried: u64,
}

/// What is put before Xen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How the cell was scaled.
    pub scale: Scale,
}

/// The plan of a cell; `most_frames` is how many the guest may give to tables.
///
/// # Errors
/// The cell is none for Xen, or does not fit.
pub fn plan(ops: &Ops, most_frames: u64) -> Result<Plan, NotJudged> {
    if ops.backend != Backend::Xen {
        return Err(NotJudged::Native);
    }
    if ops.geometry != Geometry::X86_64 {
        return Err(NotJudged::Geometry(ops.geometry.name()));
    }
    let mut planner = Planner::new(ops);
    let needed = planner.frames.len() as u64 + 1;
    if most_frames < needed {
        return Err(NotJudged::TooLarge { needed, most: most_frames });
    }
    planner.boot_tables()?;
    for (number, op) in ops.ops.iter().enumerate() {
        planner.op = Some(number);
        planner.operation(op)?;
    }
    Ok(Plan { steps: planner.steps, scale: planner.scale })
}

struct Planner<'o> {
    ops: &'o Ops,
    /// The guest's frame for each frame that is a table at some time.
    frames: HashMap<Pfn, u64>,
    /// The same as ranges of machine frames: where a run of leaves must be looked at closely.
    tables_by_mfn: BTreeSet<u64>,
    /// Pages that are protected or accessed.
    watched: BTreeSet<u64>,
    /// From the start of each run of machine frames to the run.
    by_mfn: BTreeMap<u64, (u64, Pfn)>,
    is_thinned: bool,
    /// Pages mapped through the fixmap, the last one last.
    fixmap: Vec<Pfn>,
    steps: Vec<Step>,
    scale: Scale,
    op: Option<usize>,
}

/// The flags of a leaf, as a kernel sets them.
pub(super) const fn leaf_flags(is_writable: bool) -> EntryFlags {
    let flags = EntryFlags::PRESENT.union(EntryFlags::ACCESSED).union(EntryFlags::DIRTY).union(EntryFlags::NO_EXECUTE);
    if is_writable { flags.union(EntryFlags::WRITABLE) } else { flags }
}

/// The answer that an outcome stands for. A fault is at the address that is named, or is not said to be elsewhere.
fn answer(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Done => Answer::Done,
        Outcome::Refused { errno, .. } => Answer::Refused(u16::try_from(*errno).unwrap_or(u16::MAX)),
        Outcome::Fault { error, .. } => Answer::Fault(u8::try_from(*error).unwrap_or(u8::MAX)),
    }
}

impl<'o> Planner<'o> {
    fn new(ops: &'o Ops) -> Self {
        let mut planner = Self {
            ops,
            frames: HashMap::new(),
            tables_by_mfn: BTreeSet::new(),
            watched: BTreeSet::new(),
            by_mfn: ops.boot.frames.iter().map(|run| (run.mfn.get(), (run.pages.len(), run.pages.start))).collect(),
            is_thinned: false,
            fixmap: Vec::new(),
            steps: Vec::new(),
            scale: Scale::default(),
            op: None,
        };
        let boot = ops.boot.tables.iter().map(|table| table.frame);
        let taken = ops.ops.iter().filter_map(|op| match op.act {
            Act::New { table, .. } => Some(table),
            _ => None,
        });
        for frame in boot.chain(taken) {
            let next = planner.frames.len() as u64 + 1;
            planner.frames.entry(frame).or_insert(next);
        }
        planner.tables_by_mfn = planner.frames.keys().filter_map(|frame| planner.mfn(*frame)).collect();
        planner.scale.n_tables = planner.frames.len() as u64;
        let in_boot = ops.boot.tables.iter().filter(|table| table.level == Level::L1).flat_map(|table| &table.entries);
        let written = ops.ops.iter().filter_map(|op| match &op.act {
            Act::Write { level: Level::L1, run, .. } if run.first.is_present() => Some(run),
            _ => None,
        });
        planner.scale.n_leaves = in_boot.chain(written).map(|run| run.n).sum();
        planner.is_thinned = MOST_LEAVES < planner.scale.n_leaves;
        for op in &ops.ops {
            match op.act {
                Act::Protect { pages, .. } => planner.watched.extend(pages.start.get()..pages.end.get()),
                Act::Access { start, end, .. } => {
                    let tried = planner.tried(start, end, &op.outcome);
                    planner.watched.extend(tried);
                }
                _ => {}
            }
        }
        planner
    }

    /// The machine frame of a frame of the cell's, if it has one.
    fn mfn(&self, frame: Pfn) -> Option<u64> {
        let run = self.ops.boot.frames.iter().find(|run| run.pages.contains(frame))?;
        Some(run.mfn.get() + frame.offset_from(run.pages.start))
    }

    /// The cell's frame behind a machine frame. What no run has is memory of Xen's, whose numbers are its own.
    fn pfn(&self, mfn: Mfn) -> Pfn {
        let run = self.by_mfn.range(..=mfn.get()).next_back();
        let found = run.and_then(|(start, (n, first))| {
            let at = mfn.get() - start;
            (at < *n).then(|| first.saturating_add(at))
        });
        found.unwrap_or_else(|| Pfn::new(mfn.get()))
    }

    /// The guest's frame for one of the cell's.
    fn frame(&self, frame: Pfn) -> u64 {
        self.frames.get(&frame).copied().unwrap_or(MEMORY)
    }

    /// An entry of the cell's as the guest is to have it.
    fn entry(&self, entry: Entry) -> Entry {
        if !entry.is_present() {
            return entry;
        }
        if entry.flags().contains(EntryFlags::IO) {
            return Entry::new(MEMORY, entry.flags());
        }
        Entry::new(self.frame(self.pfn(Mfn::new(entry.frame()))), entry.flags())
    }

    fn push(&mut self, request: Request, predicted: Answer) {
        self.steps.push(Step { request, predicted, op: self.op });
    }

    fn done(&mut self, request: Request) {
        self.push(request, Answer::Done);
    }

    fn boot_tables(&mut self) -> Result<(), NotJudged> {
        let ops = self.ops;
        let fill = Place::Window(FILL_WINDOW);
        for table in ops.boot.tables.iter().filter(|table| table.frame != ops.boot.root) {
            let frame = self.frame(table.frame);
            self.done(Request::Map { place: fill, entry: Entry::new(frame, leaf_flags(true)) });
            let base = table.level == Level::L1;
            for run in &table.entries {
                self.store_run(fill, *run, base, Answer::Done);
            }
        }
        self.done(Request::Map { place: fill, entry: Entry::ABSENT });
        let root = ops.boot.tables.iter().find(|table| table.frame == ops.boot.root);
        for run in root.into_iter().flat_map(|root| &root.entries) {
            for at in 0..run.n {
                self.set_root(run.slot + at, run.entry(at), Answer::Done)?;
            }
        }
        let pinned = ops.boot.tables.iter().filter(|table| table.is_pinned);
        for table in pinned {
            let frame = Pfn::new(self.frame(table.frame));
            self.done(Request::Pin { frame, level: table.level });
        }
        Ok(())
    }

    fn set_root(&mut self, slot: u64, entry: Entry, predicted: Answer) -> Result<(), NotJudged> {
        let in_guest = u16::try_from(slot).ok().filter(|_| slot < N_ROOT_SLOTS).ok_or(NotJudged::TooHigh)?;
        let entry = self.entry(entry);
        self.push(Request::SetRoot { slot: in_guest, entry }, predicted);
        Ok(())
    }

    /// Stores a run of entries, equal ones that follow one another in one request. Whether leaves may be left out.
    fn store_run(&mut self, place: Place, run: EntryRun, are_leaves: bool, predicted: Answer) {
        let mut stored: Option<(u64, u64, Entry)> = None;
        let keeps_all = !are_leaves || !self.is_thinned || !run.first.is_present();
        for at in 0..run.n {
            let entry = run.entry(at);
            if !keeps_all && at != 0 && at + 1 != run.n && !self.is_looked_at(entry) {
                self.scale.n_left_out += 1;
                continue;
            }
            let (slot, entry) = (run.slot + at, self.entry(entry));
            match &mut stored {
                Some((first, n, same)) if *same == entry && *first + *n == slot => *n += 1,
                _ => {
                    self.store_equal(place, stored.replace((slot, 1, entry)), predicted);
                }
            }
        }
        self.store_equal(place, stored, predicted);
    }

    fn store_equal(&mut self, place: Place, equal: Option<(u64, u64, Entry)>, predicted: Answer) {
        let Some((slot, n, entry)) = equal else { return };
        let small = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        self.push(Request::Store { place, slot: small(slot), n: small(n), entry }, predicted);
    }

    /// Whether a leaf is looked at again: its frame is a table at some time, or its page is protected or accessed.
    fn is_looked_at(&self, entry: Entry) -> bool {
        let mfn = entry.frame();
        self.tables_by_mfn.contains(&mfn) || self.watched.contains(&self.pfn(Mfn::new(mfn)).get())
    }

    /// The window of a page that the fixmap maps, the last one if several do.
    fn window(&self, page: Pfn) -> Option<Place> {
        let at = self.fixmap.iter().rposition(|mapped| *mapped == page)?;
        u16::try_from(at).ok().map(Place::Window)
    }

    /// Whether the guest has an address for a frame.
    fn is_guests(&self, frame: Pfn) -> bool {
        self.ops.boot.frames.iter().any(|run| run.pages.contains(frame))
    }

    fn operation(&mut self, op: &Op) -> Result<(), NotJudged> {
        let predicted = answer(&op.outcome);
        match op.act {
            Act::Fixmap { frame, access } => {
                let entry = match access {
                    FixmapAccess::Io => Entry::new(MEMORY, leaf_flags(true) | EntryFlags::IO),
                    access => Entry::new(self.frame(frame), leaf_flags(access == FixmapAccess::Writable)),
                };
                let place = Place::Window(u16::try_from(self.fixmap.len()).unwrap_or(u16::MAX));
                self.fixmap.push(frame);
                self.push(Request::Map { place, entry }, predicted);
            }
            Act::Unfixmap(frame) => {
                if let Some(place) = self.window(frame) {
                    self.fixmap.pop();
                    self.push(Request::Map { place, entry: Entry::ABSENT }, predicted);
                }
            }
            Act::New { table, via, .. } => {
                let place = match via {
                    Via::Fixmap => self.window(table).unwrap_or(Place::Direct(table)),
                    Via::Direct | Via::Demand => Place::Direct(table),
                };
                self.push(Request::Store { place, slot: 0, n: 512, entry: Entry::ABSENT }, predicted);
            }
            Act::Write { table, level, run } => self.write(table, level, run, predicted),
            Act::Protect { pages, is_writable } => self.protect(pages, is_writable, predicted),
            Act::Pin { table, level } => {
                self.push(Request::Pin { frame: Pfn::new(self.frame(table)), level }, predicted)
            }
            Act::Unpin(table) => self.push(Request::Unpin(Pfn::new(self.frame(table))), predicted),
            Act::Link { parent, slot, entry, .. } if parent == self.ops.boot.root => {
                self.set_root(slot, entry, predicted)?;
            }
            Act::Link { parent, slot, entry, .. } => {
                let (frame, entry) = (Pfn::new(self.frame(parent)), self.entry(entry));
                let slot = u16::try_from(slot).unwrap_or(u16::MAX);
                self.push(Request::SetEntry { frame, slot, entry }, predicted);
            }
            Act::Access { start, end, is_store, .. } => self.access(start, end, is_store, &op.outcome),
            Act::Built => {}
        }
        Ok(())
    }

    fn write(&mut self, table: Pfn, level: Level, run: EntryRun, predicted: Answer) {
        let place = match self.window(table) {
            // A table above level 1 that is live is written by a hypercall (`xen_set_pmd_hyper` and its kin).
            Some(place) if level == Level::L1 => Some(place),
            None if level == Level::L1 && self.is_guests(table) => Some(Place::Direct(table)),
            _ => None,
        };
        match place {
            Some(place) => self.store_run(place, run, true, predicted),
            None => {
                let frame = Pfn::new(self.frame(table));
                for at in 0..run.n {
                    let slot = u16::try_from(run.slot + at).unwrap_or(u16::MAX);
                    let entry = self.entry(run.entry(at));
                    self.push(Request::SetEntry { frame, slot, entry }, predicted);
                }
            }
        }
    }

    /// Only the last page of a range can be refused: the trace ends there.
    fn protect(&mut self, pages: PfnRange, is_writable: bool, predicted: Answer) {
        for page in (pages.start.get()..pages.end.get()).map(Pfn::new) {
            let is_last = page.saturating_add(1) == pages.end;
            let entry = Entry::new(self.frame(page), leaf_flags(is_writable));
            let predicted = if is_last { predicted } else { Answer::Done };
            self.push(Request::Map { place: Place::Direct(page), entry }, predicted);
        }
    }

    /// The pages of an access that are tried, ascending: its first and last ones, those that are tables at some time,
    /// as many between as there may be, and the page it faults at, behind which nothing is done.
    fn tried(&self, start: VirtAddr, end: VirtAddr, outcome: &Outcome) -> BTreeSet<u64> {
        let page_of = |address: VirtAddr| self.ops.page_at(address).map(Pfn::get);
        let (Some(first), Some(last)) = (page_of(start), page_of(end.saturating_sub(1))) else {
            return BTreeSet::new();
        };
        let step = ((last + 1 - first) / MOST_TRIED).max(1);
        let stride = usize::try_from(step).unwrap_or(usize::MAX);
        let mut tried: BTreeSet<u64> = (first..=last).step_by(stride).chain([last]).collect();
        tried.extend(self.frames.keys().map(|frame| frame.get()).filter(|page| (first..=last).contains(page)));
        if let Outcome::Fault { address: Some(address), .. } = outcome
            && let Some(fault) = page_of(*address)
        {
            tried.extend([fault.saturating_sub(1).max(first), fault]);
            tried.retain(|page| *page <= fault);
        }
        tried
    }

    fn access(&mut self, start: VirtAddr, end: VirtAddr, is_store: bool, outcome: &Outcome) {
        let tried = self.tried(start, end, outcome);
        let page_bytes = self.ops.geometry.page_bytes();
        let slot_at = |address: VirtAddr| u16::try_from(address.get() % page_bytes / 8).unwrap_or_default();
        let fault = match outcome {
            Outcome::Fault { address: Some(address), .. } => Some(*address),
            _ => None,
        };
        let fault_page = fault.and_then(|address| self.ops.page_at(address)).map(Pfn::get);
        self.scale.n_accessed += end.get().saturating_sub(start.get()).div_ceil(page_bytes);
        self.scale.n_tried += tried.len() as u64;
        let first = tried.first().copied();
        for page in tried {
            let is_fault = fault_page == Some(page);
            let slot = match fault {
                Some(address) if is_fault => slot_at(address),
                _ if first == Some(page) => slot_at(start),
                _ => 0,
            };
            let place = Place::Direct(Pfn::new(page));
            let request = if is_store { Request::Write { place, slot } } else { Request::Read { place, slot } };
            self.push(request, if is_fault { answer(outcome) } else { Answer::Done });
        }
    }
}
