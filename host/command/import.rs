// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab import`: from a boot log to a layout file.

use super::{CommandError, DONE, output, what_if};
use crate::cli::{Global, Import};
use crate::corpus;
use crate::input::{InputError, Machine, no_cell};
use crate::live;
use crate::report::count;
use pgtlab_core::bootlog::{Aside, BootLog, Imported, MapStage, Stage};
use pgtlab_core::layout::{Backend, Layout};
use std::collections::BTreeSet;

pub(super) fn import(global: &Global, asked: &Import) -> Result<u8, CommandError> {
    let machine = read(asked)?;
    let own = machine.backends().first().copied().unwrap_or(Backend::Native);
    let backend = if asked.xen { Backend::Xen } else { asked.backend.map_or(own, Backend::from) };
    let by_rules = asked.plain || asked.xen;
    let (before, imported) = match &machine {
        Machine::Log { log, name } if !by_rules => {
            let imported = full(log, name, backend, asked.stage.into())?;
            (imported.layout.clone(), Some(imported))
        }
        _ => (machine.by_rules_on(backend).map_err(|why| CommandError::no_cell(machine.name(), backend, why))?, None),
    };
    let layout = what_if::changed(global, &before, &asked.what_if)?;
    output::print(&layout.render())?;
    if !global.quiet {
        let is_xen_anyway = asked.backend.is_none() && !asked.xen && own == Backend::Xen;
        tell(&machine, &layout, is_xen_anyway, imported.as_ref(), asked.stage.into());
    }
    Ok(DONE)
}

fn full(log: &BootLog, name: &str, backend: Backend, stage: Stage) -> Result<Imported, CommandError> {
    log.import(name, backend, stage).map_err(|fault| CommandError::no_cell(name, backend, no_cell(fault)))
}

fn read(asked: &Import) -> Result<Machine, CommandError> {
    let Some(log) = asked.log.as_deref() else {
        let place = "this machine";
        let text = live::read_machine().map_err(|fault| InputError::Live { place: place.to_owned(), fault })?;
        return Ok(Machine::from_bytes(text.as_bytes(), place, "live")?);
    };
    let mut sources = corpus::select(&[log.to_owned()])?;
    match sources.pop() {
        Some(source) if sources.is_empty() => Ok(source.machine),
        last => {
            let names = sources.iter().chain(&last).map(|source| source.machine.name().to_owned()).collect();
            Err(CommandError::TooMany { typed: log.to_owned(), what: "logs", names })
        }
    }
}

/// Says what was understood.
fn tell(machine: &Machine, layout: &Layout, is_xen_anyway: bool, imported: Option<&Imported>, stage: Stage) {
    let ram = size(layout.e820.ram_bytes());
    let ranges = count(layout.e820.entries().len(), "range", "ranges");
    match machine {
        Machine::Layout(_) => anstream::eprintln!("{}: a layout file; {ranges}, {ram} of RAM", layout.name),
        Machine::Log { log, name } => {
            let maps = count(log.maps().len(), "memory map", "memory maps");
            let used = if imported.is_some() { log.map_of(stage) } else { log.first_map() };
            let first = used.and_then(|map| map.entries.first()).map_or(0, |entry| entry.line);
            anstream::eprintln!(
                "{name}: a {} log with {maps}; from the one at line {first}: {ranges}, {ram} of RAM",
                log.kind()
            );
            if let Some(imported) = imported {
                tell_stages(log);
                tell_taken(log, imported);
            } else {
                anstream::eprintln!(
                    "note: by fixed rules; `--backend {}` takes all that the log says, as other commands do",
                    layout.backend.name()
                );
            }
            if is_xen_anyway {
                anstream::eprintln!("note: a PV guest's memory is Xen's making, so this is its layout under Xen");
            }
            for note in log.notes() {
                let word = if note.kind.is_doubt() { "warning" } else { "note" };
                anstream::eprintln!("{word}: {note}");
            }
        }
    }
}

/// Each map that was printed, by who printed it.
fn tell_stages(log: &BootLog) {
    for map in log.maps() {
        let (Some(first), Some(last)) = (map.entries.first(), map.entries.last()) else { continue };
        let whose = match map.stage {
            MapStage::Hypervisor => "Xen's, of the whole machine",
            MapStage::Bios => "the firmware's",
            MapStage::Xen => "as Xen gave it to the kernel",
            MapStage::User => "the user's, after mem= and memmap=",
            MapStage::SetupData => "with the boot loader's data split off",
            MapStage::Modified => "as the kernel changed it",
        };
        let n = count(map.entries.len(), "range", "ranges");
        anstream::eprintln!("map: lines {} to {}, {n}: {whose}", first.line, last.line);
    }
}

fn tell_taken(log: &BootLog, imported: &Imported) {
    let n_doubts = log.notes().iter().filter(|note| note.kind.is_doubt()).count();
    anstream::eprintln!(
        "taken: {}; assumed: {}; not understood: {}",
        count(imported.taken.len(), "line", "lines"),
        count(imported.assumed.len(), "fact", "facts"),
        count(n_doubts, "line", "lines")
    );
    let taken_facts = || log.facts().iter().filter(|taken| imported.taken.binary_search(&taken.line).is_ok());
    let of_facts: BTreeSet<usize> = taken_facts().map(|taken| taken.line).collect();
    let others: Vec<usize> = imported.taken.iter().filter(|line| !of_facts.contains(line)).copied().collect();
    anstream::eprintln!("taken, of the map and the ramdisk: {}", lines(&others));
    for taken in taken_facts() {
        anstream::eprintln!("taken, line {}: {}", taken.line, taken.fact);
    }
    for whose in Aside::ALL {
        let lines: Vec<usize> =
            imported.asides.iter().filter(|(_, aside)| *aside == whose).map(|(line, _)| *line).collect();
        if !lines.is_empty() {
            anstream::eprintln!("not of the layout, {}: {whose}", self::lines(&lines));
        }
    }
    for assumed in &imported.assumed {
        anstream::eprintln!("assumed: {assumed}");
    }
}

/// `line 3`, or `lines 3-9, 12, 14-15`.
fn lines(lines: &[usize]) -> String {
    let word = if lines.len() == 1 { "line" } else { "lines" };
    format!("{word} {}", runs(lines))
}

/// `3-9, 12, 14-15`.
fn runs(lines: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            _ => runs.push((*line, *line)),
        }
    }
    let shown = |(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    runs.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Bytes in MiB, or in GiB with one decimal where there is one GiB or more.
pub(super) fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    if bytes < GIB {
        return format!("{} MiB", (bytes + (1 << 19)) >> 20);
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(GIB) / 2) / u128::from(GIB);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}
