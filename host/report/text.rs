// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report for a person: tables that fit 80 columns, the differences, and a conclusion.
//!
//! Colour only repeats a word that is printed anyway.

mod judged;
mod rows;

use super::{Report, WIDTH, conclusion, count, mib, thousands, wrapped, written};
use crate::judged::LEGEND;
use crate::summary::{Counts, Line, Summary, Word};
use anstyle::{AnsiColor, Style};
use std::fmt::{self, Write};

/// More reasons than this are not told for one word.
const MOST_REASONS: usize = 3;

/// Renders the report, with the codes for colour in it.
#[must_use]
pub fn render(report: &Report<'_>) -> String {
    written(|out| write_report(out, report))
}

fn write_report(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let summary = report.summary;
    write_heading(out, report)?;
    if !summary.lines.is_empty() {
        writeln!(out)?;
        write_totals(out, summary)?;
        if summary.lines.iter().any(|line| !line.broken.is_empty()) {
            writeln!(out)?;
            write_rules(out, summary)?;
        }
    }
    if !summary.groups.is_empty() {
        writeln!(out)?;
        rows::write_rows(out, report)?;
        writeln!(out)?;
        write_legend(out, summary)?;
        if report.judged.is_some() {
            writeln!(out, "{LEGEND}")?;
        }
    }
    if let Some(judged) = report.judged {
        writeln!(out)?;
        judged::write_judged(out, report, judged)?;
    }
    if let Some(comparison) = report.comparison {
        writeln!(out)?;
        comparison.write_text(out, report.shows_all)?;
    }
    writeln!(out)?;
    writeln!(out, "{}", wrapped(&conclusion::sentence(summary), 0, 0))?;
    if let Some((purpose, command)) = conclusion::next_command(report) {
        let gap = if WIDTH < purpose.len() + 2 + command.len() { "\n  " } else { " " };
        writeln!(out, "{purpose}:{gap}{command}")?;
    }
    Ok(())
}

/// What was run: one line, and one for each thing a reader must know about it.
fn write_heading(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let summary = report.summary;
    let backends: Vec<String> = [(summary.n_native, "native"), (summary.n_xen, "Xen")]
        .into_iter()
        .filter(|(n, _)| 0 < *n)
        .map(|(n, name)| format!("{n} {name}"))
        .collect();
    let mut heading = format!(
        "{}, {}: {}{}",
        count(summary.n_layouts, "layout", "layouts"),
        count(summary.lines.len(), "strategy", "strategies"),
        if backends.is_empty() {
            "no cell".to_owned()
        } else {
            count_cells(&backends, summary.n_native + summary.n_xen)
        },
        if 1 < summary.lines.len() { " each" } else { "" }
    );
    if let Some(elapsed) = report.elapsed {
        let elapsed = format!("{:.1} s", elapsed.as_secs_f64());
        let width = WIDTH.saturating_sub(heading.len());
        let _ = write!(heading, "{elapsed:>width$}");
    }
    writeln!(out, "{heading}")?;
    for chosen in report.chosen() {
        writeln!(out, "{}", wrapped(&chosen, 0, 4))?;
    }
    for (why, rows) in &summary.skipped {
        let n = count(rows.len(), "cell is skipped", "cells are skipped");
        writeln!(out, "{}", wrapped(&format!("{n}: {why}"), 0, 2))?;
    }
    if 0 < report.n_32_bit {
        let n = count(report.n_32_bit, "machine", "machines");
        writeln!(out, "{n} with a 32-bit kernel, run as 64-bit")?;
    }
    Ok(())
}

fn count_cells(backends: &[String], n: usize) -> String {
    format!("{} {}", backends.join(" and "), if n == 1 { "cell" } else { "cells" })
}

/// The column of strategies is as wide as the longest name, as far as the totals have room for it.
fn name_width(summary: &Summary) -> usize {
    let most = if has_failed(summary) { 23 } else { 30 };
    summary.lines.iter().map(|line| line.strategy.chars().count()).max().unwrap_or(0).clamp(8, most)
}

/// Whether any cell came to no verdict, so that there is a column for that.
fn has_failed(summary: &Summary) -> bool {
    summary.lines.iter().any(|line| 0 < line.native.failed + line.xen.failed)
}

fn write_totals(out: &mut String, summary: &Summary) -> fmt::Result {
    let width = name_width(summary);
    let has_failed = has_failed(summary);
    let failed = |text: &str| if has_failed { format!("{text:>8}") } else { String::new() };
    writeln!(
        out,
        "{:width$}{:>13}{:>13}{}{:>11}{:>12}",
        "",
        "native",
        "Xen",
        failed("no"),
        "most pages",
        "most crash"
    )?;
    write!(out, "{:width$}{:>7}{:>6}{:>7}{:>6}", "strategy", "boots", "dies", "boots", "dies")?;
    writeln!(out, "{}{:>11}{:>12}", failed("verdict"), "left RO", "room lost")?;
    for line in &summary.lines {
        let Line { native, xen, most_left_read_only, most_room_lost_bytes, .. } = line;
        write!(out, "{}", cut(&line.strategy, width))?;
        for counts in [native, xen] {
            let Counts { boots, dies, .. } = *counts;
            let is_run = 0 < counts.run();
            let number =
                |n: usize, width: usize| format!("{:>width$}", if is_run { n.to_string() } else { "-".to_owned() });
            let style = if 0 < dies { DIED } else { PLAIN };
            write!(out, "{}{style}{}{style:#}", number(boots, 7), number(dies, 6))?;
        }
        let n_failed = native.failed + xen.failed;
        let style = if 0 < n_failed { FAILED } else { PLAIN };
        write!(out, "{style}{}{style:#}", failed(&n_failed.to_string()))?;
        let pages = most_left_read_only.map_or_else(|| "-".to_owned(), thousands);
        let room = most_room_lost_bytes.map_or_else(|| "-".to_owned(), mib);
        writeln!(out, "{pages:>11}{room:>12}")?;
    }
    Ok(())
}

fn write_rules(out: &mut String, summary: &Summary) -> fmt::Result {
    let width = name_width(summary);
    write!(out, "{:width$}", "rules broken, in cells")?;
    let name_width = width.max("rules broken, in cells".len());
    for rule in &summary.rules {
        write!(out, " {:>w$}", conclusion::title(rule), w = rule_width(rule))?;
    }
    writeln!(out)?;
    for line in &summary.lines {
        write!(out, "{}", cut(&line.strategy, name_width))?;
        for rule in &summary.rules {
            let text = line.broken.get(rule).map_or_else(|| "-".to_owned(), |n| n.to_string());
            write!(out, " {text:>w$}", w = rule_width(rule))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn rule_width(rule: &str) -> usize {
    rule.chars().count().max(6)
}

/// A name in a column of this width, cut if it must be.
fn cut(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return format!("{name:width$}");
    }
    let kept: String = name.chars().take(width.saturating_sub(2)).collect();
    format!("{kept}..")
}

/// The words that were used, what they mean, and what was said there.
fn write_legend(out: &mut String, summary: &Summary) -> fmt::Result {
    for word in Word::ALL {
        let is_used = summary.groups.iter().any(|group| group.words.contains(&Some(word)));
        if !is_used || word == Word::Ok {
            continue;
        }
        let style = style(word);
        let told = summary.reasons.get(&word).map(|reasons| reasons_text(reasons)).unwrap_or_default();
        let text = wrapped(&format!("{}{told}", word.meaning()), 8, 8);
        writeln!(out, "{style}{word:7}{style:#} {text}")?;
    }
    Ok(())
}

pub(super) fn reasons_text(reasons: &[(String, usize)]) -> String {
    let told: Vec<String> = reasons
        .iter()
        .filter(|(reason, _)| !reason.is_empty())
        .take(MOST_REASONS)
        .map(|(reason, n)| format!("{reason} ({n})"))
        .collect();
    let more = reasons.len().saturating_sub(MOST_REASONS);
    let more = if 0 < more { format!(", {more} more") } else { String::new() };
    if told.is_empty() { String::new() } else { format!(": {}{more}", told.join(", ")) }
}

const PLAIN: Style = Style::new();
const DIED: Style = AnsiColor::Red.on_default();
const FAILED: Style = AnsiColor::Magenta.on_default();

/// The colour that repeats a word.
pub(crate) const fn style(word: Word) -> Style {
    match word {
        Word::Ok => AnsiColor::Green.on_default(),
        Word::Fault | Word::Bug | Word::Panic => DIED,
        Word::Plugin | Word::Time | Word::Error => FAILED,
        Word::Skip => Style::new().dimmed(),
    }
}
