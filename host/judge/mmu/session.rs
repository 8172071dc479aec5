// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every strategy at every place before processors: each cell is booted once, in a worker, and its tables are put before
//! one engine after the other.

use super::report::Control;
use super::{Engine, Judged, WriteProtect, judge};
use crate::judge::standing::{Cell, Standing, operations, sort};
use crate::matrix::{self, Contestant, Place};
use crate::spawn::Limits;
use pgtlab_core::ops::Ops;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::time::{Duration, Instant};

/// What one engine said.
#[derive(Debug)]
pub struct Sitting<'e> {
    /// The engine.
    pub engine: &'e Engine,
    /// The cells, sorted.
    pub cells: Vec<Cell<Judged>>,
    /// The control; none if no cell has a page that may not be written.
    pub control: Option<Control>,
    /// How long it took over the cells, added up over all that ran at once.
    pub taken: Duration,
}

type Pair<'c> = (&'c Contestant, &'c Place);
/// What one engine said of a cell, and how long that took.
type Timed = (Standing<Judged>, Duration);

/// Puts every strategy at every place before the engines; `done` is told of each cell.
///
/// # Errors
/// The threads cannot be started.
pub fn run<'e>(
    engines: &'e [Engine],
    contestants: &[Contestant],
    places: &[Place],
    (jobs, limits): (usize, &Limits),
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Sitting<'e>>, rayon::ThreadPoolBuildError> {
    let mut pairs: Vec<Pair<'_>> =
        places.iter().flat_map(|place| contestants.iter().map(move |contestant| (contestant, place))).collect();
    // The memory of large machines is what takes time, and is best not at the end.
    pairs.sort_by_key(|(_, place)| std::cmp::Reverse(place.ram_bytes()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(pairs.len()).min(matrix::MOST_JOBS));
    let one = |pair: &Pair<'_>| {
        let standings = standings(engines, pair, limits, WriteProtect::On);
        done();
        standings
    };
    let judged: Vec<Vec<Timed>> = pool.build()?.install(|| pairs.par_iter().with_max_len(1).map(one).collect());
    let sitting =
        |(at, engine)| sitting(engine, pairs.iter().zip(judged.iter().map(|standings| &standings[at])), limits);
    Ok(engines.iter().enumerate().map(sitting).collect())
}

fn sitting<'e, 'c>(
    engine: &'e Engine,
    judged: impl Iterator<Item = (&'c Pair<'c>, &'c Timed)> + Clone,
    limits: &Limits,
) -> Sitting<'e> {
    let cell = |(contestant, place): &Pair<'_>, standing| Cell::new(contestant, place, standing);
    // Whether pages were tried that may not be written.
    let has_read_only =
        |standing: &Standing<Judged>| matches!(standing, Standing::Judged(judged) if 0 < judged.n_read_only);
    let controlled = judged.clone().find(|(_, (standing, _))| has_read_only(standing));
    let control = controlled.map(|(pair, (standing, _))| {
        let mut off = standings(std::slice::from_ref(engine), pair, limits, WriteProtect::Off);
        let outcome = off.pop().map_or_else(|| standing.clone(), |(outcome, _)| outcome);
        Control::new(cell(pair, standing.clone()).name(), outcome)
    });
    let taken = judged.clone().map(|(_, (_, taken))| *taken).sum();
    let mut cells: Vec<Cell<Judged>> = judged.map(|(pair, (standing, _))| cell(pair, standing.clone())).collect();
    sort(&mut cells);
    Sitting { engine, cells, control, taken }
}

/// Boots a cell in a worker, and puts the tables it left before each engine.
fn standings(engines: &[Engine], (contestant, place): &Pair<'_>, limits: &Limits, protect: WriteProtect) -> Vec<Timed> {
    let ops = operations(contestant, place, limits);
    let judged = |engine: &Engine| {
        let started = Instant::now();
        let standing = match &ops {
            Ok(ops) => standing(engine, ops, protect),
            Err(standing) => standing.clone(),
        };
        (standing, started.elapsed())
    };
    engines.iter().map(judged).collect()
}

fn standing(engine: &Engine, ops: &Ops, protect: WriteProtect) -> Standing<Judged> {
    match judge(engine, ops, protect) {
        Ok(Ok(judged)) => Standing::Judged(Box::new(judged)),
        Ok(Err(not_judged)) => Standing::NotJudged(not_judged.to_string()),
        Err(error) => Standing::Failed(error.to_string()),
    }
}
