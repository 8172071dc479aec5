// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a strategy did on many machines: what fails how often, and the smallest machine for each.

use super::family::Member;
use super::needed::n_tables;
use super::solvable::Puzzle;
use crate::record::{CellRecord, Verdict};
use pgtlab_core::build::{Built, Death, End, Watch, boot};
use pgtlab_core::decide::Decider;
use pgtlab_core::layout::Layout;
use pgtlab_core::rules::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What can go wrong on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// The kernel gave up itself although there is an order of mapping that works.
    Panics,
    /// Xen refused a request.
    Refused,
    /// A consumer met a page that is not mapped or read-only.
    Faults,
    /// A rule is broken.
    Reach,
    /// A rule is broken.
    Guard,
    /// A rule is broken.
    Claim,
    /// A rule is broken.
    Return,
    /// A rule is broken.
    Cover,
    /// A rule is broken.
    Progress,
    /// A rule is broken.
    Least,
    /// More tables were made than the machine needs.
    Tables,
    /// The strategy itself failed.
    Strategy,
}

impl Failure {
    const fn of(rule: Rule) -> Self {
        match rule {
            Rule::Reach => Self::Reach,
            Rule::Guard => Self::Guard,
            Rule::Claim => Self::Claim,
            Rule::Return => Self::Return,
            Rule::Cover => Self::Cover,
            Rule::Progress => Self::Progress,
            Rule::Least => Self::Least,
        }
    }

    /// Whether a cell failed so.
    #[must_use]
    pub fn is_of(self, record: &CellRecord) -> bool {
        let breaks = |rule: Rule| record.findings.iter().any(|finding| finding.rule == rule.name());
        match self {
            Self::Panics => record.verdict == Verdict::Panics,
            Self::Refused => record.verdict == Verdict::Refused,
            Self::Faults => record.verdict == Verdict::Faults,
            Self::Strategy => matches!(record.verdict, Verdict::Crashed | Verdict::Timeout),
            Self::Tables => false,
            Self::Reach => breaks(Rule::Reach),
            Self::Guard => breaks(Rule::Guard),
            Self::Claim => breaks(Rule::Claim),
            Self::Return => breaks(Rule::Return),
            Self::Cover => breaks(Rule::Cover),
            Self::Progress => breaks(Rule::Progress),
            Self::Least => breaks(Rule::Least),
        }
    }

    /// What it says of a machine.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Panics => "panics although the machine can be mapped",
            Self::Refused => "is refused by Xen",
            Self::Faults => "meets a page that is read-only or not mapped",
            Self::Reach => "breaks Reach",
            Self::Guard => "breaks Guard",
            Self::Claim => "breaks Claim",
            Self::Return => "breaks Return",
            Self::Cover => "breaks Cover",
            Self::Progress => "breaks Progress",
            Self::Least => "breaks Least",
            Self::Tables => "makes more tables than are needed",
            Self::Strategy => "fails itself",
        }
    }
}

/// How often something fails, and where it does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// On how many machines.
    pub n: u64,
    /// The smallest of them: its size, whose last part is its index.
    pub smallest: (usize, usize, u64),
}

/// One of many machines.
pub trait Numbered {
    /// The machine, if this number has one.
    fn layout(&self) -> Option<Layout>;
    /// How large it is, to find the smallest; the last part is its number.
    fn size(&self) -> (usize, usize, u64);
}

impl Numbered for Member {
    fn layout(&self) -> Option<Layout> {
        Some((*self).layout())
    }

    fn size(&self) -> (usize, usize, u64) {
        (*self).size()
    }
}

/// What became of many machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many were run.
    pub n: u64,
    /// How many of them boot.
    pub n_boots: u64,
    /// How many panic, as no builder can map them.
    pub n_unmappable: u64,
    /// What fails.
    pub failures: BTreeMap<Failure, Found>,
}

impl Tally {
    /// Runs each machine with a strategy of its own.
    pub fn of<D: Decider, E>(
        machines: impl Iterator<Item = impl Numbered>,
        mut make: impl FnMut(&Layout) -> Result<D, E>,
    ) -> Self {
        let mut tally = Self::default();
        for machine in machines {
            let Some(layout) = machine.layout() else { continue };
            let built = make(&layout).ok().and_then(|mut decider| boot(&layout, &mut decider, Watch::RULES).ok());
            let failures = built.map_or_else(|| vec![Failure::Strategy], |built| tally.judge(&layout, &built));
            tally.n += 1;
            for failure in failures {
                tally.add(failure, Found { n: 1, smallest: machine.size() });
            }
        }
        tally
    }

    fn judge(&mut self, layout: &Layout, built: &Built) -> Vec<Failure> {
        let mut failures: Vec<Failure> = built.findings.iter().map(|finding| Failure::of(finding.rule)).collect();
        match &built.end {
            End::Completed => self.n_boots += 1,
            End::Died { death: Death::Panic, .. } if is_unmappable(layout, built) => {
                self.n_unmappable += 1;
                // Nobody has room there: that is what is said with the panic.
                failures.retain(|failure| *failure != Failure::Progress);
            }
            End::Died { death: Death::Panic, .. } => failures.push(Failure::Panics),
            End::Died { death: Death::Bug, .. } => failures.push(Failure::Refused),
            End::Died { death: Death::Crash, .. } => failures.push(Failure::Faults),
            End::StrategyFailed(_) => failures.push(Failure::Strategy),
        }
        if built.measures.is_some_and(|measures| n_tables(layout, &built.boot) < measures.table_pages) {
            failures.push(Failure::Tables);
        }
        failures.sort_unstable();
        failures.dedup();
        failures
    }

    fn add(&mut self, failure: Failure, found: Found) {
        let entry = self.failures.entry(failure).or_insert(Found { n: 0, ..found });
        entry.n += found.n;
        entry.smallest = entry.smallest.min(found.smallest);
    }

    /// Adds what was found elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.n_boots += other.n_boots;
        self.n_unmappable += other.n_unmappable;
        other.failures.iter().for_each(|(failure, found)| self.add(*failure, *found));
    }
}

/// Whether no order of mapping finds room for all tables.
fn is_unmappable(layout: &Layout, built: &Built) -> bool {
    Puzzle::of(layout, &built.boot).is_some_and(|puzzle| !puzzle.is_solvable())
}
