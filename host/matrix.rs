// SPDX-License-Identifier: MIT OR Apache-2.0
//! The matrix: strategies x layouts x back ends, run on all cores, each cell in a worker process.
//!
//! [`places`] says which cells there are, [`run`] runs them. Records come back sorted, so nothing shows
//! how long a cell took or where it ran.

use crate::corpus::Source;
use crate::discover::{self, DiscoverError, Resolved, Strategy};
use crate::input::NoCell;
use crate::load::LoadError;
use crate::options::{Changed, Chosen, recorded, shown};
use crate::protocol::{Reply, Request, Want};
use crate::record::{CellRecord, Verdict};
use crate::report::quoted;
use crate::whatif::WhatIf;
use pgtlab_core::layout::{Backend, Layout};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A strategy to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contestant {
    /// Its name.
    pub name: String,
    /// What it is called where there is little room.
    pub short: String,
    /// How it is called on the command line: by name, or by the path of its plugin.
    pub typed: String,
    /// Its plugin.
    pub plugin: PathBuf,
    /// The values of its options that are not the defaults.
    pub options: Changed,
    /// The same as a record has them.
    pub recorded: BTreeMap<String, serde_json::Value>,
}

impl Contestant {
    /// What a worker is asked for on a machine.
    #[must_use]
    pub fn request(&self, layout: String, want: Want) -> Request {
        Request {
            plugin: self.plugin.clone(),
            strategy: self.name.clone(),
            options: self.options.clone(),
            layout,
            want,
        }
    }

    fn new(strategy: Strategy, typed: Option<&str>, chosen: &Chosen) -> Self {
        let options = chosen.of(&strategy.plugin);
        let aliases = strategy.description.aliases.iter();
        let short = aliases.chain([&strategy.name]).min_by_key(|name| name.chars().count()).cloned();
        Self {
            recorded: recorded(&options, &strategy.description),
            options,
            short: short.unwrap_or_default(),
            typed: typed.map_or_else(|| strategy.name.clone(), str::to_owned),
            name: strategy.name,
            plugin: strategy.plugin,
        }
    }

    /// Its name, and what was chosen for it.
    #[must_use]
    pub fn label(&self) -> String {
        if self.options.is_empty() { self.name.clone() } else { format!("{}[{}]", self.name, shown(&self.options)) }
    }

    /// How it is called on the command line with what was chosen for it, as a shell takes it.
    #[must_use]
    pub fn command(&self) -> String {
        let mut words = quoted(&self.typed);
        for (key, value) in &self.options {
            words += &format!(" --set {}", quoted(&format!("{}.{key}={value}", self.name)));
        }
        words
    }
}

/// A layout on a back end: one cell for each strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layout's name.
    pub layout: String,
    /// The back end.
    pub backend: Backend,
    /// The text of the layout file, or why the cells cannot exist.
    pub text: Result<String, String>,
    /// How the layout is called on the command line: by name, or by path.
    pub typed: String,
    /// Whether a command that is told no back end takes this one.
    pub is_first: bool,
    /// How much memory it has, in bytes: large ones are run first.
    ram_bytes: u64,
}

impl Place {
    /// How much memory it has, in bytes.
    #[must_use]
    pub const fn ram_bytes(&self) -> u64 {
        self.ram_bytes
    }
}

/// The places that the machines make: on their own back ends, or on the one that was asked for, changed as
/// the options say.
#[must_use]
pub fn places(sources: &[Source], asked: Option<Backend>, what_if: &WhatIf) -> Vec<Place> {
    let mut places = Vec::new();
    for source in sources {
        let machine = &source.machine;
        let own = machine.backends();
        let backends = asked.as_ref().map_or(own, std::slice::from_ref);
        for &backend in backends {
            let place = |text, ram_bytes| Place {
                layout: machine.name().to_owned(),
                backend,
                text,
                typed: source.typed.clone(),
                is_first: own.first() == Some(&backend),
                ram_bytes,
            };
            let changed = |layout: Layout| what_if.apply(&layout).map_err(NoCell::Skipped);
            match machine.on(backend).and_then(changed) {
                Ok(layout) => places.push(place(Ok(layout.render()), layout.e820.ram_bytes())),
                Err(NoCell::Skipped(why)) => places.push(place(Err(why), 0)),
                Err(NoCell::OtherBackend(_)) => {}
            }
        }
    }
    places
}

/// Runs every strategy at every place, `jobs` workers at a time. `run_cell` runs one in a worker process,
/// `done` is told of every cell that has come to its end.
///
/// # Errors
/// If the threads cannot be started.
pub fn run(
    contestants: &[Contestant],
    places: &[Place],
    jobs: usize,
    run_cell: &(dyn Fn(&Request) -> Reply + Sync),
    done: &(dyn Fn() + Sync),
) -> Result<Vec<CellRecord>, rayon::ThreadPoolBuildError> {
    let mut cells: Vec<(&Contestant, &Place)> =
        places.iter().flat_map(|place| contestants.iter().map(move |contestant| (contestant, place))).collect();
    // The large ones first, so that no core waits for one of them at the end.
    cells.sort_by_key(|(_, place)| std::cmp::Reverse(place.ram_bytes));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.min(cells.len()).min(MOST_JOBS)).build()?;
    let mut records: Vec<CellRecord> = pool.install(|| {
        let one = |cell: &(&Contestant, &Place)| {
            let record = run_one(cell.0, cell.1, run_cell);
            done();
            record
        };
        // One cell at a time: their times differ too much to be dealt out in batches.
        cells.par_iter().with_max_len(1).map(one).collect()
    });
    records.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(records)
}

fn run_one(contestant: &Contestant, place: &Place, run_cell: &(dyn Fn(&Request) -> Reply + Sync)) -> CellRecord {
    match &place.text {
        Ok(layout) => {
            let request = contestant.request(layout.clone(), Want::Record);
            CellRecord { options: contestant.recorded.clone(), ..run_cell(&request).record }
        }
        Err(why) => {
            let (strategy, backend) = (&contestant.name, place.backend.name());
            CellRecord::without_boot(strategy, &place.layout, backend, Verdict::Skipped, why.clone())
        }
    }
}

/// More workers at once are of no use on any machine, and cost a thread and a process each.
pub const MOST_JOBS: usize = 1024;

/// What records are sorted by.
#[must_use]
pub fn key(record: &CellRecord) -> (&str, &str, &str) {
    (&record.layout, &record.backend, &record.strategy)
}

/// The strategies that are meant by what was typed, all of this tree if nothing was (see
/// [`discover::resolve`]), with the options that were chosen.
///
/// # Errors
/// As there.
pub fn contestants(typed: &[String], chosen: &Chosen) -> Result<Vec<Contestant>, DiscoverError> {
    Ok(with_options(discover::resolve(typed)?, typed, chosen))
}

/// The same, and beside them why files that were typed are no plugins (see [`discover::resolve_usable`]).
///
/// # Errors
/// As there; and nothing that was typed is a plugin.
pub fn usable_contestants(
    typed: &[String],
    chosen: &Chosen,
) -> Result<(Vec<Contestant>, Vec<LoadError>), DiscoverError> {
    let Resolved { strategies, mut refused } = discover::resolve_usable(typed)?;
    if strategies.is_empty() && !refused.is_empty() {
        return Err(refused.remove(0).into());
    }
    Ok((with_options(strategies, typed, chosen), refused))
}

fn with_options(strategies: Vec<Strategy>, typed: &[String], chosen: &Chosen) -> Vec<Contestant> {
    let contestant = |strategy: Strategy| {
        let typed = typed.iter().find(|typed| Path::new(typed) == strategy.plugin);
        Contestant::new(strategy, typed.map(String::as_str), chosen)
    };
    strategies.into_iter().map(contestant).collect()
}

/// The strategies of this tree, as they are without any option.
///
/// # Errors
/// One was not built.
pub fn in_tree() -> Result<Vec<Contestant>, DiscoverError> {
    let contestant = |strategy| Contestant::new(strategy, None, &Chosen::default());
    Ok(discover::of_tree()?.into_iter().map(contestant).collect())
}
