// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recording operations during a boot.

use super::{Act, BootState, BootTable, FrameRun, Op, Outcome};
use crate::addr::Pfn;
use crate::entry::Entry;
use crate::table::{EntryRun, Table, TableId, TableStore};

/// Keeps the operations of a boot, if anybody wants them.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Option<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    boot: BootState,
    ops: Vec<Op>,
}

impl Recorder {
    /// One that keeps what it is given.
    pub(crate) fn on() -> Self {
        Self(Some(Recorded::default()))
    }

    /// Whether anything is kept.
    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes down the machine as the strategy finds it: whatever was kept before belongs to it.
    pub(crate) fn begin(&mut self, tables: &TableStore, root: TableId, pinned: &[Pfn], frames: Vec<FrameRun>) {
        if let Some(recorded) = &mut self.0 {
            recorded.ops.clear();
            recorded.boot = BootState { frames, root: tables.get(root).pfn(), tables: boot_tables(tables, pinned) };
        }
    }

    /// Keeps an operation that was done.
    #[inline]
    pub(crate) fn done(&mut self, act: impl FnOnce() -> Act) {
        self.came_to(act, || Outcome::Done);
    }

    /// Keeps an operation and what came of it.
    #[inline]
    pub(crate) fn came_to(&mut self, act: impl FnOnce() -> Act, outcome: impl FnOnce() -> Outcome) {
        if let Some(recorded) = &mut self.0 {
            recorded.push(Op { act: act(), outcome: outcome() });
        }
    }

    /// Keeps that entries of a table were written, as they stand in it now; the absent ones among them were not.
    pub(crate) fn written(&mut self, tables: &TableStore, id: TableId, slot: u64, n: u64, step: u64) {
        let Some(recorded) = &mut self.0 else { return };
        let table = tables.get(id);
        for run in table.runs(slot, slot + n, step).filter(|run| run.first.is_present()) {
            let act = Act::Write { table: table.pfn(), level: table.level(), run: plain(run) };
            recorded.push(Op { act, outcome: Outcome::Done });
        }
    }

    /// What was kept.
    pub(crate) fn into_recorded(self) -> Option<(BootState, Vec<Op>)> {
        self.0.map(|recorded| (recorded.boot, recorded.ops))
    }
}

impl Recorded {
    /// An operation that goes on where the last one stopped is one with it.
    fn push(&mut self, op: Op) {
        if let Some(last) = self.ops.last_mut()
            && (&last.outcome, &op.outcome) == (&Outcome::Done, &Outcome::Done)
        {
            match (&mut last.act, &op.act) {
                (Act::Write { table, run, .. }, Act::Write { table: same, run: next, .. })
                    if *table == *same && joins(*run, *next) =>
                {
                    join(run, *next);
                    return;
                }
                (Act::Protect { pages, is_writable }, Act::Protect { pages: next, is_writable: same })
                    if pages.end == next.start && is_writable == same =>
                {
                    pages.end = next.end;
                    return;
                }
                _ => {}
            }
        }
        self.ops.push(op);
    }
}

/// The step from one run's last entry to the next run's first.
const fn step_between(run: EntryRun, next: EntryRun) -> u64 {
    next.first.bits().wrapping_sub(run.entry(run.n - 1).bits())
}

/// Whether a run goes on as the one before it: a step of frames, nothing odd.
fn joins(run: EntryRun, next: EntryRun) -> bool {
    let step = step_between(run, next);
    let is_step = |own: EntryRun| own.n == 1 || own.step == step;
    let is_plain = run.first.flags() == next.first.flags() && (run.first.is_present() || step == 0);
    run.slot + run.n == next.slot && is_plain && is_step(run) && is_step(next)
}

fn join(run: &mut EntryRun, next: EntryRun) {
    run.step = step_between(*run, next);
    run.n += next.n;
}

/// A run of one has no step.
const fn plain(run: EntryRun) -> EntryRun {
    EntryRun { step: if run.n == 1 { 0 } else { run.step }, ..run }
}

fn boot_tables(tables: &TableStore, pinned: &[Pfn]) -> Vec<BootTable> {
    let of = |table: &Table| {
        let step = tables.geometry().pages_per_entry(table.level()) * Entry::FRAME_STEP;
        let mut entries: Vec<EntryRun> = Vec::new();
        for run in table.runs(0, tables.geometry().entries(), step).filter(|run| run.first != Entry::ABSENT).map(plain)
        {
            match entries.last_mut() {
                Some(last) if joins(*last, run) => join(last, run),
                _ => entries.push(run),
            }
        }
        let is_pinned = pinned.contains(&table.pfn());
        BootTable { frame: table.pfn(), level: table.level(), is_pinned, entries }
    };
    tables.iter().map(of).collect()
}
