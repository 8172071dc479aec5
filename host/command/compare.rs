// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab compare`: the matrix, reported.

use super::output::Output;
use super::{CommandError, DIFFERENT, DONE, FAILED, jobs, limits, progress, warn, what_if};
use crate::baseline::{Baseline, Comparison};
use crate::cli::{Compare, Format, Global};
use crate::corpus::{self, Source};
use crate::discover;
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

    warn(global, &sources);
    what_if::tell_all(global, &sources, backend, &asked.what_if);
    let records = run(global, &mut contestants, &places, &mut refused)?;
    let comparison =
        baseline.map(|baseline| baseline.compare(&records, |record| is_asked(record, asked, &contestants, &sources)));
    let report = Report {
        records: &records,
        summary: &Summary::new(&records),
        contestants: &contestants,
        places: &places,
        n_32_bit: sources.iter().filter(|source| source.machine.is_32_bit()).count(),
        comparison: comparison.as_ref(),
        shows_all: asked.all,
        elapsed: (asked.output.is_none() && stdout().is_terminal()).then(|| started.elapsed()),
    };
    match asked.format {
        Format::Text => output.write(&text::render(&report))?,
        Format::Markdown => output.write(&markdown::render(&report))?,
        Format::Json => {
            output.write(&json::render(&records)?)?;
            if let Some(comparison) = &comparison {
                tell(comparison, asked.all);
            }
        }
    }
    for error in &refused {
        anstream::eprintln!("error: {error}\nthe report is of the other strategies");
    }
    Ok(if refused.is_empty() { exit_status(&records, comparison.as_ref()) } else { FAILED })
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

fn exit_status(records: &[CellRecord], comparison: Option<&Comparison>) -> u8 {
    if records.iter().any(|record| Word::of(record.verdict) == Word::Error) {
        FAILED
    } else if comparison.is_some_and(Comparison::is_different) {
        DIFFERENT
    } else {
        DONE
    }
}
