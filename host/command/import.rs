// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab import`: from a boot log to a layout file.

use super::{CommandError, DONE, output};
use crate::cli::Global;
use crate::corpus;
use crate::input::Machine;
use crate::report::count;
use pgtlab_core::layout::{Backend, Layout};
use std::io::stdin;

pub(super) fn import(global: &Global, xen: bool, log: &str) -> Result<u8, CommandError> {
    let machine = read(log)?;
    let own = machine.backends().first().copied().unwrap_or(Backend::Native);
    let backend = if xen { Backend::Xen } else { own };
    let layout = machine.on(backend).map_err(|why| CommandError::NoCell {
        layout: machine.name().to_owned(),
        backend: backend.name(),
        why: why.to_string(),
    })?;
    output::print(&layout.render())?;
    if !global.quiet {
        tell(&machine, &layout, !xen && own == Backend::Xen);
    }
    Ok(DONE)
}

fn read(log: &str) -> Result<Machine, CommandError> {
    if log == "-" {
        return Ok(Machine::from_reader(stdin().lock(), "standard input", "stdin")?);
    }
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
fn tell(machine: &Machine, layout: &Layout, is_xen_anyway: bool) {
    let ram = size(layout.e820.ram_bytes());
    let ranges = count(layout.e820.entries().len(), "range", "ranges");
    match machine {
        Machine::Layout(_) => anstream::eprintln!("{}: a layout file; {ranges}, {ram} of RAM", layout.name),
        Machine::Log { log, name } => {
            let maps = count(log.maps().len(), "memory map", "memory maps");
            let first = log.first_map().and_then(|map| map.entries.first()).map_or(0, |entry| entry.line);
            anstream::eprintln!(
                "{name}: a {} log with {maps}; from the one at line {first}: {ranges}, {ram} of RAM",
                log.kind()
            );
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

/// Bytes in MiB, or in GiB with one decimal where there is one GiB or more.
pub(super) fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    if bytes < GIB {
        return format!("{} MiB", (bytes + (1 << 19)) >> 20);
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(GIB) / 2) / u128::from(GIB);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}
