// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab compare`: the matrix, reported.

use super::judges::Judges;
use super::output::Output;
use super::{CommandError, DIFFERENT, DONE, FAILED, jobs, limits, progress, warn, what_if};
use crate::baseline::{Baseline, Comparison};
use crate::cli::{Compare, Format, Global};
use crate::corpus::{self, Source};
use crate::discover;
use crate::judged::Judged;
use crate::load::LoadError;
use crate::matrix::{self, Contestant, Place};
use crate::options;
use crate::protocol::{Reply, Request};
use crate::record::{CellRecord, Verdict};
use crate::report::{Report, json, markdown, text};
use crate::spawn::{RunError, run_cell};
use crate::summary::{Summary, Word};
use pgtlab_core::layout::Backend;
use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::sync::Mutex;
use std::time::Instant;

pub(super) fn compare(global: &Global, asked: &Compare) -> Result<u8, CommandError> {
    let started = Instant::now();
    let chosen = options::chosen(&asked.settings, &asked.strategies)?;
    let (mut contestants, mut refused) = matrix::usable_contestants(&asked.strategies, &chosen)?;
    if !global.quiet && discover::is_searched(&asked.strategies) {
        for error in discover::search()?.left_out {
            anstream::eprintln!("warning: {error}; it is left out");
        }
    }
    let sources = corpus::select(&asked.layouts)?;
    let backend = asked.backend.map(Backend::from);
    let places = matrix::places(&sources, backend, &asked.what_if);
    if let (true, Some(backend)) = (places.is_empty(), backend) {
        return Err(CommandError::NoCells { n_layouts: sources.len(), backend: backend.name() });
    }
    let baseline = asked.baseline.as_deref().map(Baseline::read).transpose()?;
    let output = Output::open(asked.output.as_deref())?;
    let judges = asked.judged.then(|| Judges::find(asked.engine.choice())).transpose()?;

    warn(global, &sources);
    what_if::tell_all(global, &sources, backend, &asked.what_if);
    let records = run(global, &mut contestants, &places, &mut refused)?;
    let judged = judges.map(|judges| judges.judge(global, &contestants, &places)).transpose()?;
    let comparison =
        baseline.map(|baseline| baseline.compare(&records, |record| is_asked(record, asked, &contestants, &sources)));
    let report = Report {
        records: &records,
        summary: &Summary::new(&records),
        contestants: &contestants,
        places: &places,
        n_32_bit: sources.iter().filter(|source| source.machine.is_32_bit()).count(),
        comparison: comparison.as_ref(),
        judged: judged.as_ref(),
        shows_all: asked.all,
        elapsed: (asked.output.is_none() && stdout().is_terminal()).then(|| started.elapsed()),
    };
    match asked.format {
        Format::Text => output.write(&text::render(&report))?,
        Format::Markdown => output.write(&markdown::render(&report))?,
        Format::Json => {
            output.write(&match &judged {
                None => json::render(&records)?,
                Some(judged) => json::render_judged(&records, judged)?,
            })?;
            if let Some(comparison) = &comparison {
                tell(comparison, asked.all);
            }
            judged.iter().flat_map(|judged| &judged.0).for_each(|judge| anstream::eprintln!("{judge}"));
        }
    }
    for error in &refused {
        anstream::eprintln!("error: {error}\nthe report is of the other strategies");
    }
    Ok(if refused.is_empty() { exit_status(&records, comparison.as_ref(), judged.as_ref()) } else { FAILED })
}

/// Runs the cells. A plugin that cannot be loaded is bad input and has no cells: it leaves the contestants.
fn run(
    global: &Global,
    contestants: &mut Vec<Contestant>,
    places: &[Place],
    refused: &mut Vec<LoadError>,
) -> Result<Vec<CellRecord>, CommandError> {
    let limits = limits(global);
    let jobs = jobs(global);
    let bar = progress::bar((contestants.len() * places.len()) as u64, "cells", global.quiet);
    let failures: Mutex<BTreeMap<String, RunError>> = Mutex::default();
    let run_one = |request: &Request| -> Reply {
        run_cell(request, &limits).unwrap_or_else(|error| {
            let text = error.to_string();
            if let Ok(mut failures) = failures.lock() {
                failures.entry(request.strategy.clone()).or_insert(error);
            }
            let record = CellRecord::without_boot(&request.strategy, "", "", Verdict::Error, text);
            Reply { record, text: String::new(), n_steps: 0 }
        })
    };
    let mut records = matrix::run(contestants, places, jobs, &run_one, &|| bar.inc(1))?;
    bar.finish_and_clear();
    for (strategy, failure) in failures.into_inner().unwrap_or_default() {
        match failure {
            RunError::Load(error) if 1 < contestants.len() => {
                contestants.retain(|contestant| contestant.name != strategy);
                records.retain(|record| record.strategy != strategy);
                refused.push(error);
            }
            other => return Err(other.into()),
        }
    }
    Ok(records)
}

/// Whether a cell of the baseline is one that this run was asked for.
fn is_asked(record: &CellRecord, asked: &Compare, contestants: &[Contestant], sources: &[Source]) -> bool {
    let is_strategy = || contestants.iter().any(|contestant| contestant.name == record.strategy);
    let is_layout = || sources.iter().any(|source| source.machine.name() == record.layout);
    let is_backend = |backend: Backend| backend.name() == record.backend;
    (asked.strategies.is_empty() || is_strategy())
        && (asked.layouts.is_empty() || is_layout())
        && asked.backend.is_none_or(|backend| is_backend(backend.into()))
}

/// The records go to standard output as they are, so what changed goes to standard error.
fn tell(comparison: &Comparison, shows_all: bool) {
    let mut text = String::new();
    if comparison.write_text(&mut text, shows_all).is_ok() {
        anstream::eprint!("{text}");
    }
}

fn exit_status(records: &[CellRecord], comparison: Option<&Comparison>, judged: Option<&Judged>) -> u8 {
    let has_failed = records.iter().any(|record| Word::of(record.verdict) == Word::Error);
    if has_failed || judged.is_some_and(Judged::has_failed) {
        FAILED
    } else if comparison.is_some_and(Comparison::is_different) || judged.is_some_and(Judged::is_different) {
        DIFFERENT
    } else {
        DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judged::{Judge, Opinion};

    #[track_caller]
    fn check(opinion: Opinion, fault: Option<&str>, status: u8) {
        let mut judge = Judge::new("Xen".to_owned(), Ok("Xen 4.17".to_owned()));
        judge.say("hook", ("a", "xen"), opinion);
        judge.fault = fault.map(str::to_owned);
        assert_eq!(exit_status(&[], None, Some(&Judged(vec![judge]))), status);
    }

    #[test]
    fn a_judge_that_differs_is_a_difference_and_one_that_failed_a_failure() {
        check(Opinion::Agrees, None, DONE);
        check(Opinion::NotJudged("the boot died".to_owned()), None, DONE);
        check(Opinion::Differs("a page".to_owned()), None, DIFFERENT);
        check(Opinion::Agrees, Some("the control agrees"), DIFFERENT);
        check(Opinion::Failed("no end".to_owned()), None, FAILED);
    }
}
