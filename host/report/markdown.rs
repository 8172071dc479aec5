// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report as GitHub tables, for the job summary of a pull request.

use super::{Report, conclusion, count, mib, text, thousands, written};
use crate::baseline::Comparison;
use crate::judged::{Judged, LEGEND};
use crate::summary::{Counts, Group, Row, Summary, Word};
use std::fmt::{self, Write};

/// Rows of one kind that are listed unless all are asked for; the others are counted.
const MOST_ALIKE: usize = 5;
/// Changed cells that are listed unless all are asked for.
const MOST_CHANGES: usize = 200;

/// Renders the report.
#[must_use]
pub fn render(report: &Report<'_>) -> String {
    written(|out| write_report(out, report))
}

fn write_report(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let summary = report.summary;
    writeln!(out, "## pgtlab: which fix boots on which machine\n")?;
    writeln!(out, "**{}**\n", escaped(&conclusion::sentence(summary)))?;
    writeln!(
        out,
        "{}, {}: {} native and {} Xen cells each.",
        count(summary.n_layouts, "layout", "layouts"),
        count(summary.lines.len(), "strategy", "strategies"),
        summary.n_native,
        summary.n_xen
    )?;
    for chosen in report.chosen() {
        writeln!(out, "{}.", escaped(&chosen))?;
    }
    for (why, rows) in &summary.skipped {
        writeln!(out, "{}: {}.", count(rows.len(), "cell is skipped", "cells are skipped"), escaped(why))?;
    }
    if 0 < report.n_32_bit {
        let n = count(report.n_32_bit, "machine", "machines");
        writeln!(out, "{n} with a 32-bit kernel, run as 64-bit.")?;
    }
    if let Some(comparison) = report.comparison {
        write_comparison(out, comparison, report.shows_all)?;
    }
    write_totals(out, summary)?;
    report.judged.map_or(Ok(()), |judged| write_judged(out, summary, judged))?;
    write_groups(out, report)
}

fn write_comparison(out: &mut String, comparison: &Comparison, shows_all: bool) -> fmt::Result {
    writeln!(out, "\n### Differences\n\n{}\n", escaped(&comparison.headline()))?;
    if !comparison.is_different() {
        return Ok(());
    }
    writeln!(out, "| cell | | what changed |\n|---|---|---|")?;
    let n = if shows_all { comparison.changes.len() } else { comparison.changes.len().min(MOST_CHANGES) };
    for change in &comparison.changes[..n] {
        let details: Vec<String> = change.details.iter().map(|detail| escaped(detail)).collect();
        writeln!(
            out,
            "| {} | {} | {} |",
            escaped(&change.cell),
            escaped(&change.difference.to_string()),
            details.join("<br>")
        )?;
    }
    if n < comparison.changes.len() {
        writeln!(out, "\n{} more", comparison.changes.len() - n)?;
    }
    Ok(())
}

fn write_totals(out: &mut String, summary: &Summary) -> fmt::Result {
    write!(out, "\n### Strategies\n\n| strategy | native: boots | dies | Xen: boots | dies | no verdict ")?;
    writeln!(out, "| most left read-only | most room for a crash kernel lost |\n|---|--:|--:|--:|--:|--:|--:|--:|")?;
    for line in &summary.lines {
        let cells = |counts: &Counts| {
            if counts.run() == 0 { "- | -".to_owned() } else { format!("{} | {}", counts.boots, counts.dies) }
        };
        let pages = line.most_left_read_only.map_or_else(|| "-".to_owned(), |n| format!("{} pages", thousands(n)));
        let room = line.most_room_lost_bytes.map_or_else(|| "-".to_owned(), mib);
        let (name, failed) = (escaped(&line.strategy), line.native.failed + line.xen.failed);
        writeln!(out, "| {name} | {} | {} | {failed} | {pages} | {room} |", cells(&line.native), cells(&line.xen))?;
    }
    write!(out, "\n### Rules broken, in cells\n\n| strategy |")?;
    for rule in &summary.rules {
        write!(out, " {} |", escaped(&conclusion::title(rule)))?;
    }
    writeln!(out, "\n|---|{}", "--:|".repeat(summary.rules.len()))?;
    for line in &summary.lines {
        write!(out, "| {} |", escaped(&line.strategy))?;
        for rule in &summary.rules {
            write!(out, " {} |", line.broken.get(rule).map_or_else(|| "-".to_owned(), |n| n.to_string()))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_judged(out: &mut String, summary: &Summary, judged: &Judged) -> fmt::Result {
    write!(out, "\n### Judged, in cells\n\n| strategy |")?;
    judged.0.iter().try_for_each(|judge| write!(out, " {}: agrees | differs | not judged |", escaped(&judge.name)))?;
    writeln!(out, "\n|---|{}", "--:|".repeat(3 * judged.0.len()))?;
    for line in &summary.lines {
        write!(out, "| {} |", escaped(&line.strategy))?;
        for judge in &judged.0 {
            match judge.tally(&line.strategy) {
                Some(tally) => {
                    write!(out, " {} | {} | {} |", tally.agrees, tally.differs, tally.not_judged + tally.failed)?;
                }
                None => write!(out, " - | - | - |")?,
            }
        }
        writeln!(out)?;
    }
    writeln!(out)?;
    for judge in &judged.0 {
        let name = escaped(&judge.name);
        match &judge.seated {
            Ok(description) => writeln!(out, "- {name}: {}", escaped(description))?,
            Err(why) => writeln!(out, "- {name} is not to be had here: {}", escaped(why))?,
        }
        judge.fault.as_ref().map_or(Ok(()), |fault| writeln!(out, "  - {}", escaped(fault)))?;
        for (why, n) in judge.reasons() {
            writeln!(out, "  - not judged: {}: {}", count(n, "cell", "cells"), escaped(why))?;
        }
        for (cell, text) in judge.differing() {
            writeln!(out, "  - differs on {}: {}", escaped(&cell), escaped(text))?;
        }
    }
    Ok(())
}

fn write_groups(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let summary = report.summary;
    if summary.groups.is_empty() {
        return Ok(());
    }
    write!(out, "\n### Where not all boot\n\n| cells | layout |")?;
    for line in &summary.lines {
        write!(out, " {} |", escaped(report.short(&line.strategy)))?;
    }
    writeln!(out, "\n|--:|---|{}", "---|".repeat(summary.lines.len()))?;
    for group in &summary.groups {
        write!(out, "| {} | {} |", group.rows.len(), names(group, report.shows_all))?;
        for (word, line) in group.words.iter().zip(&summary.lines) {
            let mark = report.mark(&line.strategy, group.rows.iter()).text();
            match word {
                Some(word) => write!(out, " {word}{mark} |")?,
                None => write!(out, " - |")?,
            }
        }
        writeln!(out)?;
    }
    writeln!(out)?;
    for word in Word::ALL {
        if word != Word::Ok && summary.groups.iter().any(|group| group.words.contains(&Some(word))) {
            let reasons = summary.reasons.get(&word).map(|reasons| text::reasons_text(reasons)).unwrap_or_default();
            writeln!(out, "- `{word}`: {}", escaped(&format!("{}{reasons}", word.meaning())))?;
        }
    }
    if report.judged.is_some() {
        writeln!(out, "- {LEGEND}")?;
    }
    Ok(())
}

fn names(group: &Group, shows_all: bool) -> String {
    let n = if shows_all { group.rows.len() } else { group.rows.len().min(MOST_ALIKE) };
    let name = |row: &Row| format!("{}@{}", escaped(&row.layout), row.backend);
    let mut names: Vec<String> = group.rows[..n].iter().map(name).collect();
    if n < group.rows.len() {
        names.push(format!("and {} more", group.rows.len() - n));
    }
    names.join("<br>")
}

/// A text as Markdown shows it.
fn escaped(plain: &str) -> String {
    let mut out = String::new();
    for c in plain.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' => out.push_str("<br>"),
            _ => out.push(c),
        }
    }
    out
}
