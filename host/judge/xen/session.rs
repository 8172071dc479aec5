// SPDX-License-Identifier: MIT OR Apache-2.0
//! A session of Xen's court: every strategy at every place, a boot of Xen for each place, on a machine with its map.

use super::cells::{Case, Judged, judge};
use super::machine::Machine;
use super::plan::NotJudged;
use crate::judge::standing::{Cell, Standing, operations, sort};
use crate::matrix::{Contestant, Place};
use crate::spawn::Limits;
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::Layout;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::time::Duration;

/// How long one boot may take; the largest cells need a tenth of it.
pub const WALL: Duration = Duration::from_secs(600);

/// Puts every strategy at every place before Xen; `done` is told after each place. Sorted by layout and strategy.
///
/// # Errors
/// The threads cannot be started.
pub fn run(
    machine: &Machine,
    contestants: &[Contestant],
    places: &[Place],
    (jobs, limits): (usize, &Limits),
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Cell<Judged>>, rayon::ThreadPoolBuildError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(places.len())).build()?;
    let at_place = |place: &Place| {
        let cells = at_place(machine, contestants, place, limits);
        done();
        cells
    };
    let cells: Vec<Vec<Cell<Judged>>> = pool.install(|| places.par_iter().with_max_len(1).map(at_place).collect());
    let mut cells: Vec<Cell<Judged>> = cells.into_iter().flatten().collect();
    sort(&mut cells);
    Ok(cells)
}

fn at_place(machine: &Machine, contestants: &[Contestant], place: &Place, limits: &Limits) -> Vec<Cell<Judged>> {
    // A text that is no layout has no cells; the worker says so.
    let layout = place.text.as_deref().ok().and_then(|text| Layout::parse(text, "layout").ok());
    let machine = &layout.as_ref().map_or_else(|| machine.clone(), |layout| machine.with_map(&layout.e820));
    let too_large = layout.as_ref().and_then(|layout| fits(machine, layout).err());
    if let Some(why) = too_large {
        let cell = |contestant| Cell::new(contestant, place, Standing::NotJudged(why.to_string()));
        return contestants.iter().map(cell).collect();
    }
    let mut cells = Vec::new();
    let (mut cases, mut judged_of) = (Vec::new(), Vec::new());
    for contestant in contestants {
        let case = operations(contestant, place, limits)
            .and_then(|ops| Case::new(ops, machine).map_err(|why| Standing::NotJudged(why.to_string())));
        match case {
            Ok(case) => {
                cases.push(case);
                judged_of.push(contestant);
            }
            Err(standing) => cells.push(Cell::new(contestant, place, standing)),
        }
    }
    if cases.is_empty() {
        return cells;
    }
    match judge(machine, cases, WALL) {
        Ok(judged) => cells.extend(
            judged_of
                .into_iter()
                .zip(judged)
                .map(|(contestant, judged)| Cell::new(contestant, place, Standing::Judged(Box::new(judged)))),
        ),
        Err(error) => {
            let failed = |contestant| Cell::new(contestant, place, Standing::Failed(error.to_string()));
            cells.extend(judged_of.into_iter().map(failed));
        }
    }
    cells
}

/// Whether the tables of all RAM can fit: known before the strategy runs.
fn fits(machine: &Machine, layout: &Layout) -> Result<(), NotJudged> {
    let geometry = layout.geometry;
    let needed = (layout.e820.ram_bytes() >> geometry.page_shift) / geometry.pages_per_table(Level::L1);
    let most = machine.most_frames();
    if most < needed { Err(NotJudged::TooLarge { needed, most }) } else { Ok(()) }
}
