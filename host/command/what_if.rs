// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines as the what-if options leave them, and what is said of it.

use super::CommandError;
use crate::cli::Global;
use crate::corpus::Source;
use crate::input::Machine;
use crate::report::count;
use crate::whatif::{WhatIf, changes};
use pgtlab_core::layout::{Backend, Layout};

/// More machines than this are counted and not shown.
const MOST_SHOWN: usize = 3;

/// The machine on a back end, changed; says what that did to its map.
pub(super) fn on(
    global: &Global,
    machine: &Machine,
    backend: Backend,
    what_if: &WhatIf,
) -> Result<Layout, CommandError> {
    let before = machine.on(backend).map_err(|why| CommandError::no_cell(machine.name(), backend, why))?;
    changed(global, &before, what_if)
}

/// The layout, changed; says what that did to its map.
pub(super) fn changed(global: &Global, before: &Layout, what_if: &WhatIf) -> Result<Layout, CommandError> {
    let after = what_if.apply(before).map_err(|why| CommandError::no_cell(&before.name, before.backend, why))?;
    tell(global, before, &after, what_if);
    Ok(after)
}

/// Says what the options did to the machines of a comparison.
pub(super) fn tell_all(global: &Global, sources: &[Source], asked: Option<Backend>, what_if: &WhatIf) {
    if what_if.is_nothing() || global.quiet {
        return;
    }
    let mut shown: Vec<(Layout, Layout)> = Vec::new();
    for source in sources {
        let own = source.machine.backends();
        for &backend in asked.as_ref().map_or(own, std::slice::from_ref) {
            let Ok(before) = source.machine.on(backend) else { continue };
            if let Ok(after) = what_if.apply(&before)
                && before != after
            {
                shown.push((before, after));
            }
        }
    }
    if shown.len() <= MOST_SHOWN {
        shown.iter().for_each(|(before, after)| tell(global, before, after, what_if));
    } else {
        anstream::eprintln!("what if: {} changed", count(shown.len(), "machine", "machines"));
    }
}

fn tell(global: &Global, before: &Layout, after: &Layout, what_if: &WhatIf) {
    if what_if.is_nothing() || global.quiet {
        return;
    }
    let name = format!("{}@{}", before.name, before.backend.name());
    if before == after {
        anstream::eprintln!("what if: {name} stays as it is");
    } else {
        anstream::eprint!("what if: {name}, before (-) and after (+)\n{}", changes(before, after));
    }
}
