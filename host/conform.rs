// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conformance kit on a built plugin: each look at it in a worker process, on every machine there is.
//!
//! What is checked, and the words for it, are core's ([`pgtlab_core::conform`]); here is what a process of its
//! own adds: a plugin that dies is a finding and the rest of the report comes all the same, and what one
//! process saw is held against what another did.

use crate::corpus::{self, CorpusError, Source};
use crate::inspect::Inspection;
use crate::load::{self, Description};
use crate::matrix::{self, Place};
use crate::protocol::{Examination, Exercise, Machines, SeenRecord, Trial};
use crate::prove::family::Family;
use crate::prove::part;
use crate::prove::tally::Failure;
use crate::spawn::{Death, Limits, RunError, run_examination};
use crate::whatif::WhatIf;
use pgtlab_core::conform::{Check, Report, Seen, Shortfall, Stages, Standing, hard};
use pgtlab_core::layout::Backend;
use pgtlab_core::strategy::Stage;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ConformError {
    /// The file cannot be read at all.
    #[error(transparent)]
    Load(#[from] load::LoadError),
    /// A machine cannot be had.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// No worker could be started.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The threads could not be started.
    #[error("failed to start the threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A worker failed by itself.
    #[error("failed to examine the plugin: {0}")]
    Ours(String),
}

/// What to examine, and how.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The plugin.
    pub plugin: PathBuf,
    /// How it is typed in commands.
    pub typed: String,
    /// The machines besides the hard ones; all of the corpus if none are named.
    pub layouts: Vec<String>,
    /// What a worker may use for one boot.
    pub limits: Limits,
    /// How many workers run at once.
    pub jobs: usize,
}

/// Frames of their own that the machines of the small family have: 2,160 machines.
const TINY_FRAMES: u32 = 3;

/// How many of them one worker takes.
const TINY_PART: u64 = 270;

/// Boots in one repetition.
const REPEATED: u32 = 5;

/// One look: its occasion, how the machine is typed, and the layout's text.
struct Look {
    check: Check,
    typed: String,
    backend: Backend,
    layout: String,
}

impl Kit {
    /// Runs every check.
    ///
    /// # Errors
    /// The file cannot be read, a machine cannot be had, or we failed. All else is in the report.
    pub fn examine(&self, told: &(dyn Fn(u64, u64) + Sync)) -> Result<Report, ConformError> {
        let inspection = Inspection::of(&self.plugin)?;
        let name = inspection.description.as_ref().map_or_else(|| self.typed.clone(), |it| it.name.clone());
        let mut report = Report::new(&name, &self.typed);
        if let Some(refusal) = &inspection.refusal {
            report.fail(Check::File, None, refusal.to_string());
            return Ok(report);
        }
        let Some(description) = inspection.description else { return Ok(report) };
        report.note(Check::File, describe(&description));
        if let Some(stages) = declared(&description) {
            report.declare(stages);
        }
        let looks = self.looks()?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.jobs.min(matrix::MOST_JOBS)).build()?;
        pool.install(|| self.run(&mut report, &looks, &description, told))?;
        Ok(report)
    }

    /// Every machine on each back end, then the hard ones.
    fn looks(&self) -> Result<Vec<Look>, ConformError> {
        let sources = corpus::select(&self.layouts)?;
        let mut looks: Vec<Look> = Vec::new();
        for place in on_each_back_end(&sources) {
            if let Ok(layout) = place.text {
                looks.push(Look { check: Check::Answers, typed: place.typed, backend: place.backend, layout });
            }
        }
        for layout in hard() {
            let (typed, backend) = (layout.name.clone(), layout.backend);
            looks.push(Look { check: Check::HardMachines, typed, backend, layout: layout.render() });
        }
        Ok(looks)
    }

    fn run(
        &self,
        report: &mut Report,
        looks: &[Look],
        description: &Description,
        told: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), ConformError> {
        // In rounds whose size is always the same, so that where a plugin without end is given up on depends
        // on no clock: first a few, since each of those takes all the time it may.
        const ROUNDS: [usize; 2] = [2, 32];
        let n_steps = 2 * looks.len() as u64;
        let mut alive: Vec<(&Look, u64)> = Vec::new();
        let mut rest = looks;
        while !rest.is_empty() && !report.is_endless() {
            let (round, behind) = rest.split_at(ROUNDS[usize::from(rest.len() < looks.len())].min(rest.len()));
            let seen: Vec<Seen> = round.par_iter().map(|look| self.look(look)).collect::<Result<_, _>>()?;
            for (look, seen) in round.iter().zip(seen) {
                alive.extend(seen.fingerprint.map(|fingerprint| (look, fingerprint)));
                report.add(seen);
            }
            rest = behind;
            told((looks.len() - rest.len()) as u64, n_steps);
        }
        // More of either would take time and tell nothing.
        if report.is_endless() || report.standing(Check::Loading) == Standing::FallsShort {
            return Ok(());
        }
        // In the other order, each after the one that came after it.
        let pairs: Vec<(usize, usize)> = (0..alive.len()).rev().map(|at| (at, (at + 1) % alive.len())).collect();
        let mut again = Vec::new();
        for (at, round) in pairs.chunks(ROUNDS[1]).enumerate() {
            let repeat = |&(at, before): &(usize, usize)| self.repeat(alive[at], alive[before].0);
            again.extend(round.par_iter().map(repeat).collect::<Result<Vec<Seen>, _>>()?);
            told((looks.len() + at * ROUNDS[1] + round.len()) as u64, n_steps);
        }
        again.into_iter().rev().for_each(|seen| report.add(seen));
        self.tiny(report)?;
        report.add(self.strain()?);
        if !description.options.is_empty() {
            let n = description.options.len();
            report.note(Check::Options, format!("{} ({n} declared)", Check::Options.expects()));
        }
        Ok(())
    }

    fn examination(&self, exercise: Exercise) -> Examination {
        Examination { plugin: self.plugin.clone(), exercise }
    }

    fn look(&self, look: &Look) -> Result<Seen, ConformError> {
        let check = look.check.name().to_owned();
        let examination = self.examination(Exercise::Look { check, layout: look.layout.clone() });
        let mut seen = match run_examination(&examination, &self.limits) {
            Ok(Ok(record)) => record.seen()?,
            Ok(Err(death)) => died(look.check, &death)?,
            // The file was sound: it was refused when it was opened.
            Err(RunError::Load(error)) => {
                let mut seen = Seen::nothing(look.check, None);
                seen.shortfalls.push(Shortfall { check: Check::Loading, text: error.kind.to_string() });
                seen
            }
            Err(error) => return Err(error.into()),
        };
        seen.cell = Some((look.typed.clone(), look.backend.name()));
        Ok(seen)
    }

    fn repeat(&self, (look, fingerprint): (&Look, u64), before: &Look) -> Result<Seen, ConformError> {
        let examination =
            self.examination(Exercise::Repeat { layout: look.layout.clone(), before: before.layout.clone() });
        let mut seen = match run_examination(&examination, &self.longer())? {
            Ok(record) => record.seen()?,
            Err(death) => {
                let mut seen = Seen::nothing(Check::Repetition, None);
                let text = format!("{}, when it was run again", death.what);
                seen.shortfalls.push(Shortfall { check: Check::Repetition, text });
                seen
            }
        };
        seen.cell = Some((look.typed.clone(), look.backend.name()));
        if seen.shortfalls.is_empty() && seen.fingerprint != Some(fingerprint) {
            let text = "differs in another process".to_owned();
            seen.shortfalls.push(Shortfall { check: Check::Repetition, text });
        }
        Ok(seen)
    }

    fn longer(&self) -> Limits {
        let times = |time: Duration| time.saturating_mul(REPEATED);
        Limits { wall: times(self.limits.wall), cpu: times(self.limits.cpu), ..self.limits }
    }

    /// Every machine of a small family. What happened on the first that it fails on is looked at once more.
    fn tiny(&self, report: &mut Report) -> Result<(), ConformError> {
        let Some(family) = Family::new(TINY_FRAMES) else { return Ok(()) };
        let n_frames = TINY_FRAMES;
        let trial = |from, to| Trial {
            plugin: self.plugin.clone(),
            options: Vec::new(),
            machines: Machines::Family { n_frames, from, to },
        };
        let starts: Vec<u64> = (0..family.len()).step_by(usize::try_from(TINY_PART).unwrap_or(usize::MAX)).collect();
        let tallies: Vec<_> = starts
            .par_iter()
            .map(|&from| part(&trial, &self.limits, from, (from + TINY_PART).min(family.len())))
            .collect::<Result<_, _>>()?;
        let failed = tallies.iter().filter_map(|tally| tally.failures.get(&Failure::Strategy));
        let first = failed.min_by_key(|found| found.smallest);
        let Some(member) = first.and_then(|found| family.member(found.smallest.2)) else {
            let (n, n_boots) = tallies.iter().fold((0, 0), |sum, tally| (sum.0 + tally.n, sum.1 + tally.n_boots));
            let expects = Check::TinyMachines.expects();
            report.note(Check::TinyMachines, format!("{expects} ({n} machines, {n_boots} boot)"));
            return Ok(());
        };
        let layout = member.layout();
        let look =
            Look { check: Check::TinyMachines, typed: member.name(), backend: layout.backend, layout: layout.render() };
        let seen = self.look(&look)?;
        let texts = seen.shortfalls.iter().filter(|it| matches!(it.check, Check::TinyMachines | Check::End));
        let text = texts.map(|shortfall| shortfall.text.clone()).next();
        let text = text.unwrap_or_else(|| "fails among others, and not alone".to_owned());
        report.fail(Check::TinyMachines, seen.cell, text);
        Ok(())
    }

    fn strain(&self) -> Result<Seen, ConformError> {
        Ok(match run_examination(&self.examination(Exercise::Strain), &self.longer())? {
            Ok(record) => record.seen()?,
            Err(death) => {
                let mut seen = Seen::nothing(Check::UnknownNumbers, None);
                seen.shortfalls.push(Shortfall { check: Check::UnknownNumbers, text: death.what });
                seen
            }
        })
    }
}

fn describe(description: &Description) -> String {
    let Description { name, version, interface, .. } = description;
    format!("{name} {version} describes itself, for interface {interface}, which this host has")
}

fn declared(description: &Description) -> Option<Stages> {
    let names = description.stages.as_ref()?;
    Some(Stage::ALL.into_iter().filter(|stage| names.iter().any(|name| name == stage.name())).collect())
}

/// All cells that can exist: a machine's own, and those on the other back end.
fn on_each_back_end(sources: &[Source]) -> Vec<Place> {
    let mut places = matrix::places(sources, None, &WhatIf::default());
    for backend in [Backend::Native, Backend::Xen] {
        for place in matrix::places(sources, Some(backend), &WhatIf::default()) {
            if !places.iter().any(|known| (&known.layout, known.backend) == (&place.layout, place.backend)) {
                places.push(place);
            }
        }
    }
    places.sort_by(|a, b| (&a.layout, a.backend).cmp(&(&b.layout, b.backend)));
    places
}

/// What a worker's death says of its plugin.
fn died(check: Check, death: &Death) -> Result<Seen, ConformError> {
    use crate::stage_cell::Place as At;
    let (check, place) = match death.place {
        At::BeforeLoading | At::Finished => return Err(ConformError::Ours(death.text.clone())),
        At::Unheard => (Check::Drop, "after it was done".to_owned()),
        At::Loading => (Check::Loading, "while it was loaded".to_owned()),
        At::Creating => (Check::Loading, "while its strategy was made".to_owned()),
        At::Finishing => (Check::Drop, "while it was dropped".to_owned()),
        At::OutOfSteps(stage) => (Check::End, format!("at stage {}", stage.name())),
        At::Asking(stage) | At::Answered(stage) => (check, format!("at stage {}", stage.name())),
    };
    let check = if death.is_overdue { Check::End } else { check };
    let mut seen = Seen::nothing(check, None);
    seen.shortfalls.push(Shortfall { check, text: format!("{place}: {}", death.what) });
    Ok(seen)
}

impl SeenRecord {
    fn seen(&self) -> Result<Seen, ConformError> {
        Seen::try_from(self).map_err(ConformError::Ours)
    }
}

/// The plugin's path as it is typed in commands, given how it was typed here.
#[must_use]
pub fn typed(typed: &str, path: &Path) -> String {
    // A bare file name is no path to the other commands.
    if typed.contains('/') || typed != path.to_string_lossy() { typed.to_owned() } else { format!("./{typed}") }
}
