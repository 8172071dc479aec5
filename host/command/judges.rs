// SPDX-License-Identifier: MIT OR Apache-2.0
//! The judges that a comparison's cells are put before as well.

use super::{CommandError, jobs, limits, progress};
use crate::cli::Global;
use crate::judge::engine::{Unavailable, unless_required};
use crate::judge::mmu::engines::Choice;
use crate::judge::mmu::{Engine, session};
use crate::judge::xen;
use crate::judge::xen::machine::Machine;
use crate::judged::{Judge, Judged};
use crate::matrix::{Contestant, Place};
use pgtlab_core::layout::Backend;
use std::cell::RefCell;

/// RAM of the machine that Xen runs on: some 130,000 tables fit.
pub(super) const XEN_MEMORY_MIB: u64 = 1024;

/// Judges as they were found, before anything is put before them.
pub(super) struct Judges {
    engines: Vec<Engine>,
    /// Xen, and what it says of itself.
    xen: Option<(Machine, String)>,
    missing: Vec<Judge>,
}

impl Judges {
    /// Finds them. One that is missing says so in the report, and is no failure unless `PGTLAB_REQUIRE` names it.
    ///
    /// # Errors
    /// It does, or Xen does not boot.
    pub(super) fn find(choice: Choice) -> Result<Self, CommandError> {
        let missing = RefCell::new(Vec::new());
        let leave_out = |name: &str, why: &Unavailable| missing.borrow_mut().push(Judge::unavailable(name, why));
        let engines = choice.engines(|name, why| leave_out(&format!("MMU/{}", name.to_uppercase()), why))?;
        if choice == Choice::Auto && !engines.is_empty() {
            // Another one stands in for it.
            missing.borrow_mut().clear();
        }
        let xen = unless_required(Machine::find(), "xen", |why| leave_out("Xen", why))?;
        let versioned = |machine: Machine| machine.versions().map(|versions| (machine, versions));
        let xen = xen.map(|machine| versioned(machine.with_memory(XEN_MEMORY_MIB))).transpose()?;
        Ok(Self { engines, xen, missing: missing.into_inner() })
    }

    /// Puts the cells before them.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub(super) fn judge(
        self,
        global: &Global,
        contestants: &[Contestant],
        places: &[Place],
    ) -> Result<Judged, CommandError> {
        let at_once = (jobs(global), &limits(global));
        let mut judges = Vec::new();
        if !self.engines.is_empty() {
            let n_cells = contestants.len() * places.len();
            let bar = progress::bar(n_cells as u64, "cells before a processor", global.quiet);
            let sittings = session::run(&self.engines, contestants, places, at_once, &|| bar.inc(1))?;
            bar.finish_and_clear();
            judges.extend(sittings.iter().map(|sitting| Judge::of_processor(sitting, contestants)));
        }
        if let Some((machine, versions)) = self.xen {
            let is_xen = |place: &&Place| place.backend == Backend::Xen;
            let places: Vec<Place> = places.iter().filter(is_xen).cloned().collect();
            let bar = progress::bar(places.len() as u64, "machines before Xen", global.quiet);
            let cells = xen::session::run(&machine, contestants, &places, at_once, &|| bar.inc(1))?;
            bar.finish_and_clear();
            judges.push(Judge::of_xen(&cells, &versions, contestants));
        }
        judges.extend(self.missing);
        judges.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Judged(judges))
    }
}
