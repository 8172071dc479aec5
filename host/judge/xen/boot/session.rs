// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots every strategy at every place, each in a machine of its own.

use super::super::machine::Machine;
use super::super::session::operations;
use super::{Boot, Booted};
use crate::judge::xen::session::NoCase;
use crate::matrix::{Contestant, Place};
use crate::spawn::Limits;
use pgtlab_core::layout::Layout;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use std::time::Duration;

/// What became of one cell.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It was booted.
    Booted(Box<Booted>),
    /// It was not, and why.
    NotBooted(String),
    /// We failed, or Xen's machine did.
    Failed(String),
}

/// A cell and what became of it.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The strategy, with what was chosen for it.
    pub strategy: String,
    /// The layout.
    pub layout: String,
    /// What became of it.
    pub standing: Standing,
}

/// Boots every strategy at every place within `wall`; `done` is told after each. Sorted by layout and strategy.
///
/// # Errors
/// The threads cannot be started.
pub fn run(
    machine: &Machine,
    contestants: &[Contestant],
    places: &[Place],
    (jobs, limits, wall): (usize, &Limits, Duration),
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Cell>, rayon::ThreadPoolBuildError> {
    let all = places.iter().flat_map(|place| contestants.iter().map(move |contestant| (contestant, place)));
    let all: Vec<(&Contestant, &Place)> = all.collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(all.len())).build()?;
    let one = |(contestant, place): (&Contestant, &Place)| {
        let standing = boot(machine, contestant, place, (limits, wall));
        done();
        Cell { strategy: contestant.label(), layout: place.layout.clone(), standing }
    };
    let mut cells: Vec<Cell> = pool.install(|| all.into_par_iter().with_max_len(1).map(one).collect());
    cells.sort_by(|a, b| (&a.layout, &a.strategy).cmp(&(&b.layout, &b.strategy)));
    Ok(cells)
}

fn boot(machine: &Machine, contestant: &Contestant, place: &Place, (limits, wall): (&Limits, Duration)) -> Standing {
    let ops = match operations(contestant, place, limits) {
        Ok(ops) => ops,
        Err(NoCase::NotJudged(why)) => return Standing::NotBooted(why),
        Err(NoCase::Failed(why)) => return Standing::Failed(why),
    };
    let boot = match Boot::new(ops) {
        Ok(boot) => boot,
        Err(why) => return Standing::NotBooted(why.to_string()),
    };
    // The worker has read it before.
    let layout = place.text.as_deref().ok().and_then(|text| Layout::parse(text, "layout").ok());
    let Some(machine) = layout.and_then(|layout| machine.with_domain(&layout.e820, boot.domain_bytes())) else {
        return Standing::NotBooted("no room for the domain on the emulated machine".to_owned());
    };
    match boot.run(&machine, wall) {
        Ok(booted) => Standing::Booted(Box::new(booted)),
        Err(error) => Standing::Failed(error.to_string()),
    }
}
