// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab judge xen`: cells, or requests drawn at random, before the real Xen.

use super::{DIFFERENT, DONE, Typed, UNAVAILABLE, conclude, found};
use crate::cli::Global;
use crate::cli::judge::JudgeXen;
use crate::command::judges::XEN_MEMORY_MIB;
use crate::command::output::{Output, print};
use crate::command::{CommandError, jobs, limits, progress};
use crate::judge::xen::boot;
use crate::judge::xen::machine::Machine;
use crate::judge::xen::random::{Divergence, scenario};
use crate::judge::xen::recorded::Scenario;
use crate::judge::xen::report::Report;
use crate::judge::xen::session::{WALL, run};
use crate::report::thousands;
use pgtlab_core::layout::Backend;
use pgtlab_core::mmu::guest::Request;
use std::time::Instant;

/// Scenarios that are put to Xen in one boot.
const SCENARIOS_A_BOOT: u64 = 4000;

pub(super) fn xen(global: &Global, asked: &JudgeXen) -> Result<u8, CommandError> {
    let Some(machine) = found(Machine::find(), "xen")? else { return Ok(UNAVAILABLE) };
    let machine = machine.with_memory(XEN_MEMORY_MIB);
    if asked.random { random(global, asked, &machine) } else { cells(global, asked, &machine) }
}

fn cells(global: &Global, asked: &JudgeXen, machine: &Machine) -> Result<u8, CommandError> {
    let started = Instant::now();
    let output = Output::open(asked.cells.output.as_deref())?;
    // A native layout file that is named is put under Xen, as `--backend xen` does elsewhere.
    let backend = (!asked.cells.named().1.is_empty()).then_some(Backend::Xen);
    let mut typed = Typed::new(&asked.cells, backend)?;
    typed.places.retain(|place| place.backend == Backend::Xen);
    typed.begin(global, Some(Backend::Xen))?;
    let Typed { contestants, places, .. } = &typed;
    let (at_once, limits, format) = (jobs(global), &limits(global), asked.cells.format);
    if asked.boot {
        let bar = progress::bar((places.len() * contestants.len()) as u64, "boots", global.quiet);
        let cells = boot::session::run(machine, contestants, places, (at_once, limits, WALL), &|| bar.inc(1))?;
        bar.finish_and_clear();
        let report = boot::report::Report { engines: &machine.versions()?, cells: &cells, elapsed: started.elapsed() };
        return conclude(output, format, || report.text(), || report.json(), report.agrees());
    }
    let bar = progress::bar(places.len() as u64, "machines", global.quiet);
    let cells = run(machine, contestants, places, (at_once, limits), &|| bar.inc(1))?;
    bar.finish_and_clear();
    let report = Report { engines: &machine.versions()?, cells: &cells, elapsed: started.elapsed() };
    conclude(output, format, || report.text(), || report.json(), report.agrees())
}

fn random(global: &Global, asked: &JudgeXen, machine: &Machine) -> Result<u8, CommandError> {
    let started = Instant::now();
    // Opened before the search, which takes minutes.
    let written = asked.write.as_deref().map(|path| Output::open(Some(path))).transpose()?;
    let seed = asked.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let bar = progress::bar(asked.cases, "scenarios", global.quiet);
    let (mut n_done, mut n_requests, mut found) = (0, 0, None);
    while n_done < asked.cases && found.is_none() {
        let end = asked.cases.min(n_done + SCENARIOS_A_BOOT);
        let scenarios: Vec<Vec<Request>> = (n_done..end).map(|number| scenario(seed, number)).collect();
        let answers = machine.ask(&scenarios, WALL)?.answers;
        let differing = |(number, (requests, answers)): (u64, (&Vec<Request>, &Vec<_>))| {
            Divergence::of(requests, answers).map(|divergence| (number, divergence))
        };
        found = (n_done..).zip(scenarios.iter().zip(&answers)).find_map(differing);
        n_requests += scenarios.iter().map(Vec::len).sum::<usize>();
        bar.inc(end - n_done);
        n_done = end;
    }
    bar.finish_and_clear();
    let (seconds, engines) = (started.elapsed().as_secs_f64(), machine.versions()?);
    let n = format!("{} scenarios, {} requests", thousands(n_done), thousands(n_requests as u64));
    let head = format!("{engines}\nseed {seed}: {n}, {seconds:.1} s\n\n");
    let Some((number, divergence)) = found else {
        print(&format!("{head}every answer of Xen's is the predicted one\n"))?;
        return Ok(DONE);
    };
    let shrunk = divergence.shrink(|scenarios| machine.ask(scenarios, WALL).map(|asked| asked.answers))?;
    let (predicted, answered) = (shrunk.predicted, shrunk.answered);
    let scenario = Scenario::predicted(format!("{number} of seed {seed}"), shrunk.requests);
    if let Some(output) = written {
        output.write(&scenario.to_string())?;
    }
    print(&format!(
        "{head}Xen and the model part; the fewest requests that show it, with the model's answers:\n\n{scenario}\n\
         the last one: predicted {predicted}, Xen {answered}\n"
    ))?;
    Ok(DIFFERENT)
}
