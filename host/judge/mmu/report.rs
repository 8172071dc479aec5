// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a processor said of many cells, as text and as JSON lines.

use super::Judged;
use super::session::Sitting;
use crate::judge::standing::{Cell, Standing};
use crate::report::{count, json, thousands, written};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

/// Differences of one cell that are told.
const MOST_DIFFERENCES: usize = 8;
/// Cells that are listed for one reason unless all are wanted.
const MOST_CELLS: usize = 6;

fn differs(cell: &Cell<Judged>) -> bool {
    cell.judged().is_some_and(|judged| !judged.differences.is_empty())
}

/// The same cell with write protection off, which must disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    cell: String,
    /// How many pages differ, of how many, or why it says nothing.
    outcome: Result<(usize, u64), String>,
}

impl Control {
    /// Of a cell.
    #[must_use]
    pub fn new(cell: String, standing: Standing<Judged>) -> Self {
        let outcome = match standing {
            Standing::Judged(judged) => Ok((judged.differences.len(), judged.n_pages)),
            Standing::NotJudged(why) | Standing::Failed(why) => Err(why),
        };
        Self { cell, outcome }
    }

    /// Why nothing that was judged counts, if it does not.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match &self.outcome {
            Ok((0, _)) => Some(format!("{} agrees with write protection off: nothing was judged at all", self.cell)),
            Ok(_) => None,
            Err(_) => Some(self.to_string()),
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cell, outcome } = self;
        match outcome {
            Ok((n, of)) => write!(f, "{cell}: {n} of {of} pages differ with write protection off, as they must"),
            Err(why) => write!(f, "{cell} with write protection off: {why}"),
        }
    }
}

/// All of it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'r> {
    /// What each engine said.
    pub sittings: &'r [Sitting<'r>],
    /// How long it took in all.
    pub elapsed: Duration,
}

/// Cells and pages, added up.
#[derive(Default)]
struct Totals {
    n_agree: usize,
    n_differ: usize,
    n_pages: u64,
    n_tables: usize,
    n_placed: usize,
}

impl Sitting<'_> {
    /// Whether the processor agrees with the walker wherever it was asked, and disagreed where it had to; `None` if
    /// something failed.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        if self.cells.iter().any(Cell::has_failed) {
            return None;
        }
        let control = match self.control.as_ref().map(|control| &control.outcome) {
            Some(Err(_)) => return None,
            Some(Ok((n, _))) => 0 < *n,
            None => true,
        };
        Some(control && !self.cells.iter().any(differs))
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for cell in &self.cells {
            let Some(judged) = cell.judged() else { continue };
            *(if differs(cell) { &mut totals.n_differ } else { &mut totals.n_agree }) += 1;
            totals.n_pages += judged.n_pages;
            totals.n_tables += judged.n_tables;
            totals.n_placed += judged.n_placed;
        }
        totals
    }

    fn write(&self, out: &mut String, elapsed: Duration, shows_all: bool) -> fmt::Result {
        let totals = self.totals();
        writeln!(out, "judge    {}", self.engine.description())?;
        writeln!(out, "         {}", self.engine.walk().text())?;
        self.engine.evidence().map_or(Ok(()), |evidence| writeln!(out, "         ({evidence})"))?;
        writeln!(
            out,
            "judged   {}, {} pages read, written and executed, {} table pages",
            count(totals.n_agree + totals.n_differ, "cell", "cells"),
            thousands(totals.n_pages),
            thousands(totals.n_tables as u64),
        )?;
        if 0 < totals.n_placed {
            let n = thousands(totals.n_placed as u64);
            writeln!(out, "         {n} of the tables lie where only Xen knows, and were given frames of their own")?;
        }
        let (taken, in_all) = (self.taken.as_secs_f64(), elapsed.as_secs_f64());
        writeln!(
            out,
            "took     {taken:.1} s before this judge, added up over all that ran at once; {in_all:.1} s in all"
        )?;
        writeln!(out, "agree    {}", count(totals.n_agree, "cell", "cells"))?;
        writeln!(out, "differ   {}", count(totals.n_differ, "cell", "cells"))?;
        match (&self.control, self.control.as_ref().and_then(Control::fault)) {
            (None, _) => writeln!(out, "control  none: no page of these cells is mapped read-only")?,
            (Some(_), Some(fault)) => writeln!(out, "control  {fault}")?,
            (Some(control), None) => writeln!(out, "control  {control}")?,
        }
        for (cell, judged) in self.cells.iter().filter_map(|cell| Some((cell, cell.judged()?))) {
            if judged.differences.is_empty() {
                continue;
            }
            writeln!(out, "\n{}: {}", cell.name(), count(judged.differences.len(), "difference", "differences"))?;
            judged.differences.iter().take(MOST_DIFFERENCES).try_for_each(|found| writeln!(out, "  {found}"))?;
        }
        let failed = |cell: &Cell<Judged>| match &cell.standing {
            Standing::Failed(why) => Some(why.clone()),
            _ => None,
        };
        let skipped = |cell: &Cell<Judged>| match &cell.standing {
            Standing::NotJudged(why) => Some(why.clone()),
            _ => None,
        };
        self.write_reasons(out, "failed", failed, shows_all)?;
        self.write_reasons(out, "not judged", skipped, shows_all)
    }

    fn write_reasons(
        &self,
        out: &mut String,
        what: &str,
        why: impl Fn(&Cell<Judged>) -> Option<String>,
        shows_all: bool,
    ) -> fmt::Result {
        let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for cell in &self.cells {
            if let Some(why) = why(cell) {
                by_reason.entry(why).or_default().push(cell.name());
            }
        }
        for (why, cells) in by_reason {
            writeln!(out, "\n{what}: {why}: {}", count(cells.len(), "cell", "cells"))?;
            let n = if shows_all { cells.len() } else { MOST_CELLS };
            cells.iter().take(n).try_for_each(|cell| writeln!(out, "  {cell}"))?;
            if n < cells.len() {
                writeln!(out, "  ... {} more (--all)", cells.len() - n)?;
            }
        }
        Ok(())
    }

    fn json(&self) -> Result<String, serde_json::Error> {
        let engine = self.engine.name();
        let described = EngineRecord {
            schema: SCHEMA,
            engine,
            description: self.engine.description(),
            walks: self.engine.walk().name(),
            evidence: self.engine.evidence(),
        };
        let control = self.control.as_ref().map(|Control { cell, outcome }| {
            let (differences, pages) = outcome.as_ref().map_or((None, None), |(n, of)| (Some(*n), Some(*of)));
            ControlRecord { schema: SCHEMA, control: cell, differences, pages, text: outcome.as_ref().err(), engine }
        });
        let cells = self.cells.iter().map(|cell| cell_record(engine, cell));
        Ok(json::lines([described])? + &json::lines(cells)? + &json::lines(control)?)
    }
}

impl Report<'_> {
    /// Whether every engine agrees, as [`Sitting::agrees`] says; `None` if something failed.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        self.sittings.iter().try_fold(true, |all, sitting| sitting.agrees().map(|agrees| all && agrees))
    }

    /// For people.
    #[must_use]
    pub fn text(&self, shows_all: bool) -> String {
        let one = |sitting: &Sitting<'_>| written(|out| sitting.write(out, self.elapsed, shows_all));
        self.sittings.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    /// For programs: for each engine a line for it, a line a cell, and one for the control.
    ///
    /// # Errors
    /// None that text and numbers can have.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        self.sittings.iter().map(Sitting::json).collect()
    }
}

const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct EngineRecord<'r> {
    schema: u32,
    engine: &'r str,
    description: &'r str,
    /// Whose tables its processor walks: `tables`, `shadow`, `emulated` or `unknown`.
    walks: &'r str,
    evidence: Option<&'r str>,
}

#[derive(Serialize)]
struct Record<'r> {
    schema: u32,
    strategy: &'r str,
    layout: &'r str,
    backend: &'r str,
    judgement: &'r str,
    text: Option<&'r str>,
    pages: u64,
    tables: usize,
    placed: usize,
    differences: Vec<String>,
    engine: &'r str,
}

#[derive(Serialize)]
struct ControlRecord<'r> {
    schema: u32,
    control: &'r str,
    differences: Option<usize>,
    pages: Option<u64>,
    text: Option<&'r String>,
    engine: &'r str,
}

fn cell_record<'r>(engine: &'r str, cell: &'r Cell<Judged>) -> Record<'r> {
    let Cell { strategy, layout, backend, standing } = cell;
    let (judgement, text) = match standing {
        Standing::Judged(judged) if judged.differences.is_empty() => ("agrees", None),
        Standing::Judged(_) => ("differs", None),
        Standing::NotJudged(why) => ("skipped", Some(&**why)),
        Standing::Failed(why) => ("error", Some(&**why)),
    };
    let judged = cell.judged();
    Record {
        schema: SCHEMA,
        strategy,
        layout,
        backend: backend.name(),
        judgement,
        text,
        pages: judged.map_or(0, |judged| judged.n_pages),
        tables: judged.map_or(0, |judged| judged.n_tables),
        placed: judged.map_or(0, |judged| judged.n_placed),
        differences: judged
            .map_or_else(Vec::new, |judged| judged.differences.iter().map(ToString::to_string).collect()),
        engine,
    }
}
