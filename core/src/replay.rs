// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replay: a boot log's own lines about early page tables against what the model says the kernel printed.
//!
//! [`replay`] is the way in. It tells the kernel's era from the log (`era` holds the table, `release` reads
//! versions), makes the machine of what the log says up to the build (`machine`), runs the era as a strategy
//! through the builder (`strategy`), and puts each line of the log beside the predicted one (`compare`). Where
//! they differ, `cause` looks for what would make them equal. 32-bit kernels build other tables; of those
//! `thirty_two` counts and places the buffer alone.

mod cause;
mod compare;
pub mod era;
mod evidence;
mod line;
mod machine;
mod release;
mod run;
mod strategy;
mod thirty_two;

pub use compare::Row;
pub use line::{Kind, Line};
pub use machine::Assumption;
pub use release::Release;

use crate::addr::PhysAddr;
use crate::bootlog::{BootLog, BootLogError, LogKind};
use crate::build::LayoutConflict;
use era::Era;
use evidence::Evidence;
use machine::Twist;

/// A log beside its replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The era the kernel belongs to, in words.
    pub era: &'static str,
    /// Its rules, in half a line.
    pub rule: &'static str,
    /// The version that the log states.
    pub release: Option<Release>,
    /// Whether that is a guess of whoever kept the log.
    pub is_release_guessed: bool,
    /// Other eras that the log could be of; the one with the fewest differences was taken, and of those the
    /// first.
    pub others: Vec<&'static str>,
    /// Where the kernel ran.
    pub kind: LogKind,
    /// What no line says.
    pub assumed: Vec<Assumption>,
    /// The lines, in the order of the log; those that are only predicted where they are missing.
    pub rows: Vec<Row>,
    /// Lines of the kinds that the model predicts on other machines, and not here.
    pub unpredicted: Vec<(usize, Line)>,
    /// How the model's boot ended, if it died.
    pub death: Option<String>,
    /// What probably makes the difference, if there is one.
    pub causes: Vec<String>,
}

impl Replay {
    /// How many lines differ.
    #[must_use]
    pub fn n_differing(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_equal()).count()
    }
}

/// Why a log cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It has none of the lines.
    #[error(
        "nothing in this log that the model predicts; expected lines like `kernel direct mapping tables up to ..`, \
         `init_memory_mapping: ..`, `BRK [..] PGTABLE` or an early reservation named PGTABLE (kernels from 5.8 on print \
         none of them)"
    )]
    Nothing,
    /// No machine can be made of it.
    #[error("no machine can be made of the log: {0}")]
    NoMachine(#[source] BootLogError),
    /// Its machine cannot be set up.
    #[error("no machine can be made of the log: {0}")]
    Conflict(#[source] LayoutConflict),
    /// More memory than kernels of the eras use.
    #[error("RAM ends at {end:#x}; expected at most {most:#x}, where the kernels that are replayed stop")]
    TooMuchRam {
        /// Where it ends.
        end: PhysAddr,
        /// Where it may.
        most: PhysAddr,
    },
    /// A 32-bit kernel of a time that is not modelled.
    #[error("a 32-bit kernel {0}; of 32-bit kernels those before 2.6.37 are modelled")]
    ThirtyTwoBit(String),
}

/// The same, if it explains every difference that a random address of the direct map, which no line tells, puts
/// the border between two entries of the root inside RAM.
fn with_root_border(asked: &run::Asked<'_>, era: &Era, twist: Twist, outcome: &run::Outcome) -> Option<run::Outcome> {
    let n = outcome.n_differing();
    if n == 0 || !outcome.is_random {
        return None;
    }
    let twist = Twist { has_root_border: true, ..twist };
    let mut explained = asked.run(era, twist).ok().filter(|explained| explained.n_differing() == 0)?;
    explained.assumed.push(Assumption::RootBorder(n));
    Some(explained)
}

/// Replays a boot log.
///
/// # Errors
/// If it has no line that can be predicted, or no machine can be made of it.
pub fn replay(text: &str) -> Result<Replay, ReplayError> {
    let log = BootLog::parse(text);
    let evidence = Evidence::read(text);
    let lines = line::of_log(&log, &evidence);
    // Node data alone says nothing: kernels that print no more of the build place it behind memory they do not
    // tell of.
    if lines.iter().all(|(_, line)| matches!(line.kind(), Kind::NodeData | Kind::Fault)) {
        return Err(ReplayError::Nothing);
    }
    if log.is_32_bit() {
        return thirty_two::replay(&log, &evidence, &lines);
    }
    let asked = run::Asked { log: &log, evidence: &evidence, lines: &lines };
    let eras = era::candidates(&evidence, &lines);
    // Whether a guest's map ends in memory that it does not have yet is a matter of its Xen.
    let twists = [Twist::default(), Twist { has_no_extra: true, ..Twist::default() }];
    let twists = if log.kind() == LogKind::DomU { &twists[..] } else { &twists[..1] };
    let mut best: Option<(&Era, Twist, run::Outcome)> = None;
    let mut first_error = None;
    for (era, twist) in eras.iter().flat_map(|era| twists.iter().map(move |twist| (era, *twist))) {
        match asked.run(era, twist) {
            Ok(outcome) if best.as_ref().is_none_or(|(.., best)| outcome.n_differing() < best.n_differing()) => {
                best = Some((era, twist, outcome));
            }
            Ok(_) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let (era, twist, mut outcome) = best.ok_or_else(|| first_error.unwrap_or(ReplayError::Nothing))?;
    if let Some(explained) = with_root_border(&asked, era, twist, &outcome) {
        outcome = explained;
    }
    let causes = cause::likely(&asked, era, twist, &outcome);
    Ok(Replay {
        era: era.name,
        rule: era.rule,
        release: evidence.release,
        is_release_guessed: !evidence.is_exact,
        others: eras.iter().map(|other| other.name).filter(|name| *name != era.name).collect(),
        kind: log.kind(),
        assumed: outcome.assumed,
        rows: outcome.rows,
        unpredicted: outcome.unpredicted,
        death: outcome.death,
        causes,
    })
}
