// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conformance kit: whether a strategy keeps to what the builder may expect of one, whatever its fix does.
//!
//! A broken rule or a boot that dies is a result and no shortfall. What is checked is everything else: it
//! answers every question on every machine, also where nothing can be built; it answers alike every time; it
//! touches what is its own; it refuses what it does not know. [`check`] is a strategy's own test, in one line:
//!
//! ```
//! # #[derive(Default)]
//! # struct MyFix;
//! # impl pgtlab_core::strategy::Strategy for MyFix {}
//! // #[test] fn conforms() {
//! pgtlab_core::conform::check::<MyFix>();
//! // }
//! ```
//!
//! `pgtlab conform PLUGIN` does the same with the built plugin, in worker processes, on every machine there is.
//! Both go the same way:
//!
//! ```text
//!  machines ──► Exam::look   one boot, every question and every act seen by `ledger` ──► Seen ┐
//!           └─► Exam::repeat the same boot again, among others and from threads ───────► Seen ┼─► Report
//!               Exam::strain unknown numbers, odd options ─────────────────────────────► Seen ┘
//! ```
//!
//! The parts: `checks` (what is checked, and the words for it), `machines` (a corpus of a few machines, and
//! those that are hard), `ledger` (what a strategy asks for, and what is its own), `exam`, `report`.

mod checks;
mod exam;
mod ledger;
mod machines;
mod report;

pub use checks::{Check, Stages};
pub use exam::{Ending, Exam, Seen, Shortfall};
pub use machines::{HARD_PREFIX, corpus, hard, hard_named};
pub use report::{Entry, Report, Standing};

use crate::layout::Layout;
use crate::plugin::PluginStrategy;
use crate::strategy::{OptionSpec, Strategy};

/// Checks a strategy on a few machines of each kind; for its own tests.
///
/// # Panics
/// It falls short of something: the text is the report.
#[track_caller]
pub fn check<S: Strategy + Default + 'static>() {
    check_with_options::<S>(&[]);
}

/// The same for a strategy that takes these options.
///
/// # Panics
/// It falls short of something: the text is the report.
#[track_caller]
pub fn check_with_options<S: Strategy + Default + 'static>(options: &[OptionSpec]) {
    let report = examine::<S>(options);
    assert!(!report.falls_short(), "\n{report}");
}

/// What [`check`] looks at.
#[must_use]
pub fn examine<S: Strategy + Default + 'static>(options: &[OptionSpec]) -> Report {
    let name = std::any::type_name::<S>();
    let name = name.split('<').next().unwrap_or(name);
    let mut report = Report::new(name.rsplit("::").next().unwrap_or(name), "PLUGIN");
    for check in [Check::File, Check::TinyMachines] {
        report.leave_out(check, "`pgtlab conform` does, of the built plugin");
    }
    let exam = Exam::new(&PluginStrategy::of::<S>, options);
    for (check, machines) in [(Check::Answers, corpus()), (Check::HardMachines, hard())] {
        let mut before: Option<&Layout> = None;
        for layout in &machines {
            if report.is_endless() {
                break;
            }
            let seen = exam.look(check, layout);
            let repeats = seen.fingerprint.is_some();
            report.add(seen);
            if repeats {
                report.add(exam.repeat(layout, before));
            }
            before = Some(layout);
        }
    }
    if !report.is_endless() {
        report.add(exam.strain());
    }
    if !options.is_empty() {
        report.note(Check::Options, Check::Options.expects());
    }
    report
}

#[cfg(test)]
mod tests;
