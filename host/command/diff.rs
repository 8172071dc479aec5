// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab diff`: two direct maps against each other.

use super::cell::{self, Named};
use super::{CommandError, DONE, output};
use crate::cli::{BackendArg, Diff, Global};
use crate::diff::{Side, render};
use crate::options::{self, Chosen};
use crate::protocol::Want;
use crate::state::State;
use pgtlab_core::ptdump::{Dump, DumpErrorKind};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A dump above this size (in bytes) is not read; that of a kernel with every area has a few MiB.
const MAX_DUMP_BYTES: u64 = 64 << 20;

pub(super) fn diff(global: &Global, asked: &Diff) -> Result<u8, CommandError> {
    let mut sides = [typed_side(asked, &asked.a)?, typed_side(asked, &asked.b)?];
    let cells = || sides.iter().filter_map(Option::as_ref);
    let strategies: Vec<String> = cells().map(|cell| cell.strategy.clone()).collect();
    let chosen = options::chosen(&asked.settings, &strategies)?;
    sides.iter_mut().flatten().for_each(|cell| cell.chosen.clone_from(&chosen));
    let side = |cell: &Option<Named>, typed: &str| match cell {
        Some(cell) => of_cell(global, cell),
        None => of_file(typed),
    };
    let (before, after) = (side(&sides[0], &asked.a)?, side(&sides[1], &asked.b)?);
    output::print(&render(&before, &after))?;
    Ok(DONE)
}

/// The cell that is meant, or none if a file is.
fn typed_side(asked: &Diff, typed: &str) -> Result<Option<Named>, CommandError> {
    Ok(Some(match (&asked.strategy, &asked.layout) {
        // A pipe too, as the shell's <(..) is one.
        (None, None) if Path::new(typed).exists() && !Path::new(typed).is_dir() => return Ok(None),
        (None, None) => parse_cell(typed, asked).ok_or_else(|| CommandError::NoSide { typed: typed.to_owned() })?,
        (Some(strategy), _) => named(asked, strategy, typed, asked.backend),
        (None, Some(layout)) => named(asked, typed, layout, asked.backend),
    }))
}

fn named(asked: &Diff, strategy: &str, layout: &str, backend: Option<BackendArg>) -> Named {
    let (strategy, layout) = (strategy.to_owned(), layout.to_owned());
    Named { strategy, layout, backend, what_if: asked.what_if.clone(), chosen: Chosen::default() }
}

/// Reads `STRATEGY/LAYOUT@BACKEND`. A strategy's name has no slash, so a layout may be a path.
fn parse_cell(typed: &str, asked: &Diff) -> Option<Named> {
    let (strategy, layout) = typed.split_once('/')?;
    let ends = [("@native", BackendArg::Native), ("@xen", BackendArg::Xen)];
    let stated = ends.into_iter().find_map(|(end, backend)| Some((layout.strip_suffix(end)?, backend)));
    let (layout, backend) = stated.map_or((layout, asked.backend), |(layout, backend)| (layout, Some(backend)));
    let is_named = !strategy.is_empty() && !layout.is_empty();
    is_named.then(|| named(asked, strategy, layout, backend))
}

fn of_cell(global: &Global, named: &Named) -> Result<Side, CommandError> {
    let reply = cell::run(global, named, Want::State)?;
    let state: State = serde_json::from_str(cell::shown(&reply, "tables")?)?;
    cell::warn_of_death(global, &reply.record);
    let name = crate::baseline::cell_name(&reply.record);
    let dump =
        Dump::parse(&state.dump).map_err(|error| CommandError::Ours { cell: name.clone(), text: error.to_string() })?;
    Ok(Side::new(name, &dump, state.owners))
}

fn of_file(place: &str) -> Result<Side, CommandError> {
    let unreadable = |source: io::Error| CommandError::Dump { place: place.to_owned(), why: source.to_string() };
    let mut bytes = Vec::new();
    File::open(place).map_err(unreadable)?.take(MAX_DUMP_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if MAX_DUMP_BYTES < bytes.len() as u64 {
        let why = format!("it has more than {MAX_DUMP_BYTES} bytes, the most for a page_tables dump");
        return Err(CommandError::Dump { place: place.to_owned(), why });
    }
    let dump = Dump::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        let why = match error.kind {
            DumpErrorKind::NoRange => error.kind.to_string(),
            _ => error.to_string(),
        };
        CommandError::Dump { place: place.to_owned(), why }
    })?;
    Ok(Side::new(place.to_owned(), &dump, Vec::new()))
}
