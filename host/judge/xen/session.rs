// SPDX-License-Identifier: MIT OR Apache-2.0
//! A session of Xen's court: every strategy at every place, a boot of Xen for each place, on a machine with its map.

use super::cells::{Case, Judged, judge};
use super::machine::Machine;
use super::plan::NotJudged;
use crate::matrix::{Contestant, Place};
use crate::protocol::{Request, Want};
use crate::record::Verdict;
use crate::spawn::{Limits, run_cell};
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::Layout;
use pgtlab_core::ops::Ops;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::time::Duration;

/// How long one boot may take; the largest cells need a tenth of it.
pub const WALL: Duration = Duration::from_secs(600);

/// What became of one cell.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It was put before Xen.
    Judged(Box<Judged>),
    /// It was not, and why.
    NotJudged(String),
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
) -> Result<Vec<Cell>, rayon::ThreadPoolBuildError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(places.len())).build()?;
    let at_place = |place: &Place| {
        let cells = at_place(machine, contestants, place, limits);
        done();
        cells
    };
    let cells: Vec<Vec<Cell>> = pool.install(|| places.par_iter().with_max_len(1).map(at_place).collect());
    let mut cells: Vec<Cell> = cells.into_iter().flatten().collect();
    cells.sort_by(|a, b| (&a.layout, &a.strategy).cmp(&(&b.layout, &b.strategy)));
    Ok(cells)
}

fn at_place(machine: &Machine, contestants: &[Contestant], place: &Place, limits: &Limits) -> Vec<Cell> {
    // A text that is no layout has no cells; the worker says so.
    let layout = place.text.as_deref().ok().and_then(|text| Layout::parse(text, "layout").ok());
    let machine = &layout.as_ref().map_or_else(|| machine.clone(), |layout| machine.with_map(&layout.e820));
    let cell = |contestant: &Contestant, standing| Cell {
        strategy: contestant.label(),
        layout: place.layout.clone(),
        standing,
    };
    let mut cells = Vec::new();
    let (mut cases, mut judged_of) = (Vec::new(), Vec::new());
    for contestant in contestants {
        match case(machine, contestant, place, limits) {
            Ok(case) => {
                cases.push(case);
                judged_of.push(contestant);
            }
            Err(standing) => cells.push(cell(contestant, standing)),
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
                .map(|(contestant, judged)| cell(contestant, Standing::Judged(Box::new(judged)))),
        ),
        Err(error) => {
            cells.extend(judged_of.into_iter().map(|contestant| cell(contestant, Standing::Failed(error.to_string()))))
        }
    }
    cells
}

/// A cell's operations as they are put before Xen.
fn case(machine: &Machine, contestant: &Contestant, place: &Place, limits: &Limits) -> Result<Case, Standing> {
    let refused = |why: NotJudged| Standing::NotJudged(why.to_string());
    place.text.as_deref().map_or(Ok(()), |text| fits(machine, text)).map_err(refused)?;
    let ops = operations(contestant, place, limits).map_err(|why| match why {
        NoCase::NotJudged(why) => Standing::NotJudged(why),
        NoCase::Failed(why) => Standing::Failed(why),
    })?;
    Case::new(ops, machine).map_err(refused)
}

/// Why a cell has no operations.
pub(super) enum NoCase {
    /// There is no such cell, or its strategy failed.
    NotJudged(String),
    /// We failed.
    Failed(String),
}

/// A cell's operations, from a worker.
pub(super) fn operations(contestant: &Contestant, place: &Place, limits: &Limits) -> Result<Ops, NoCase> {
    let text = place.text.as_ref().map_err(|why| NoCase::NotJudged(why.clone()))?;
    let request = Request {
        plugin: contestant.plugin.clone(),
        strategy: contestant.name.clone(),
        options: contestant.options.clone(),
        layout: text.clone(),
        want: Want::Ops,
    };
    let reply = run_cell(&request, limits).map_err(|error| NoCase::Failed(error.to_string()))?;
    if reply.text.is_empty() {
        let text = reply.record.text.clone().unwrap_or_default();
        return Err(match reply.record.verdict {
            Verdict::Error => NoCase::Failed(text),
            _ => NoCase::NotJudged(format!("the strategy left no operations: {text}")),
        });
    }
    Ops::parse(&reply.text).map_err(|error| NoCase::Failed(error.to_string()))
}

/// Whether the tables of all RAM can fit: known before the strategy runs.
fn fits(machine: &Machine, layout: &str) -> Result<(), NotJudged> {
    let Ok(layout) = Layout::parse(layout, "layout") else { return Ok(()) };
    let geometry = layout.geometry;
    let needed = layout.e820.ram_bytes() >> geometry.page_shift;
    let needed = needed / geometry.pages_per_table(Level::L1);
    let most = machine.most_frames();
    if most < needed { Err(NotJudged::TooLarge { needed, most }) } else { Ok(()) }
}
