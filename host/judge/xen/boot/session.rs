// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots every strategy at every place, each in a machine of its own.

use super::{Boot, Booted};
use crate::judge::standing::{Cell, Standing, operations, sort};
use crate::judge::xen::machine::Machine;
use crate::matrix::{Contestant, Place};
use crate::spawn::Limits;
use pgtlab_core::layout::Layout;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use std::time::Duration;

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
) -> Result<Vec<Cell<Booted>>, rayon::ThreadPoolBuildError> {
    let all = places.iter().flat_map(|place| contestants.iter().map(move |contestant| (contestant, place)));
    let all: Vec<(&Contestant, &Place)> = all.collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(all.len())).build()?;
    let one = |(contestant, place): (&Contestant, &Place)| {
        let booted = boot(machine, contestant, place, (limits, wall));
        done();
        let standing = booted.map_or_else(|standing| standing, |booted| Standing::Judged(Box::new(booted)));
        Cell::new(contestant, place, standing)
    };
    let mut cells: Vec<Cell<Booted>> = pool.install(|| all.into_par_iter().with_max_len(1).map(one).collect());
    sort(&mut cells);
    Ok(cells)
}

fn boot(
    machine: &Machine,
    contestant: &Contestant,
    place: &Place,
    (limits, wall): (&Limits, Duration),
) -> Result<Booted, Standing<Booted>> {
    let ops = operations(contestant, place, limits)?;
    let boot = Boot::new(ops).map_err(|why| Standing::NotJudged(why.to_string()))?;
    // The worker has read it before.
    let layout = place.text.as_deref().ok().and_then(|text| Layout::parse(text, "layout").ok());
    let machine = layout.and_then(|layout| machine.with_domain(&layout.e820, boot.domain_bytes()));
    let machine =
        machine.ok_or_else(|| Standing::NotJudged("no room for the domain on the emulated machine".to_owned()))?;
    boot.run(&machine, wall).map_err(|error| Standing::Failed(error.to_string()))
}
