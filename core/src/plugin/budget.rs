// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much a plugin may ask of its host in one boot, counted and not timed: the same on a busy machine as on
//! an idle one.
//!
//! A step is a question put to the plugin or a service it calls. What costs the host more counts for more:
//!
//! | | steps |
//! |---|---|
//! | a question, a service | 1 |
//! | a plan's answer | 1 more for each piece and for each table of 512 pages that it maps |
//! | a text handed over | 1 more for each 16 bytes |
//! | a list handed over | 1 more for each 16 entries |
//! | a search in memblock | 1 more for each 16 regions |
//! | `tables_needed` | 1 more for each table of 512 pages in the range |
//!
//! A machine allows 200,000 steps, 100 for each table of 512 pages below the end of its RAM, and 100 for each run of
//! frames in its p2m ([`Budget::steps_of`]). The most that a strategy of the tree takes on a machine of the corpus
//! is a seventh of that: `semantic-builder` under Xen, 6.6 million steps of 47.5 million on 921 GiB. A test of the
//! corpus fails where one takes a quarter.

use crate::addr::{Pfn, PfnRange};
use crate::layout::Layout;
use crate::strategy::Stage;
use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;

/// What the least machine allows.
const BASE: u64 = 200_000;

/// For each table of 512 pages: its page, the way to it, its leaves and writes, and what is asked on the way.
const PER_TABLE: u64 = 100;

/// For each run of frames that the machine numbers by itself, which cuts a table into runs of entries.
const PER_P2M_RUN: u64 = 100;

/// Called when a plugin takes a step that it has not: never returns, as nothing may unwind out of a plugin.
pub type OutOfSteps = Box<dyn Fn(Stage) -> Infallible>;

/// The steps of one boot.
pub struct Budget {
    n_taken: Cell<u64>,
    n_steps: u64,
    out_of_steps: Option<OutOfSteps>,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {})", self.n_taken.get(), self.n_steps)
    }
}

impl Default for Budget {
    /// Counts without an end.
    fn default() -> Self {
        Self { n_taken: Cell::new(0), n_steps: u64::MAX, out_of_steps: None }
    }
}

impl Budget {
    /// So many steps, and what to do at the one behind the last.
    #[must_use]
    pub fn new(n_steps: u64, out_of_steps: OutOfSteps) -> Self {
        Self { n_steps, out_of_steps: Some(out_of_steps), ..Self::default() }
    }

    /// How many steps a boot of this machine may take: a base, and more for each table of 512 pages below the
    /// end of RAM and for each run of frames whose numbers the machine gives.
    #[must_use]
    pub fn steps_of(layout: &Layout) -> u64 {
        let n_tables = tables(layout.max_pfn().get());
        let per = |n: u64, steps: u64| n.saturating_mul(steps);
        let n_runs = layout.p2m.runs(PfnRange::new(Pfn::default(), layout.max_pfn())).count() as u64;
        BASE.saturating_add(per(n_tables, PER_TABLE)).saturating_add(per(n_runs, PER_P2M_RUN))
    }

    /// How many were taken.
    #[must_use]
    pub const fn n_taken(&self) -> u64 {
        self.n_taken.get()
    }

    /// Takes one step and `more`.
    #[inline]
    pub(super) fn take(&self, stage: Stage, more: u64) {
        let n_taken = self.n_taken.get().saturating_add(1).saturating_add(more);
        self.n_taken.set(n_taken);
        if self.n_steps < n_taken
            && let Some(out_of_steps) = &self.out_of_steps
        {
            out_of_steps(stage);
        }
    }
}

/// How many tables of 512 entries so many pages fill.
pub(super) const fn tables(n_pages: u64) -> u64 {
    n_pages.div_ceil(512)
}

/// The steps of a text of so many bytes, a list of so many entries, or a search through so many regions.
pub(super) const fn sixteenth(n: usize) -> u64 {
    (n / 16) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_step_behind_the_last_does_not_return() {
        let budget = Budget::new(3, Box::new(|stage| panic!("{}", stage.name())));
        budget.take(Stage::Plan, 0);
        budget.take(Stage::Plan, 1);
        assert_eq!(budget.n_taken(), 3);
        let text = catch_unwind(AssertUnwindSafe(|| budget.take(Stage::Leaf, 0))).err();
        assert_eq!(text.and_then(|text| text.downcast_ref::<String>().cloned()), Some("leaf".to_owned()));
    }

    #[test]
    fn without_a_budget_steps_are_counted_only() {
        let budget = Budget::default();
        budget.take(Stage::Plan, u64::MAX);
        budget.take(Stage::Plan, 5);
        assert_eq!(budget.n_taken(), u64::MAX);
    }

    #[track_caller]
    fn check(layout: &str, n_steps: u64) {
        let layout = Layout::parse(layout, "it").expect("a layout");
        assert_eq!(Budget::steps_of(&layout), n_steps);
    }

    #[test]
    fn a_larger_machine_allows_more() {
        check("e820 0 100000 1\nkernel 10000 20000\n", BASE + PER_P2M_RUN + PER_TABLE);
        check("e820 0 40000000 1\nkernel 1000000 1800000\n", BASE + PER_P2M_RUN + 512 * PER_TABLE);
    }
}
