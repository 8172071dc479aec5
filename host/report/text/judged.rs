// SPDX-License-Identifier: MIT OR Apache-2.0
//! What judges say of the cells: a column for each, what each is, and what it was not asked of.

use super::{FAILED, PLAIN, cut, name_width};
use crate::judged::{Judge, Judged, Tally};
use crate::report::{Report, count, thousands, wrapped};
use std::fmt::{self, Write};

/// Cells on which a judge differs that are shown unless all are asked for.
const MOST_DIFFERING: usize = 6;
/// Reasons why cells are not judged that are told unless all are asked for.
const MOST_REASONS: usize = 3;
/// A judge's columns: cells on which it agrees, on which it differs, and others.
const WIDTHS: [usize; 3] = [7, 8, 4];
const HEADING: &str = "judged, in cells";
/// The widest column of strategies beside three judges.
const MOST_NAME: usize = 23;

/// Writes the table, and a paragraph for each judge.
pub(super) fn write_judged(out: &mut String, report: &Report<'_>, judged: &Judged) -> fmt::Result {
    let width = name_width(report.summary).clamp(HEADING.len(), MOST_NAME);
    let columns: usize = WIDTHS.iter().sum();
    write!(out, "{HEADING:width$}")?;
    judged.0.iter().try_for_each(|judge| write!(out, "{:>columns$}", judge.name))?;
    write!(out, "\n{:width$}", "strategy")?;
    let [agrees, differs, others] = WIDTHS;
    judged.0.iter().try_for_each(|_| write!(out, "{:>agrees$}{:>differs$}{:>others$}", "agrees", "differs", "not"))?;
    writeln!(out)?;
    for line in &report.summary.lines {
        write!(out, "{}", cut(&line.strategy, width))?;
        for judge in &judged.0 {
            write_tally(out, judge.tally(&line.strategy))?;
        }
        writeln!(out)?;
    }
    writeln!(out)?;
    judged.0.iter().try_for_each(|judge| write_judge(out, judge, report.shows_all))
}

fn write_tally(out: &mut String, tally: Option<Tally>) -> fmt::Result {
    let [agrees, differs, others] = WIDTHS;
    match tally {
        None => write!(out, "{:>agrees$}{:>differs$}{:>others$}", "-", "-", "-"),
        Some(tally) => {
            let style = if 0 < tally.differs { FAILED } else { PLAIN };
            let n_others = tally.not_judged + tally.failed;
            write!(out, "{:agrees$}{style}{:differs$}{style:#}{n_others:others$}", tally.agrees, tally.differs)
        }
    }
}

fn write_judge(out: &mut String, judge: &Judge, shows_all: bool) -> fmt::Result {
    let description = match &judge.seated {
        Ok(description) => description.clone(),
        Err(why) => format!("not to be had here: {why}"),
    };
    let name = &judge.name;
    writeln!(out, "{}", wrapped(&format!("{name}: {description}"), 0, 2))?;
    if judge.seated.is_err() {
        return Ok(());
    }
    if let Some(fault) = &judge.fault {
        writeln!(out, "{FAILED}{}{FAILED:#}", wrapped(&format!("  {fault}"), 0, 4))?;
    }
    let reasons = judge.reasons();
    let n = if shows_all { reasons.len() } else { reasons.len().min(MOST_REASONS) };
    let mut told: Vec<String> =
        reasons[..n].iter().map(|(why, n)| format!("{why} ({})", thousands(*n as u64))).collect();
    if n < reasons.len() {
        told.push(format!("{} more", count(reasons.len() - n, "reason", "reasons")));
    }
    if !told.is_empty() {
        writeln!(out, "{}", wrapped(&format!("  not judged: {}", told.join("; ")), 0, 4))?;
    }
    let differing: Vec<(String, &str)> = judge.differing().collect();
    let n = if shows_all { differing.len() } else { differing.len().min(MOST_DIFFERING) };
    for (cell, text) in &differing[..n] {
        writeln!(out, "{FAILED}{}{FAILED:#}", wrapped(&format!("  differs on {cell}: {text}"), 0, 4))?;
    }
    if n < differing.len() {
        writeln!(out, "  ... {} more (--all)", differing.len() - n)?;
    }
    Ok(())
}
