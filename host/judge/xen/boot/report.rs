// SPDX-License-Identifier: MIT OR Apache-2.0
//! How boots ended: a line for each on a terminal, or a record a line.

use super::Booted;
use crate::judge::standing::{Cell, Standing};
use crate::report::{count, json, written};
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// What is reported.
#[derive(Clone, Copy, Debug)]
pub struct Report<'c> {
    /// What Xen and QEMU say of themselves.
    pub engines: &'c str,
    /// The cells, sorted.
    pub cells: &'c [Cell<Booted>],
    /// How long it took.
    pub elapsed: Duration,
}

#[derive(Serialize)]
struct Record<'c> {
    schema: u32,
    strategy: &'c str,
    layout: &'c str,
    backend: &'static str,
    judge: &'static str,
    finding: &'static str,
    text: Option<&'c str>,
    predicted: Option<&'c str>,
    e820: Option<&'c str>,
    e820_difference: Option<&'c str>,
    requests: usize,
}

impl Report<'_> {
    /// Whether every boot ended as the model's; none if one could not be made, or none was.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        if self.booted().any(|(_, booted)| !booted.is_as_predicted()) {
            return Some(false);
        }
        let has_failed = self.cells.iter().any(Cell::has_failed);
        (self.booted().next().is_some() && !has_failed).then_some(true)
    }

    fn booted(&self) -> impl Iterator<Item = (&Cell<Booted>, &Booted)> {
        self.cells.iter().filter_map(|cell| Some((cell, cell.judged()?)))
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        written(|out| self.write(out))
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let (n, seconds) = (count(self.booted().count(), "boot", "boots"), self.elapsed.as_secs_f64());
        writeln!(out, "{}\n{n} of a guest of ours, {seconds:.1} s", self.engines)?;
        let width = self.cells.iter().map(|cell| cell.strategy.chars().count()).max().unwrap_or_default();
        let mut layout = "";
        for cell in self.cells {
            if cell.layout != layout {
                layout = &cell.layout;
                let map = self.booted().find(|(other, _)| other.layout == layout);
                let map = map.map_or_else(String::new, |(_, booted)| format!(", its e820 before Xen {}", booted.map));
                writeln!(out, "\n{layout}{map}")?;
            }
            write!(out, "  {:width$}  ", cell.strategy)?;
            match &cell.standing {
                Standing::Judged(booted) => write_end(out, booted)?,
                Standing::NotJudged(why) => writeln!(out, "not booted: {why}")?,
                Standing::Failed(why) => writeln!(out, "failed: {why}")?,
            }
        }
        if let [Cell { standing: Standing::Judged(booted), .. }] = self.cells {
            writeln!(out, "\nthe guest's console:")?;
            booted.lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        match self.booted().filter(|(_, booted)| !booted.is_as_predicted()).count() {
            0 => writeln!(out, "\nevery boot ended as the model's"),
            n => writeln!(out, "\n{}", if n == 1 { "1 boot parts".to_owned() } else { format!("{n} boots part") }),
        }
    }

    /// One record a line.
    ///
    /// # Errors
    /// A record cannot be written as JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        json::lines(self.cells.iter().map(|cell| {
            let (finding, text, booted) = match &cell.standing {
                Standing::Judged(booted) => {
                    let finding = if booted.is_as_predicted() { "agrees" } else { "parts" };
                    (finding, &booted.ended, Some(booted))
                }
                Standing::NotJudged(why) => ("not-judged", why, None),
                Standing::Failed(why) => ("failed", why, None),
            };
            Record {
                schema: 1,
                strategy: &cell.strategy,
                layout: &cell.layout,
                backend: "xen",
                judge: "xen-boot",
                finding,
                text: Some(text),
                predicted: booted.map(|booted| &*booted.foretold),
                e820: booted.map(|booted| &*booted.map),
                e820_difference: booted.and_then(|booted| booted.other_map.as_deref()),
                requests: booted.map_or(0, |booted| booted.n_requests),
            }
        }))
    }
}

/// How one ended, and where it parts from the model.
fn write_end(out: &mut String, booted: &Booted) -> fmt::Result {
    writeln!(out, "{}", booted.ended)?;
    if !booted.end.is_as(booted.predicted) {
        writeln!(out, "    PARTS from the model, which {}", booted.foretold)?;
    }
    match &booted.other_map {
        Some(difference) => writeln!(out, "    PARTS: the e820 {difference}"),
        None => Ok(()),
    }
}
