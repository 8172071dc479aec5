// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab judge linux`: what Linux does when it builds its direct map, beside what a strategy does.

use super::{UNAVAILABLE, conclude, found};
use crate::cli::Global;
use crate::cli::judge::JudgeLinux;
use crate::command::output::Output;
use crate::command::{CommandError, jobs, limits, progress};
use crate::discover::{self, Strategy};
use crate::judge::linux::compare::compare;
use crate::judge::linux::guest::{Guest, GuestError, USUAL};
use crate::judge::linux::machine::{Machine, WALL};
use crate::judge::linux::observed::{Observed, parse};
use crate::judge::linux::predicted::Predicted;
use crate::judge::linux::report::{Judgement, Report, Standing};
use crate::judge::linux::{KEPT, STRATEGY};
use crate::judge::xen::machine::Machine as XenMachine;
use crate::matrix::{self, Contestant, MOST_JOBS};
use crate::options;
use crate::spawn::Limits;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::fs;
use std::path::Path;
use std::time::Instant;

pub(super) fn linux(global: &Global, asked: &JudgeLinux) -> Result<u8, CommandError> {
    let started = Instant::now();
    let output = Output::open(asked.output.as_deref())?;
    if let Some(folder) = &asked.record {
        // Before the boots, which take long.
        fs::create_dir_all(folder)
            .map_err(|source| CommandError::Output { place: folder.display().to_string(), source })?;
    }
    let (strategy, names) = asked.named();
    let held = Held::new(asked, strategy.unwrap_or(STRATEGY))?;
    let (judgements, elapsed) = if asked.recorded {
        (kept(names)?.into_iter().map(|observed| held.judge(observed, &limits(global))).collect(), None)
    } else {
        let mut guests = guests(names)?;
        let Some(engines) = found(Machine::find(), "linux")? else { return Ok(UNAVAILABLE) };
        let needs_xen = guests.iter().any(|guest| guest.dom0_mib.is_some());
        let xen = if needs_xen { found(XenMachine::find(), "xen")? } else { None };
        if needs_xen && xen.is_none() {
            // Of the usual machines the others are left.
            guests.retain(|guest| names.is_empty() && guest.dom0_mib.is_none());
            if guests.is_empty() {
                return Ok(UNAVAILABLE);
            }
        }
        let judgements = boot(global, &Machine::new(engines, xen)?, &guests, &held, asked.record.as_deref())?;
        (judgements, Some(started.elapsed()))
    };
    let strategy = held.contestant.label();
    let report = Report { strategy: &strategy, judgements: &judgements, elapsed };
    conclude(output, asked.format, || report.text(), || report.json(), report.agrees())
}

/// The strategy that is held to the kernel.
struct Held {
    contestant: Contestant,
    /// What options it has.
    options: Vec<String>,
}

impl Held {
    fn new(asked: &JudgeLinux, typed: &str) -> Result<Self, CommandError> {
        let named = [typed.to_owned()];
        let mut contestants = matrix::contestants(&named, &options::chosen(&asked.settings, &named)?)?;
        let strategies: Vec<Strategy> = discover::resolve(&named)?;
        let options = strategies.iter().flat_map(|strategy| &strategy.description.options);
        let options = options.map(|option| option.key.clone()).collect();
        match (contestants.pop(), contestants.is_empty()) {
            (Some(contestant), true) => Ok(Self { contestant, options }),
            _ => Err(CommandError::TooMany {
                typed: typed.to_owned(),
                what: "strategies",
                names: strategies.into_iter().map(|strategy| strategy.name).collect(),
            }),
        }
    }

    fn judge(&self, observed: Observed, limits: &Limits) -> Judgement {
        let guest = observed.guest.to_string();
        let standing = match Predicted::of(&self.contestant, &self.options, &observed, limits) {
            Ok(predicted) => {
                let comparison = compare(&predicted, &observed);
                Standing::Judged(Box::new((observed, comparison)))
            }
            Err(why) => Standing::Failed(why),
        };
        Judgement { guest, standing }
    }
}

fn guests(names: &[String]) -> Result<Vec<Guest>, CommandError> {
    let words: Vec<&str> = if names.is_empty() { USUAL.to_vec() } else { names.iter().map(String::as_str).collect() };
    Ok(words.into_iter().map(str::parse).collect::<Result<Vec<Guest>, _>>()?)
}

/// Boots that were kept, all or those that are named.
fn kept(names: &[String]) -> Result<Vec<Observed>, CommandError> {
    let all: Vec<&str> = KEPT.iter().map(|(name, _)| *name).collect();
    // As they are called, in whatever order the parts of a name were typed.
    let typed: Vec<String> =
        names.iter().map(|name| Ok(name.parse::<Guest>()?.to_string())).collect::<Result<_, GuestError>>()?;
    if let Some(guest) = typed.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(CommandError::NotKept { guest: guest.clone(), kept: all.join(", ") });
    }
    let is_meant = |name: &str| typed.is_empty() || typed.iter().any(|typed| typed == name);
    let chosen = KEPT.iter().filter(|(name, _)| is_meant(name));
    chosen
        .map(|(name, text)| parse(text).map_err(|error| CommandError::Kept { guest: (*name).to_owned(), error }))
        .collect()
}

fn boot(
    global: &Global,
    machine: &Machine,
    guests: &[Guest],
    held: &Held,
    record: Option<&Path>,
) -> Result<Vec<Judgement>, CommandError> {
    let bar = progress::bar(guests.len() as u64, "machines", global.quiet);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs(global).min(guests.len()).min(MOST_JOBS)).build()?;
    let limits = limits(global);
    let one = |guest: &Guest| {
        let observed = machine.observe(guest, WALL);
        let kept = match (&observed, record) {
            (Ok(observed), Some(folder)) => keep(observed, folder),
            _ => Ok(()),
        };
        let judgement = match observed {
            Ok(observed) => held.judge(observed, &limits),
            Err(error) => Judgement { guest: guest.to_string(), standing: Standing::Failed(error.to_string()) },
        };
        bar.inc(1);
        kept.map(|()| judgement)
    };
    // Boots take long, so none is dealt out in a batch.
    let judged = pool.install(|| guests.par_iter().with_max_len(1).map(one).collect::<Result<Vec<Judgement>, _>>());
    bar.finish_and_clear();
    judged
}

/// Keeps a boot: the file is there as a whole or as it was.
fn keep(observed: &Observed, folder: &Path) -> Result<(), CommandError> {
    let path = folder.join(format!("{}.txt", observed.guest));
    Output::open(Some(&path))?.write(&observed.to_string())
}
