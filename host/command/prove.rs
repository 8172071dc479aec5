// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command `prove`: a strategy on every machine of a family, or on machines drawn at random.

use super::{CommandError, DONE, cell, output, progress};
use crate::cli::{Global, Prove};
use crate::matrix::{self, Contestant};
use crate::options;
use crate::protocol::{Machines, Request, Trial, Want};
use crate::prove::family::{Family, Member};
use crate::prove::part;
use crate::prove::random::Drawn;
use crate::prove::shrink::shrink;
use crate::prove::tally::{Failure, Found, Numbered, Tally};
use crate::report::{count, thousands};
use crate::spawn::{Limits, run_cell};
use pgtlab_core::layout::Layout;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The exit status if a counterexample was found.
const COUNTEREXAMPLE: u8 = 1;

/// Members of a family that one worker runs: a second's work.
const FAMILY_PART: u64 = 1 << 13;
/// Machines drawn at random that one worker runs.
const RANDOM_PART: u64 = 64;

/// A worker runs many machines, so it may take longer than one that runs a cell.
const LIMITS: Limits =
    Limits { wall: Duration::from_secs(600), cpu: Duration::from_secs(300), memory_bytes: 2 << 30, n_steps: None };

pub(super) fn prove(global: &Global, asked: &Prove) -> Result<u8, CommandError> {
    let chosen = options::chosen(&asked.settings, std::slice::from_ref(&asked.strategy))?;
    let contestants = matrix::contestants(std::slice::from_ref(&asked.strategy), &chosen)?;
    let contestant = cell::one(&asked.strategy, "strategies", &contestants, |contestant| &contestant.name)?;
    let jobs = global.jobs.map_or(0, std::num::NonZeroUsize::get).min(matrix::MOST_JOBS);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build()?;
    let search = Search { contestant, asked, is_quiet: global.quiet };
    // A search may take long: a wrong path is told before it.
    let file = asked.write.as_deref().map(|path| output::Output::open(Some(path))).transpose()?;
    let (report, counterexample) = pool.install(|| if asked.random { search.random() } else { search.family() })?;
    if let (Some(file), Some(layout)) = (file, &counterexample) {
        file.write(&layout.render())?;
    }
    output::print(&report)?;
    Ok(if counterexample.is_some() { COUNTEREXAMPLE } else { DONE })
}

/// The report, and the smallest machine on which the strategy fails.
type Outcome = (String, Option<Layout>);

struct Search<'a> {
    contestant: &'a Contestant,
    asked: &'a Prove,
    is_quiet: bool,
}

impl Search<'_> {
    fn family(&self) -> Result<Outcome, CommandError> {
        let Some(family) = Family::new(self.asked.frames) else {
            return Err(CommandError::Frames { most: Family::MOST_FRAMES });
        };
        let parts: Vec<(u64, u64)> = parts(0, family.len(), FAMILY_PART);
        let n_frames = self.asked.frames;
        let tally = self.run(family.len(), &parts, |from, to| Machines::Family { n_frames, from, to })?;
        let (name, n) = (self.contestant.label(), thousands(family.len()));
        let mut out = format!("{name} on all {n} machines of tiny-{n_frames}\n  {} = {n}\n\n", family.formula());
        let smallest = |found: &Found| family.member(found.smallest.2).map(Member::name).unwrap_or_default();
        let written = write_tally(&mut out, &tally, smallest);
        debug_assert!(written.is_ok(), "writing to a string never fails");
        if tally.n != family.len() {
            let _ = writeln!(out, "\nonly {} of {n} machines were run", thousands(tally.n));
        }
        match first_failure(&tally) {
            None => {
                let _ = writeln!(out, "\nall {n} machines, all rules hold, and no table is made that is not needed");
            }
            Some((_, found)) => {
                let (typed, machine) = (self.contestant.command(), smallest(&found));
                let _ = writeln!(out, "\nWhy the smallest fails: pgtlab explain {typed} {machine}");
            }
        }
        let layout = first_failure(&tally).and_then(|(_, found)| family.member(found.smallest.2)).map(Member::layout);
        Ok((out, layout))
    }

    fn random(&self) -> Result<Outcome, CommandError> {
        let seed = self.asked.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut at = 0;
        // In rounds, so that a search by time knows when it is over.
        loop {
            let end = match self.asked.duration {
                Some(_) => at + 4096,
                None => self.asked.cases,
            };
            let round = parts(at, end, RANDOM_PART);
            tally.merge(&self.run(end - at, &round, |from, to| Machines::Random { seed, from, to })?);
            at = end;
            let is_over = self.asked.duration.is_none_or(|wanted| Duration::from_secs_f64(wanted) <= began.elapsed());
            if is_over || !tally.failures.is_empty() {
                break;
            }
        }
        let name = self.contestant.label();
        let mut out = format!(
            "{name} on {} drawn at random, seed {seed} ({} had no room for Xen's boot objects)\n\n",
            count(usize::try_from(tally.n).unwrap_or(usize::MAX), "machine", "machines"),
            thousands(at - tally.n)
        );
        let drawn = |found: &Found| Drawn { seed, number: found.smallest.2 };
        let written = write_tally(&mut out, &tally, |found| drawn(found).name());
        debug_assert!(written.is_ok(), "writing to a string never fails");
        let Some((failure, found)) = first_failure(&tally) else {
            let _ = writeln!(out, "\nall rules hold on every machine, and no table is made that is not needed");
            return Ok((out, None));
        };
        let layout = drawn(&found).layout();
        let smallest = layout.map(|layout| shrink(&layout, |layout| self.fails(layout, failure)));
        if let Some(layout) = &smallest {
            let _ = writeln!(out, "\nthe smallest machine made of {}:\n\n{}", drawn(&found).name(), layout.render());
        }
        let _ = writeln!(
            out,
            "To find it again: pgtlab prove {} --random --seed {seed} --cases {at}",
            self.contestant.command()
        );
        Ok((out, smallest))
    }

    /// Runs the parts on all cores.
    fn run(
        &self,
        n: u64,
        parts: &[(u64, u64)],
        machines: impl Fn(u64, u64) -> Machines + Sync,
    ) -> Result<Tally, CommandError> {
        let bar = progress::bar(n, "machines", self.is_quiet);
        let total = Mutex::new(Tally::default());
        parts.into_par_iter().try_for_each(|&(from, to)| {
            let Contestant { plugin, options, .. } = self.contestant;
            let trial =
                |from, to| Trial { plugin: plugin.clone(), options: options.clone(), machines: machines(from, to) };
            let tally = part(&trial, &LIMITS, from, to)?;
            bar.inc(to - from);
            if let Ok(mut total) = total.lock() {
                total.merge(&tally);
            }
            Ok::<_, CommandError>(())
        })?;
        bar.finish_and_clear();
        Ok(total.into_inner().unwrap_or_default())
    }

    /// Whether it fails on this machine in this way.
    fn fails(&self, layout: &Layout, failure: Failure) -> bool {
        let Contestant { plugin, name, options, .. } = self.contestant.clone();
        let request = Request { plugin, strategy: name, options, layout: layout.render(), want: Want::Record };
        run_cell(&request, &LIMITS).is_ok_and(|reply| failure.is_of(&reply.record))
    }
}

fn parts(from: u64, to: u64, size: u64) -> Vec<(u64, u64)> {
    let n = (to - from).div_ceil(size);
    (0..n).map(|part| (from + part * size, (from + (part + 1) * size).min(to))).collect()
}

/// The failure a reader wants to see first: a boot that dies, else the first rule.
fn first_failure(tally: &Tally) -> Option<(Failure, Found)> {
    tally.failures.iter().next().map(|(failure, found)| (*failure, *found))
}

fn write_tally(out: &mut String, tally: &Tally, smallest: impl Fn(&Found) -> String) -> fmt::Result {
    writeln!(out, "{:>15}  boot", thousands(tally.n_boots))?;
    if 0 < tally.n_unmappable {
        writeln!(out, "{:>15}  cannot be mapped in any order, and panic", thousands(tally.n_unmappable))?;
    }
    for (failure, found) in &tally.failures {
        writeln!(out, "{:>15}  {}; smallest: {}", thousands(found.n), failure.text(), smallest(found))?;
    }
    Ok(())
}
