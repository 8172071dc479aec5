// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cells before Xen: their plans are put to it, many in one boot, and the answers are compared with the model's.

use super::answer::Answer;
use super::firmware::Difference;
use super::machine::{Asked, Machine, MachineError};
use super::plan::{NotJudged, Plan, Scale, Step, plan};
use pgtlab_core::addr::Pfn;
use pgtlab_core::e820::E820Entry;
use pgtlab_core::mmu::guest::Request;
use pgtlab_core::ops::{Act, Op, Ops, OpsEnd};
use std::time::Duration;

/// Requests that are put to Xen in one boot, before another one is made for the next cells.
const REQUESTS_A_BOOT: usize = 2_000_000;

/// Operations of a page's history that are shown.
const MOST_HISTORY: usize = 8;

/// Where a cell and Xen part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// The operation, as the trace has it; none if it was among the boot tables.
    pub op: Option<(usize, String)>,
    /// What the guest asked for.
    pub request: Request,
    /// What the model says of it.
    pub predicted: Answer,
    /// What Xen answered.
    pub answered: Answer,
    /// What was done to the page before, with the operations' numbers.
    pub history: Vec<(usize, String)>,
}

/// How a cell fared before Xen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Every answer is the predicted one.
    Agrees,
    /// One is not.
    Parts(Box<Parting>),
    /// Xen found another memory map than was put before it.
    OtherMap(Difference),
}

/// One cell before Xen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// How it fared.
    pub finding: Finding,
    /// How it was scaled.
    pub scale: Scale,
    /// How the machine's memory map was scaled: [`Firmware`](super::firmware::Firmware) in words; none where Xen found
    /// QEMU's own.
    pub map: Option<String>,
    /// Operations of the trace.
    pub n_ops: usize,
    /// Requests to Xen.
    pub n_requests: usize,
    /// How the cell ends.
    pub end: OpsEnd,
}

/// A cell that is to be judged.
#[derive(Clone, Debug)]
pub struct Case {
    ops: Ops,
    plan: Plan,
}

impl Case {
    /// A cell as it is put before this machine's Xen.
    ///
    /// # Errors
    /// It does not fit, or is none for Xen.
    pub fn new(ops: Ops, machine: &Machine) -> Result<Self, NotJudged> {
        let plan = plan(&ops, machine.most_frames())?;
        Ok(Self { ops, plan })
    }

    /// The requests and their predicted answers.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.plan.steps
    }

    fn judged(self, answers: &[Answer], machine: &Machine, told: &[E820Entry]) -> Judged {
        let parts = self.plan.steps.iter().zip(answers).find(|(step, answer)| step.predicted != **answer);
        let finding = match (parts, machine.firmware().and_then(|firmware| firmware.difference(told))) {
            (Some((step, answered)), _) => Finding::Parts(Box::new(self.parting(step, *answered))),
            (None, Some(difference)) => Finding::OtherMap(difference),
            (None, None) => Finding::Agrees,
        };
        Judged {
            finding,
            scale: self.plan.scale,
            map: machine.firmware().map(ToString::to_string),
            n_ops: self.ops.ops.len(),
            n_requests: self.plan.steps.len(),
            end: self.ops.end,
        }
    }

    fn parting(&self, step: &Step, answered: Answer) -> Parting {
        let op = step.op.and_then(|number| Some((number, self.ops.ops.get(number)?)));
        let page = op.and_then(|(_, op)| subject(&self.ops, op));
        let before = op.map_or(0, |(number, _)| number);
        let about = |op: &Op| page.is_some_and(|page| is_about(&self.ops, op, page));
        let of_page = self.ops.ops[..before].iter().enumerate().filter(|(_, op)| about(op));
        let mut history: Vec<(usize, String)> = of_page.map(|(number, op)| (number, op.to_string())).collect();
        history.drain(..history.len().saturating_sub(MOST_HISTORY));
        Parting {
            op: op.map(|(number, op)| (number, op.to_string())),
            request: step.request,
            predicted: step.predicted,
            answered,
            history,
        }
    }
}

/// The page that an operation is about.
fn subject(ops: &Ops, op: &Op) -> Option<Pfn> {
    match op.act {
        Act::Fixmap { frame, .. } | Act::Unfixmap(frame) | Act::Unpin(frame) => Some(frame),
        Act::New { table, .. } | Act::Pin { table, .. } | Act::Write { table, .. } => Some(table),
        Act::Protect { pages, .. } => Some(pages.start),
        Act::Link { entry, .. } => Some(Pfn::new(entry.frame())),
        Act::Access { start, .. } => match op.outcome {
            pgtlab_core::ops::Outcome::Fault { address: Some(address), .. } => ops.page_at(address),
            _ => ops.page_at(start),
        },
        Act::Built => None,
    }
}

/// Whether an operation concerns a page: as a table, or as one that is mapped, protected or accessed.
fn is_about(ops: &Ops, op: &Op, page: Pfn) -> bool {
    match op.act {
        Act::Fixmap { frame, .. } | Act::Unfixmap(frame) | Act::Unpin(frame) => frame == page,
        Act::New { table, .. } | Act::Pin { table, .. } => table == page,
        Act::Write { table, run, .. } => {
            let is_mapped = run.first.is_present() && (0..run.n).any(|at| run.entry(at).frame() == page.get());
            table == page || is_mapped
        }
        Act::Protect { pages, .. } => pages.contains(page),
        Act::Link { parent, entry, .. } => parent == page || entry.frame() == page.get(),
        Act::Access { start, end, .. } => {
            let first_and_last = ops.page_at(start).zip(ops.page_at(end.saturating_sub(1)));
            first_and_last.is_some_and(|(first, last)| first <= page && page <= last)
        }
        Act::Built => false,
    }
}

/// Puts cells before Xen, in as few boots as there may be.
///
/// # Errors
/// Xen or the guest could not be run to the end.
pub fn judge(machine: &Machine, cases: Vec<Case>, wall: Duration) -> Result<Vec<Judged>, MachineError> {
    let mut judged = Vec::with_capacity(cases.len());
    let mut rest = cases.into_iter().peekable();
    while rest.peek().is_some() {
        let mut batch: Vec<Case> = Vec::new();
        let mut n_requests = 0;
        while let Some(case) =
            rest.next_if(|case| batch.is_empty() || n_requests + case.steps().len() <= REQUESTS_A_BOOT)
        {
            n_requests += case.steps().len();
            batch.push(case);
        }
        let requests = |case: &Case| case.steps().iter().map(|step| step.request).collect();
        let asked = machine.ask(&batch.iter().map(requests).collect::<Vec<Vec<Request>>>(), wall)?;
        let Asked { answers, memory_map, .. } = &asked;
        judged.extend(batch.into_iter().zip(answers).map(|(case, answers)| case.judged(answers, machine, memory_map)));
    }
    Ok(judged)
}
