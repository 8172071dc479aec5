// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab map`: physical memory as a picture.

use super::cell::{self, Named};
use super::output::{self, Output};
use super::{CommandError, DONE, warn, what_if};
use crate::baseline::cell_name;
use crate::cli::{Global, Map};
use crate::options;
use crate::owner::Owners;
use crate::picture::Picture;
use crate::protocol::Want;
use crate::record::CellRecord;
use crate::report::WIDTH;
use crate::state::State;
use crate::summary::Word;
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::ptdump::Dump;
use terminal_size::{Width, terminal_size_of};

pub(super) fn map(global: &Global, asked: &Map) -> Result<u8, CommandError> {
    let output = asked.svg.as_deref().map(|path| Output::open(Some(path))).transpose()?;
    let picture = match &asked.strategy {
        Some(strategy) => after_boot(global, asked, strategy)?,
        None => of_machine(global, asked)?,
    };
    match output {
        Some(output) => output.write(&picture.svg())?,
        None => output::print(&picture.bar(width()))?,
    }
    Ok(DONE)
}

fn of_machine(global: &Global, asked: &Map) -> Result<Picture, CommandError> {
    let sources = cell::sources(&asked.layout)?;
    let machine = &cell::one_machine(&asked.layout, &sources)?.machine;
    let own = machine.backends().first().copied().unwrap_or(Backend::Native);
    let backend = asked.backend.map_or(own, Backend::from);
    let layout = what_if::on(global, machine, backend, &asked.what_if)?;
    warn(global, &sources);
    let title = format!("{}@{}", layout.name, layout.backend.name());
    Ok(Picture::new(title, &layout, &Owners::new(&layout, None).ranges(), None))
}

fn after_boot(global: &Global, asked: &Map, strategy: &str) -> Result<Picture, CommandError> {
    let named = Named {
        strategy: strategy.to_owned(),
        layout: asked.layout.clone(),
        backend: asked.backend,
        what_if: asked.what_if.clone(),
        chosen: options::chosen(&asked.settings, &[strategy.to_owned()])?,
    };
    let (reply, layout): (_, Layout) = cell::run_with_layout(global, &named, Want::State)?;
    let name = cell_name(&reply.record);
    let state: State = serde_json::from_str(cell::shown(&reply, "tables")?)?;
    let dump = Dump::parse(&state.dump).map_err(|error| CommandError::Ours { cell: name, text: error.to_string() })?;
    let title = format!("{}: {}", cell_name(&reply.record), ending(&reply.record));
    Ok(Picture::new(title, &layout, &state.owners, Some(&dump)))
}

fn ending(record: &CellRecord) -> String {
    let word = Word::of(record.verdict);
    match (&record.stage, &record.text) {
        (Some(stage), Some(text)) => format!("{word} in {stage}: {text}"),
        _ => word.to_string(),
    }
}

/// How many columns there are: those of the terminal, [`WIDTH`] where there is none.
fn width() -> usize {
    terminal_size_of(std::io::stdout()).map_or(WIDTH, |(Width(columns), _)| usize::from(columns))
}
