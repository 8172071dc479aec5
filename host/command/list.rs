// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab list`: what can be run.

use super::import::size;
use super::{CommandError, DONE, output};
use crate::corpus;
use crate::discover::{self, Origin};
use crate::input::{Machine, NoCell};
use crate::report::wrapped;
use pgtlab_core::layout::Backend;
use std::fmt::Write;

pub(super) fn list() -> Result<u8, CommandError> {
    let strategies = discover::resolve(&[])?;
    let sources = corpus::select(&[])?;
    let left_out = discover::search()?.left_out;
    let mut out = String::from("strategies\n");
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    for strategy in &strategies {
        let aliases = &strategy.description.aliases;
        let aliases = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
        line(format!("  {}{aliases}", strategy.name));
        line(format!("      {}", wrapped(&strategy.description.summary, 6, 6)));
        if strategy.origin != Origin::Tree {
            line(format!("      from {}, by {}", strategy.plugin.display(), strategy.origin));
        }
    }
    let of_tree = strategies.iter().find(|strategy| strategy.origin == Origin::Tree);
    if let Some(folder) = of_tree.and_then(|strategy| strategy.plugin.parent()) {
        line(format!("those without a place are from {}", folder.canonicalize().unwrap_or_default().display()));
    }
    for error in left_out {
        line(format!("left out: {error}"));
    }
    line(format!("\n{:47}{:>11}  cells", "machines", "RAM"));
    for source in &sources {
        let (ram, cells) = facts(&source.machine);
        let name = source.machine.name();
        line(format!("  {name:45}{ram:>11}  {cells}"));
        if source.stem != name {
            line(format!("      also {}", source.stem));
        }
    }
    line("\n(Xen): skipped, there is no room for Xen's boot objects; 32-bit: run as 64-bit".to_owned());
    output::print(&out)?;
    Ok(DONE)
}

/// How much RAM it has, and which cells it makes.
fn facts(machine: &Machine) -> (String, String) {
    let mut cells = Vec::new();
    for &backend in machine.backends() {
        match machine.on(backend) {
            Ok(_) => cells.push(if backend == Backend::Xen { "Xen" } else { "native" }),
            Err(NoCell::Skipped(_)) => cells.push("(Xen)"),
            Err(NoCell::OtherBackend(_)) => {}
        }
    }
    (size(machine.ram_bytes()), cells.join(" ") + if machine.is_32_bit() { " 32-bit" } else { "" })
}
