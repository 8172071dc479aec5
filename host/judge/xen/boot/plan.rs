// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cell's operation trace as a boot of the guest's own: every frame has its number, every leaf is written, and the
//! first refusal or fault is the end.
//!
//! Frames that the domain does not have for the boot are those that the trace has no machine frame for, and those that
//! are the machine's own; such leaves map the machine's frames. A table that lies in memory of Xen's gets a frame that
//! the boot has no other use for.

use super::super::plan::{NotJudged, leaf_flags};
use super::super::wire::{
    BOOT_MAGIC, FIRST_ROOT_SLOT, FrameRun, MACHINE_FRAME, N_ROOT_SLOTS, OWN, Op as Act, Record, WINDOWS,
};
use pgtlab_core::addr::{Mfn, Pfn, PfnRange, VirtAddr};
use pgtlab_core::entry::{Entry, EntryFlags};
use pgtlab_core::geometry::{Geometry, Level};
use pgtlab_core::layout::Backend;
use pgtlab_core::ops::{self, Act as Done, FixmapAccess, Op, Ops, Via};
use pgtlab_core::table::EntryRun;
use std::collections::BTreeSet;

/// The window boot tables are filled through; those of the fixmap lie below.
const FILL_WINDOW: usize = 500;
/// Frames a boot may have: 64 GiB.
const MOST_FRAMES: u64 = 1 << 24;
/// Memory that the guest needs besides the boot's: its image and windows, and what Xen rounds up.
const GUEST_BYTES: u64 = 24 << 20;

/// A record that asks for nothing yet.
const EMPTY: Record = Record { op: Act::Reset, level: 0, slot: 0, number: 0, address: 0, entry: 0 };

/// A boot as the guest is given it.
#[derive(Clone, Debug)]
pub(super) struct BootPlan {
    runs: Vec<FrameRun>,
    records: Vec<Record>,
    /// For each record the operation that it is part of, counted from 0; none for the boot tables.
    ops: Vec<Option<usize>>,
}

impl BootPlan {
    /// The operation that a record is part of.
    pub(super) fn op(&self, record: usize) -> Option<usize> {
        self.ops.get(record).copied().flatten()
    }

    /// How many requests there are.
    pub(super) fn n_records(&self) -> usize {
        self.records.len()
    }

    /// The module that the guest reads.
    pub(super) fn module(&self) -> Vec<u8> {
        let mut bytes = BOOT_MAGIC.to_vec();
        bytes.extend((self.runs.len() as u64).to_le_bytes());
        bytes.extend(self.runs.iter().flat_map(|run| run.to_bytes()));
        bytes.extend((self.records.len() as u64).to_le_bytes());
        bytes.extend(self.records.iter().flat_map(|record| record.to_bytes()));
        bytes
    }

    /// How many frames the domain has for the boot.
    fn n_frames(&self) -> u64 {
        self.runs.iter().filter(|run| run.machine == OWN).map(|run| run.n).sum()
    }

    /// How much memory the domain needs: the boot's and the guest's own, with the list of frames and the module.
    pub(super) fn domain_bytes(&self) -> u64 {
        let (n, page_bytes) = (self.n_frames(), Geometry::X86_64.page_bytes());
        let module = (self.records.len() * Record::BYTES + self.runs.len() * FrameRun::BYTES) as u64;
        n * page_bytes + n * 8 + module + GUEST_BYTES
    }
}

/// The plan of a cell.
///
/// # Errors
/// The cell is none for Xen, or the guest cannot be it.
pub(super) fn plan(ops: &Ops) -> Result<BootPlan, NotJudged> {
    if ops.backend != Backend::Xen {
        return Err(NotJudged::Native);
    }
    if ops.geometry != Geometry::X86_64 {
        return Err(NotJudged::Geometry(ops.geometry.name()));
    }
    let runs = runs(ops);
    let mut planner =
        Planner { ops, fixmap: Vec::new(), op: None, plan: BootPlan { runs, records: Vec::new(), ops: Vec::new() } };
    let needed = planner.plan.n_frames();
    if MOST_FRAMES < needed {
        return Err(NotJudged::TooManyFrames { needed, most: MOST_FRAMES });
    }
    planner.boot_tables()?;
    for (number, op) in ops.ops.iter().enumerate() {
        planner.op = Some(number);
        planner.operation(op)?;
    }
    Ok(planner.plan)
}

/// The boot's frames: the trace's, and one for each frame besides that is a table or an ACPI table.
fn runs(ops: &Ops) -> Vec<FrameRun> {
    let run = |pages: PfnRange, machine| FrameRun { first: pages.start.get(), n: pages.len(), machine };
    // Frames behind the last one that is named have nothing to do with the boot; a p2m has no end.
    let named = PfnRange::new(Pfn::default(), last_named(ops).saturating_add(1));
    let frames = ops.boot.frames.iter().map(|run| ops::FrameRun { pages: run.pages.intersect(named), ..*run });
    let mut runs: Vec<FrameRun> = frames
        .filter(|it| !it.pages.is_empty())
        .map(|it| run(it.pages, if it.is_identity { it.mfn.get() } else { OWN }))
        .collect();
    let mut besides: BTreeSet<(Pfn, u64)> = ops.boot.tables.iter().map(|table| (table.frame, OWN)).collect();
    besides.extend(ops.ops.iter().filter_map(|op| match op.act {
        Done::New { table, .. } => Some((table, OWN)),
        Done::Fixmap { frame, access: FixmapAccess::Io } => Some((frame, MACHINE_FRAME)),
        _ => None,
    }));
    besides.retain(|(frame, _)| !is_named(ops, *frame));
    runs.extend(
        besides.into_iter().map(|(frame, machine)| run(PfnRange::new(frame, frame.saturating_add(1)), machine)),
    );
    runs
}

/// The last frame that the trace names: as a table, in an entry, or as a page that is mapped, protected or accessed.
fn last_named(ops: &Ops) -> Pfn {
    let in_run = |run: &EntryRun| run.entry(run.n.saturating_sub(1)).frame().max(run.first.frame());
    let boot = ops.boot.tables.iter().flat_map(|table| {
        table.entries.iter().filter(|run| run.first.is_present()).map(in_run).chain([table.frame.get()])
    });
    let named = ops.ops.iter().map(|op| match &op.act {
        Done::Fixmap { frame, .. } | Done::Unfixmap(frame) | Done::Unpin(frame) => frame.get(),
        Done::New { table, .. } | Done::Pin { table, .. } => table.get(),
        Done::Write { table, run, .. } if run.first.is_present() => in_run(run).max(table.get()),
        Done::Write { table, .. } => table.get(),
        Done::Protect { pages, .. } => pages.end.get(),
        Done::Link { parent, entry, .. } => entry.frame().max(parent.get()),
        Done::Access { .. } | Done::Built => 0,
    });
    Pfn::new(boot.chain(named).max().unwrap_or_default())
}

/// Whether the trace has a machine frame for a frame.
fn is_named(ops: &Ops, frame: Pfn) -> bool {
    ops.boot.frames.iter().any(|run| run.pages.contains(frame))
}

struct Planner<'o> {
    ops: &'o Ops,
    /// Pages mapped through the fixmap, the last one last.
    fixmap: Vec<Pfn>,
    op: Option<usize>,
    plan: BootPlan,
}

impl Planner<'_> {
    fn push(&mut self, record: Record) {
        self.plan.records.push(record);
        self.plan.ops.push(self.op);
    }

    /// An entry with the boot's number of the frame that it maps.
    fn entry(&self, entry: Entry) -> u64 {
        if !entry.is_present() {
            return entry.bits();
        }
        let mfn = Mfn::new(entry.frame());
        let run = self.ops.boot.frames.iter().find(|run| run.mfn <= mfn && mfn.offset_from(run.mfn) < run.pages.len());
        let frame = run.map_or_else(|| mfn.get(), |run| run.pages.start.get() + mfn.offset_from(run.mfn));
        Entry::new(frame, entry.flags()).bits()
    }

    fn direct(&self, page: Pfn) -> u64 {
        self.ops.direct_map.saturating_add(page.get() * Geometry::X86_64.page_bytes()).get()
    }

    /// The address of the page that the fixmap maps, the last one if several do.
    fn window(&self, page: Pfn) -> Option<u64> {
        self.fixmap.iter().rposition(|mapped| *mapped == page).map(window)
    }

    fn map(&mut self, address: u64, entry: u64) {
        self.push(Record { op: Act::MapAddress, address, entry, ..EMPTY });
    }

    /// Stores a run of entries, as it is or each by itself.
    fn store(&mut self, address: u64, run: EntryRun) {
        let number = u32::try_from(run.n).unwrap_or(u32::MAX);
        let slot = slot(run.slot);
        let op = match run.step {
            0 => Act::Store,
            step if step == Geometry::X86_64.page_bytes() && self.follow(run) => Act::StoreRun,
            _ => {
                for at in 0..run.n {
                    let entry = self.entry(run.entry(at));
                    self.push(Record {
                        op: Act::Store,
                        slot: self::slot(run.slot + at),
                        number: 1,
                        address,
                        entry,
                        ..EMPTY
                    });
                }
                return;
            }
        };
        let entry = self.entry(run.first);
        self.push(Record { op, slot, number, address, entry, ..EMPTY });
    }

    /// Whether the boot's frames of a run's entries follow one another.
    fn follow(&self, run: EntryRun) -> bool {
        let frame = |entry: Entry| Entry::from_bits(self.entry(entry)).frame();
        run.first.is_present() && frame(run.entry(run.n - 1)) == frame(run.first) + run.n - 1
    }

    fn empty(&mut self, address: u64) {
        self.push(Record { op: Act::Store, number: 512, address, ..EMPTY });
    }

    fn boot_tables(&mut self) -> Result<(), NotJudged> {
        let ops = self.ops;
        let fill = window(FILL_WINDOW);
        for table in &ops.boot.tables {
            self.map(fill, Entry::new(table.frame.get(), leaf_flags(true)).bits());
            self.empty(fill);
            for run in &table.entries {
                let is_root = table.frame == ops.boot.root;
                let slot = if is_root { root_slot(run.slot + run.n - 1)? + 1 - run.n } else { run.slot };
                self.store(fill, EntryRun { slot, ..*run });
            }
        }
        self.map(fill, 0);
        self.push(Record { op: Act::UseRoot, number: frame(ops.boot.root), ..EMPTY });
        for table in ops.boot.tables.iter().filter(|table| table.is_pinned && table.frame != ops.boot.root) {
            self.push(Record { op: Act::Pin, level: table.level.get(), number: frame(table.frame), ..EMPTY });
        }
        Ok(())
    }

    fn operation(&mut self, op: &Op) -> Result<(), NotJudged> {
        match op.act {
            Done::Fixmap { frame, access } => {
                let flags = match access {
                    FixmapAccess::Io => leaf_flags(true) | EntryFlags::IO,
                    access => leaf_flags(access == FixmapAccess::Writable),
                };
                self.map(window(self.fixmap.len()), Entry::new(frame.get(), flags).bits());
                self.fixmap.push(frame);
            }
            Done::Unfixmap(frame) => {
                if let Some(address) = self.window(frame) {
                    self.fixmap.pop();
                    self.map(address, 0);
                }
            }
            Done::New { table, via, .. } => {
                let of_fixmap = self.window(table).filter(|_| via == Via::Fixmap);
                self.empty(of_fixmap.unwrap_or_else(|| self.direct(table)));
            }
            Done::Write { table, level, run } => self.write(table, level, run),
            Done::Protect { pages, is_writable } => {
                let entry = Entry::new(pages.start.get(), leaf_flags(is_writable)).bits();
                let number = u32::try_from(pages.len()).unwrap_or(u32::MAX);
                self.push(Record { op: Act::MapRun, number, address: self.direct(pages.start), entry, ..EMPTY });
            }
            Done::Pin { table, level } => {
                self.push(Record { op: Act::Pin, level: level.get(), number: frame(table), ..EMPTY });
            }
            Done::Unpin(table) => self.push(Record { op: Act::Unpin, number: frame(table), ..EMPTY }),
            Done::Link { parent, slot, entry, .. } => {
                let slot = if parent == self.ops.boot.root { root_slot(slot)? } else { slot };
                self.set_entry(parent, slot, entry);
            }
            Done::Access { start, end, is_store, .. } => {
                let op = if is_store { Act::WriteRange } else { Act::ReadRange };
                let address = VirtAddr::new(start.get() & !7).get();
                self.push(Record { op, address, entry: end.get(), ..EMPTY });
            }
            Done::Built => {}
        }
        Ok(())
    }

    /// A table above level 1 that is live is written by a hypercall (`xen_set_pmd_hyper` and its kin), one that lies
    /// where the guest has no address too.
    fn write(&mut self, table: Pfn, level: Level, run: EntryRun) {
        let address = self.window(table).or_else(|| is_named(self.ops, table).then(|| self.direct(table)));
        match address.filter(|_| level == Level::L1) {
            Some(address) => self.store(address, run),
            None => (0..run.n).for_each(|at| self.set_entry(table, run.slot + at, run.entry(at))),
        }
    }

    fn set_entry(&mut self, table: Pfn, at: u64, entry: Entry) {
        let entry = self.entry(entry);
        self.push(Record { op: Act::SetEntry, slot: slot(at), number: frame(table), entry, ..EMPTY });
    }
}

/// A slot of a table.
fn slot(at: u64) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// A frame's number; none is beyond, of the frames that [`plan`] lets a boot have.
fn frame(frame: Pfn) -> u32 {
    u32::try_from(frame.get()).unwrap_or(u32::MAX)
}

/// The address of a window.
fn window(at: usize) -> u64 {
    WINDOWS + at as u64 * Geometry::X86_64.page_bytes()
}

/// The slot of the guest's root for one of the trace's, whose slot 0 maps the beginning of the direct map.
fn root_slot(slot: u64) -> Result<u64, NotJudged> {
    if slot < u64::from(N_ROOT_SLOTS) { Ok(slot + u64::from(FIRST_ROOT_SLOT)) } else { Err(NotJudged::TooHigh) }
}
