// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab judge mmu`: the tables that cells left before a processor.

use super::{Typed, UNAVAILABLE, conclude, told};
use crate::cli::Global;
use crate::cli::judge::JudgeMmu;
use crate::command::output::Output;
use crate::command::{CommandError, jobs, limits, progress};
use crate::judge::mmu::report::Report;
use crate::judge::mmu::session::run;
use pgtlab_core::layout::Backend;
use std::time::Instant;

/// Judges by a processor's memory-management unit.
pub(super) fn mmu(global: &Global, asked: &JudgeMmu) -> Result<u8, CommandError> {
    let started = Instant::now();
    let output = Output::open(asked.cells.output.as_deref())?;
    let backend = asked.backend.map(Backend::from);
    let typed = Typed::new(&asked.cells, backend)?;
    typed.begin(global, backend)?;
    let engines = asked.engine.choice().engines(|_, missing| told(missing))?;
    if engines.is_empty() {
        return Ok(UNAVAILABLE);
    }
    let n_cells = typed.contestants.len() * typed.places.len();
    let bar = progress::bar(n_cells as u64, "cells", global.quiet);
    let limits = (jobs(global), &limits(global));
    let sittings = run(&engines, &typed.contestants, &typed.places, limits, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let report = Report { sittings: &sittings, elapsed: started.elapsed() };
    conclude(output, asked.cells.format, || report.text(asked.all), || report.json(), report.agrees())
}
