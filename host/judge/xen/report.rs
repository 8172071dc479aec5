// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Xen said of the cells: a table for a terminal, or a record a line.

use super::cells::{Finding, Judged, Parting};
use super::firmware::AS_IT_IS;
use crate::judge::standing::{Cell, Standing};
use crate::report::{count, json, thousands, written};
use pgtlab_core::ops::OpsEnd;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// Cells that part from the prediction which are shown in full.
const MOST_PARTINGS: usize = 3;

/// What is reported.
#[derive(Clone, Copy, Debug)]
pub struct Report<'c> {
    /// What Xen and QEMU say of themselves.
    pub engines: &'c str,
    /// The cells, sorted.
    pub cells: &'c [Cell<Judged>],
    /// How long it took.
    pub elapsed: Duration,
}

/// A strategy's cells, counted.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    n_boots: u64,
    n_dies: u64,
    n_parts: u64,
    n_not_judged: u64,
    n_failed: u64,
}

#[derive(Serialize)]
struct Record<'c> {
    schema: u32,
    strategy: &'c str,
    layout: &'c str,
    backend: &'static str,
    judge: &'static str,
    finding: &'static str,
    text: Option<String>,
    operations: usize,
    requests: usize,
    tables: u64,
    leaves: u64,
    leaves_left_out: u64,
    e820: Option<&'c str>,
}

impl Report<'_> {
    /// Whether Xen agrees on every cell that it was asked about; none if one could not be asked, or none was.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        let n_judged = self.judged().count();
        if self.judged().any(|(_, judged)| judged.finding != Finding::Agrees) {
            return Some(false);
        }
        (0 < n_judged && !self.cells.iter().any(Cell::has_failed)).then_some(true)
    }

    fn judged(&self) -> impl Iterator<Item = (&Cell<Judged>, &Judged)> {
        self.cells.iter().filter_map(|cell| Some((cell, cell.judged()?)))
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        written(|out| self.write(out))
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let (mut n_ops, mut n_requests, mut n_leaves, mut n_left_out) = (0, 0, 0, 0);
        for (_, judged) in self.judged() {
            n_ops += judged.n_ops;
            n_requests += judged.n_requests;
            n_leaves += judged.scale.n_leaves;
            n_left_out += judged.scale.n_left_out;
        }
        let number = |n: usize| thousands(n as u64);
        let (n_cells, seconds) = (count(self.judged().count(), "cell", "cells"), self.elapsed.as_secs_f64());
        writeln!(out, "{}", self.engines)?;
        writeln!(out, "{n_cells}, {} operations as {} requests, {seconds:.1} s\n", number(n_ops), number(n_requests))?;
        self.write_rows(out)?;
        writeln!(
            out,
            "\nEvery frame that is a table at some time has one of the guest's to itself, other memory shares one;"
        )?;
        let (left_out, leaves) = (thousands(n_left_out), thousands(n_leaves));
        writeln!(out, "{left_out} of {leaves} leaves to memory that nobody looks at again were left out.")?;
        self.write_maps(out)?;
        self.write_partings(out)?;
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for cell in self.cells {
            match &cell.standing {
                Standing::Judged(_) => {}
                Standing::NotJudged(why) => *reasons.entry(format!("not judged: {why}")).or_default() += 1,
                Standing::Failed(why) => *reasons.entry(format!("failed: {why}")).or_default() += 1,
            }
        }
        for (why, n) in reasons {
            writeln!(out, "{}: {why}", count(n, "cell", "cells"))?;
        }
        Ok(())
    }

    fn write_rows(&self, out: &mut String) -> fmt::Result {
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        for cell in self.cells {
            let row = rows.entry(&cell.strategy).or_default();
            match &cell.standing {
                Standing::NotJudged(_) => row.n_not_judged += 1,
                Standing::Failed(_) => row.n_failed += 1,
                Standing::Judged(judged) => match (&judged.finding, &judged.end) {
                    (Finding::Parts(_) | Finding::OtherMap(_), _) => row.n_parts += 1,
                    (Finding::Agrees, OpsEnd::Completed) => row.n_boots += 1,
                    (Finding::Agrees, OpsEnd::Broken { .. }) => row.n_dies += 1,
                },
            }
        }
        let width = rows.keys().map(|name| name.chars().count()).max().unwrap_or(0).max("strategy".len());
        writeln!(out, "{:width$}  Xen agrees that it", "")?;
        writeln!(out, "{:width$}  boots   dies   parts  not judged  failed", "strategy")?;
        for (name, row) in rows {
            let Row { n_boots, n_dies, n_parts, n_not_judged, n_failed } = row;
            writeln!(out, "{name:width$}  {n_boots:5}  {n_dies:5}  {n_parts:6}  {n_not_judged:10}  {n_failed:6}")?;
        }
        Ok(())
    }

    /// How the memory maps were scaled that Xen found.
    fn write_maps(&self, out: &mut String) -> fmt::Result {
        let maps = self.judged().filter_map(|(cell, judged)| Some((&*cell.layout, judged.map.as_deref()?)));
        let maps: BTreeMap<&str, &str> = maps.collect();
        let scaled: Vec<_> = maps.iter().filter(|(_, map)| **map != AS_IT_IS).collect();
        if maps.is_empty() {
            return Ok(());
        }
        let (n_same, n_scaled) = (maps.len() - scaled.len(), scaled.len());
        let machines = count(maps.len(), "machine", "machines");
        writeln!(out, "The e820 before Xen is the layout's own: {machines}, {n_same} as it is, {n_scaled} scaled.")?;
        scaled.into_iter().try_for_each(|(layout, map)| writeln!(out, "  {layout} {map}"))
    }

    fn write_partings(&self, out: &mut String) -> fmt::Result {
        let partings = self.judged().filter_map(|(cell, judged)| match &judged.finding {
            Finding::Parts(parting) => Some((cell, parting_text(parting))),
            Finding::OtherMap(difference) => Some((cell, format!("  the e820 {difference}\n"))),
            Finding::Agrees => None,
        });
        let partings: Vec<(&Cell<Judged>, String)> = partings.collect();
        for (cell, text) in partings.iter().take(MOST_PARTINGS) {
            write!(out, "\n{} parts from the prediction:\n{text}", cell.name())?;
        }
        for (cell, _) in partings.iter().skip(MOST_PARTINGS) {
            writeln!(out, "{} parts too", cell.name())?;
        }
        match partings.len() {
            0 => writeln!(out, "\nevery answer of Xen's is the predicted one"),
            n => writeln!(out, "\n{}", if n == 1 { "1 cell parts".to_owned() } else { format!("{n} cells part") }),
        }
    }

    /// One record a line.
    ///
    /// # Errors
    /// A record cannot be written as JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        json::lines(self.cells.iter().map(|cell| {
            let (finding, text, judged) = match &cell.standing {
                Standing::Judged(judged) => match &judged.finding {
                    Finding::Agrees => ("agrees", None, Some(judged)),
                    Finding::Parts(parting) => ("parts", Some(parting_text(parting)), Some(judged)),
                    Finding::OtherMap(difference) => ("parts", Some(format!("the e820 {difference}")), Some(judged)),
                },
                Standing::NotJudged(why) => ("not-judged", Some(why.clone()), None),
                Standing::Failed(why) => ("failed", Some(why.clone()), None),
            };
            let scale = judged.map(|judged| judged.scale).unwrap_or_default();
            Record {
                schema: 1,
                strategy: &cell.strategy,
                layout: &cell.layout,
                backend: "xen",
                judge: "xen",
                finding,
                text,
                operations: judged.map_or(0, |judged| judged.n_ops),
                requests: judged.map_or(0, |judged| judged.n_requests),
                tables: scale.n_tables,
                leaves: scale.n_leaves,
                leaves_left_out: scale.n_left_out,
                e820: judged.and_then(|judged| judged.map.as_deref()),
            }
        }))
    }
}

/// Operation, page and both answers.
fn parting_text(parting: &Parting) -> String {
    let mut out = String::new();
    let Parting { op, request, predicted, answered, history } = parting;
    let place = op.as_ref().map_or_else(
        || "  among the boot tables".to_owned(),
        |(number, op)| format!("  operation {}: {op}", number + 1),
    );
    let _ = writeln!(out, "{place}\n  asked       {request}\n  predicted   {predicted}\n  Xen         {answered}");
    if !history.is_empty() {
        out += "  the page before:\n";
    }
    for (number, op) in history {
        let _ = writeln!(out, "    {}: {op}", number + 1);
    }
    out
}
