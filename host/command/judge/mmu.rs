// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab judge mmu`: the tables that cells left before a processor.

use super::{Typed, UNAVAILABLE, conclude, found};
use crate::baseline::cell_name;
use crate::cli::Global;
use crate::cli::judge::JudgeMmu;
use crate::command::output::Output;
use crate::command::{CommandError, jobs, limits, progress};
use crate::judge::mmu::report::{CellJudgement, Control, Report, Standing};
use crate::judge::mmu::{Engine, MmuError, WriteProtect, judge, tcg};
use crate::matrix::{self, Contestant, Place};
use crate::protocol::{Request, Want};
use crate::record::Verdict;
use crate::spawn::{Limits, run_cell};
use pgtlab_core::layout::Backend;
use pgtlab_core::ops::Ops;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::time::Instant;

/// Judges by a processor's memory-management unit.
pub(super) fn mmu(global: &Global, asked: &JudgeMmu) -> Result<u8, CommandError> {
    let started = Instant::now();
    let output = Output::open(asked.cells.output.as_deref())?;
    let backend = asked.backend.map(Backend::from);
    let mut typed = Typed::new(&asked.cells, backend)?;
    typed.begin(global, backend)?;
    // The memory of large machines is what takes time, and is best not at the end.
    typed.places.sort_by_key(|place| std::cmp::Reverse(place.ram_bytes()));
    let Some(engine) = found(Engine::find(), tcg::NAME)? else { return Ok(UNAVAILABLE) };
    let mut cells = run(global, &engine, &typed.contestants, &typed.places)?;
    let control = cells.iter().find(|(_, cell)| cell.has_read_only()).map(|((contestant, place), cell)| {
        let outcome = of_cell(&engine, contestant, place, &limits(global), WriteProtect::Off).standing;
        Control::new(cell.name(), outcome)
    });
    cells.sort_by(|(_, a), (_, b)| a.key().cmp(&b.key()));
    let cells: Vec<CellJudgement> = cells.into_iter().map(|(_, cell)| cell).collect();
    let report = Report { engine: &engine, cells: &cells, control: control.as_ref(), elapsed: started.elapsed() };
    let agrees = report.agrees();
    conclude(output, asked.cells.format, || report.text(asked.all), || report.json(), agrees)
}

type Pair<'c> = (&'c Contestant, &'c Place);

fn run<'c>(
    global: &Global,
    engine: &Engine,
    contestants: &'c [Contestant],
    places: &'c [Place],
) -> Result<Vec<(Pair<'c>, CellJudgement)>, CommandError> {
    let pairs: Vec<Pair<'_>> =
        places.iter().flat_map(|place| contestants.iter().map(move |contestant| (contestant, place))).collect();
    let bar = progress::bar(pairs.len() as u64, "cells", global.quiet);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs(global).min(pairs.len()).min(matrix::MOST_JOBS));
    let limits = limits(global);
    let judged = pool.build()?.install(|| {
        let one = |pair: &Pair<'c>| {
            let cell = of_cell(engine, pair.0, pair.1, &limits, WriteProtect::On);
            bar.inc(1);
            (*pair, cell)
        };
        pairs.par_iter().with_max_len(1).map(one).collect()
    });
    bar.finish_and_clear();
    Ok(judged)
}

/// Boots a cell in a worker, and judges the tables it left.
fn of_cell(
    engine: &Engine,
    contestant: &Contestant,
    place: &Place,
    limits: &Limits,
    protect: WriteProtect,
) -> CellJudgement {
    let standing = match &place.text {
        Ok(layout) => standing(engine, contestant, layout.clone(), limits, protect),
        Err(why) => Standing::Skipped(why.clone()),
    };
    CellJudgement::new(contestant.label(), place.layout.clone(), place.backend.name(), standing)
}

fn standing(
    engine: &Engine,
    contestant: &Contestant,
    layout: String,
    limits: &Limits,
    protect: WriteProtect,
) -> Standing {
    let request = Request {
        plugin: contestant.plugin.clone(),
        strategy: contestant.name.clone(),
        options: contestant.options.clone(),
        layout,
        want: Want::Ops,
    };
    let reply = match run_cell(&request, limits) {
        Ok(reply) => reply,
        Err(error) => return Standing::Failed(error.to_string()),
    };
    if reply.text.is_empty() {
        let text = reply.record.text.clone().unwrap_or_default();
        return match reply.record.verdict {
            Verdict::Error => Standing::Failed(format!("{}: {text}", cell_name(&reply.record))),
            _ => Standing::Skipped(format!("the strategy left no tables: {text}")),
        };
    }
    let judged = Ops::parse(&reply.text).map_err(MmuError::from).and_then(|ops| judge(engine, &ops, protect));
    match judged {
        Ok(Ok(judged)) => Standing::Judged(judged),
        Ok(Err(not_judged)) => Standing::Skipped(not_judged.to_string()),
        Err(error) => Standing::Failed(error.to_string()),
    }
}
