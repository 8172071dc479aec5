// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands about one cell: `trace`, `dump`, `explain`.

use super::{CommandError, DONE, FAILED, limits, output, warn};
use crate::baseline::cell_name;
use crate::cli::{Cell, Global};
use crate::explain as explanation;
use crate::protocol::{Reply, Request, Want};
use crate::record::{CellRecord, Verdict};
use crate::spawn::run_cell;
use crate::{corpus, matrix};
use pgtlab_core::layout::Backend;
use std::io::{IsTerminal, stdout};

pub(super) fn trace(global: &Global, cell: &Cell) -> Result<u8, CommandError> {
    let reply = run(global, cell, Want::Trace)?;
    output::print(shown(&reply, "trace")?)?;
    Ok(DONE)
}

pub(super) fn dump(global: &Global, cell: &Cell, physical: bool) -> Result<u8, CommandError> {
    let reply = run(global, cell, if physical { Want::DumpPhysical } else { Want::Dump })?;
    let text = shown(&reply, "dump")?;
    // The last line is the verdict (see `crate::answer`).
    let end_of_dump = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let (dump, verdict) = text.split_at(end_of_dump);
    output::print(dump)?;
    if !global.quiet && reply.record.measures.is_none() {
        let CellRecord { stage, text, .. } = &reply.record;
        let (stage, text) = (stage.as_deref().unwrap_or_default(), text.as_deref().unwrap_or_default());
        anstream::eprintln!("note: this boot died in {stage}: {text}; these are its tables as they stood then");
    }
    anstream::eprint!("{verdict}");
    Ok(DONE)
}

pub(super) fn explain(global: &Global, cell: &Cell) -> Result<u8, CommandError> {
    let reply = run(global, cell, Want::Explain)?;
    let text = explanation::render(&reply.record, &reply.text);
    output::print(&if stdout().is_terminal() { explanation::for_terminal(&text) } else { text })?;
    Ok(if reply.record.verdict == Verdict::Error { FAILED } else { DONE })
}

/// Runs the one cell that is meant.
fn run(global: &Global, cell: &Cell, want: Want) -> Result<Reply, CommandError> {
    let contestants = matrix::contestants(std::slice::from_ref(&cell.strategy))?;
    let contestant = one(&cell.strategy, "strategies", &contestants, |contestant| &contestant.name)?;
    let sources = corpus::select(std::slice::from_ref(&cell.layout))?;
    let machine = &one(&cell.layout, "layouts", &sources, |source| source.machine.name())?.machine;
    let own = machine.backends().first().copied().unwrap_or(Backend::Native);
    let backend = cell.backend.map_or(own, Backend::from);
    let layout = machine.on(backend).map_err(|why| CommandError::NoCell {
        layout: machine.name().to_owned(),
        backend: backend.name(),
        why: why.to_string(),
    })?;
    warn(global, &sources);
    let request =
        Request { plugin: contestant.plugin.clone(), strategy: contestant.name.clone(), layout: layout.render(), want };
    Ok(run_cell(&request, &limits(global))?)
}

fn one<'a, T>(
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
fn shown<'r>(reply: &'r Reply, what: &'static str) -> Result<&'r str, CommandError> {
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
