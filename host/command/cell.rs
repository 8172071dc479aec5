// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands about one cell: `trace`, `ops`, `dump`, `explain`.

use super::output::{self, Output};
use super::{CommandError, DONE, FAILED, limits, warn, what_if};
use crate::baseline::cell_name;
use crate::cli::{BackendArg, Cell, Explain, Global};
use crate::corpus::{self, Source};
use crate::explain as explanation;
use crate::matrix;
use crate::options::{self, Chosen};
use crate::protocol::{Reply, Request, Want};
use crate::record::{CellRecord, Verdict};
use crate::spawn::run_cell;
use crate::whatif::WhatIf;
use pgtlab_core::layout::{Backend, Layout};
use std::path::Path;

pub(super) fn trace(global: &Global, cell: &Cell) -> Result<u8, CommandError> {
    let reply = run(global, &Named::new(cell)?, Want::Trace)?;
    output::print(shown(&reply, "trace")?)?;
    Ok(DONE)
}

pub(super) fn ops(global: &Global, cell: &Cell, out: Option<&Path>) -> Result<u8, CommandError> {
    let output = Output::open(out)?;
    let reply = run(global, &Named::new(cell)?, Want::Ops)?;
    output.write(shown(&reply, "operations")?)?;
    Ok(DONE)
}

pub(super) fn dump(global: &Global, cell: &Cell, physical: bool) -> Result<u8, CommandError> {
    let reply = run(global, &Named::new(cell)?, if physical { Want::DumpPhysical } else { Want::Dump })?;
    let text = shown(&reply, "dump")?;
    // The last line is the verdict (see `crate::answer`).
    let end_of_dump = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let (dump, verdict) = text.split_at(end_of_dump);
    output::print(dump)?;
    if !global.quiet && !reply.record.options.is_empty() {
        anstream::eprintln!("note: this is {}", cell_name(&reply.record));
    }
    warn_of_death(global, &reply.record);
    anstream::eprint!("{verdict}");
    Ok(DONE)
}

pub(super) fn explain(global: &Global, asked: &Explain) -> Result<u8, CommandError> {
    let want = match asked.at {
        Some(address) => Want::Page(address),
        None if asked.reserved => Want::Reserved,
        None => Want::Explain,
    };
    let (reply, layout) = run_with_layout(global, &Named::new(&asked.cell)?, want)?;
    let end = layout.geometry.addr(layout.geometry.end_of_map()).get();
    if let Some(address) = asked.at.filter(|address| end <= *address) {
        return Err(CommandError::NoPage { address, end });
    }
    let render = if want == Want::Explain { explanation::render } else { explanation::render_part };
    output::print(&render(&reply.record, &reply.text))?;
    Ok(if reply.record.verdict == Verdict::Error { FAILED } else { DONE })
}

/// Says that a boot died in the build, so that its tables are not those of a kernel that runs.
pub(super) fn warn_of_death(global: &Global, record: &CellRecord) {
    if !global.quiet && record.measures.is_none() {
        let (stage, text) = (record.stage.as_deref().unwrap_or_default(), record.text.as_deref().unwrap_or_default());
        anstream::eprintln!("note: this boot died in {stage}: {text}; these are its tables as they stood then");
    }
}

/// A cell as it was typed.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) strategy: String,
    pub(super) layout: String,
    pub(super) backend: Option<BackendArg>,
    pub(super) what_if: WhatIf,
    pub(super) chosen: Chosen,
}

impl Named {
    fn new(cell: &Cell) -> Result<Self, CommandError> {
        Ok(Self {
            chosen: options::chosen(&cell.settings, std::slice::from_ref(&cell.strategy))?,
            strategy: cell.strategy.clone(),
            layout: cell.layout.clone(),
            backend: cell.backend,
            what_if: cell.what_if.clone(),
        })
    }
}

/// Runs the one cell that is meant.
pub(super) fn run(global: &Global, cell: &Named, want: Want) -> Result<Reply, CommandError> {
    run_with_layout(global, cell, want).map(|(reply, _)| reply)
}

/// The machines that are meant by a word.
pub(super) fn sources(typed: &str) -> Result<Vec<Source>, CommandError> {
    Ok(corpus::select(&[typed.to_owned()])?)
}

/// The one machine that is meant.
pub(super) fn one_machine<'s>(typed: &str, sources: &'s [Source]) -> Result<&'s Source, CommandError> {
    one(typed, "layouts", sources, |source| source.machine.name())
}

/// Runs the one cell that is meant; gives its layout too.
pub(super) fn run_with_layout(global: &Global, cell: &Named, want: Want) -> Result<(Reply, Layout), CommandError> {
    let contestants = matrix::contestants(std::slice::from_ref(&cell.strategy), &cell.chosen)?;
    let contestant = one(&cell.strategy, "strategies", &contestants, |contestant| &contestant.name)?;
    let sources = sources(&cell.layout)?;
    let machine = &one_machine(&cell.layout, &sources)?.machine;
    let own = machine.backends().first().copied().unwrap_or(Backend::Native);
    let backend = cell.backend.map_or(own, Backend::from);
    let layout = what_if::on(global, machine, backend, &cell.what_if)?;
    warn(global, &sources);
    let request = Request {
        plugin: contestant.plugin.clone(),
        strategy: contestant.name.clone(),
        options: contestant.options.clone(),
        layout: layout.render(),
        want,
    };
    let mut reply = run_cell(&request, &limits(global))?;
    reply.record.options = contestant.recorded.clone();
    Ok((reply, layout))
}

pub(super) fn one<'a, T>(
    typed: &str,
    what: &'static str,
    found: &'a [T],
    name: impl Fn(&T) -> &str,
) -> Result<&'a T, CommandError> {
    match found {
        [one] => Ok(one),
        many => {
            let names = many.iter().map(|found| name(found).to_owned()).collect();
            Err(CommandError::TooMany { typed: typed.to_owned(), what, names })
        }
    }
}

/// The text that was wanted, if there is one.
pub(super) fn shown<'r>(reply: &'r Reply, what: &'static str) -> Result<&'r str, CommandError> {
    let record: &CellRecord = &reply.record;
    let text = record.text.clone().unwrap_or_default();
    let verdict = match record.verdict {
        Verdict::Error => return Err(CommandError::Ours { cell: cell_name(record), text }),
        _ if !reply.text.is_empty() => return Ok(&reply.text),
        Verdict::Timeout => "did not come to an end",
        _ => "crashed",
    };
    Err(CommandError::NothingToShow { what, cell: cell_name(record), verdict, text })
}
