// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cells where not all strategies boot, rows that are alike together: a column per strategy where
//! that fits, otherwise a column per kind of row.

use super::{cut, name_width, style};
use crate::judged::Mark;
use crate::report::{Report, WIDTH, count};
use crate::summary::{Group, Row, Summary, Word};
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// Rows that are shown unless all are asked for.
const MOST_ROWS: usize = 14;
/// Rows of one kind that are shown unless all are asked for.
const MOST_ALIKE: usize = 3;
/// The narrowest column a layout's name is shown in.
const NARROWEST_NAME: usize = 22;
/// The widest column of a strategy, with the blank before it.
const WIDEST_STRATEGY: usize = 12;

/// Writes the rows in the form that fits.
pub(super) fn write_rows(out: &mut String, report: &Report<'_>) -> fmt::Result {
    match columns(report) {
        Some(columns) => by_row(out, report, &columns),
        None => by_kind(out, report),
    }
}

fn heading(summary: &Summary) -> &'static str {
    if summary.groups.iter().all(Group::is_mixed) { "where they differ" } else { "where boots fail" }
}

/// A heading for each strategy, if the table fits and no two headings are the same.
fn columns(report: &Report<'_>) -> Option<Vec<String>> {
    let names: Vec<&str> = report.summary.lines.iter().map(|line| report.short(&line.strategy)).collect();
    [WIDEST_STRATEGY, 9, 7].into_iter().find_map(|widest| {
        let headings: Vec<String> = names.iter().map(|name| shortened(name, widest - 1)).collect();
        let is_clear = headings.iter().collect::<BTreeSet<_>>().len() == headings.len();
        let width: usize = headings.iter().map(|heading| column_width(heading)).sum();
        (is_clear && NARROWEST_NAME + BACKEND_WIDTH + width <= WIDTH).then_some(headings)
    })
}

const BACKEND_WIDTH: usize = 8;
/// The column of a kind of row, with the blank before it.
const KIND_WIDTH: usize = 7;

fn column_width(heading: &str) -> usize {
    heading.chars().count().max(6) + 1
}

/// The first parts of a name that fit: `semantic` of `semantic-builder`.
fn shortened(name: &str, width: usize) -> String {
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    let fitting = ends.filter(|&end| end <= width).max();
    fitting.map_or_else(|| name.chars().take(width).collect(), |end| name[..end].to_owned())
}

fn by_row(out: &mut String, report: &Report<'_>, columns: &[String]) -> fmt::Result {
    let summary = report.summary;
    let words: usize = columns.iter().map(|heading| column_width(heading)).sum();
    let widest = WIDTH - BACKEND_WIDTH - words;
    let rows = || summary.groups.iter().flat_map(|group| &group.rows);
    let width =
        rows().map(|row| row.layout.chars().count()).max().unwrap_or(0).clamp(heading(summary).len() + 1, widest);
    let all: BTreeSet<&str> = report.records.iter().map(|record| &*record.layout).collect();

    let mut line = format!("{:width$}{:BACKEND_WIDTH$}", heading(summary), "");
    for column in columns {
        let _ = write!(line, " {column:w$}", w = column_width(column) - 1);
    }
    writeln!(out, "{}", line.trim_end())?;
    let shown = shares(summary, report.shows_all);
    for (group, n_shown) in summary.groups.iter().zip(&shown) {
        for row in &group.rows[..*n_shown] {
            write!(out, "{:width$} {:7}", pattern(&row.layout, width, &all), backend(row))?;
            for ((word, column), line) in group.words.iter().zip(columns).zip(&summary.lines) {
                let mark = report.mark(&line.strategy, std::iter::once(row));
                write!(out, " {}", colored(*word, mark, column_width(column) - 1))?;
            }
            trim_end(out);
            writeln!(out)?;
        }
        let hidden = group.rows.len() - n_shown;
        if 0 < *n_shown && 0 < hidden {
            writeln!(out, "... {hidden} more like {}", if *n_shown == 1 { "this" } else { "these" })?;
        }
    }
    write_rest(out, summary, &shown)
}

/// What is not shown at all.
fn write_rest(out: &mut String, summary: &Summary, shown: &[usize]) -> fmt::Result {
    let whole: usize =
        summary.groups.iter().zip(shown).filter(|(_, n)| **n == 0).map(|(group, _)| group.rows.len()).sum();
    let is_cut = summary.groups.iter().zip(shown).any(|(group, n)| *n < group.rows.len());
    match (whole, is_cut) {
        (0, false) => Ok(()),
        (0, true) => writeln!(out, "(--all lists every cell)"),
        (n, _) => writeln!(out, "... {} of other kinds (--all lists every cell)", count(n, "more cell", "more cells")),
    }
}

/// How many rows of each group are shown: one of each before a second of any.
fn shares(summary: &Summary, shows_all: bool) -> Vec<usize> {
    if shows_all {
        return summary.groups.iter().map(|group| group.rows.len()).collect();
    }
    let mut left = MOST_ROWS;
    let mut shares = vec![0; summary.groups.len()];
    for round in 0..MOST_ALIKE {
        for at in largest_first(summary) {
            if 0 < left && shares[at] == round && round < summary.groups[at].rows.len() {
                shares[at] += 1;
                left -= 1;
            }
        }
    }
    shares
}

/// The groups by how many rows they have.
fn largest_first(summary: &Summary) -> Vec<usize> {
    let mut order: Vec<usize> = (0..summary.groups.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(summary.groups[at].rows.len()));
    order
}

/// A table the other way round, for many strategies: a column per kind of row, and a list of the kinds.
fn by_kind(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let summary = report.summary;
    let width = name_width(summary).max(heading(summary).len());
    let per_bank = ((WIDTH - width) / KIND_WIDTH).max(1);
    let mut shown = largest_first(summary);
    shown.truncate(if report.shows_all { usize::MAX } else { per_bank });
    shown.sort_unstable();
    let all: BTreeSet<&str> = report.records.iter().map(|record| &*record.layout).collect();

    for (bank, kinds) in shown.chunks(per_bank).enumerate() {
        write!(out, "{:width$}", if bank == 0 { heading(summary) } else { "" })?;
        (0..kinds.len()).try_for_each(|at| write!(out, " {:6}", letter(bank * per_bank + at)))?;
        trim_end(out);
        writeln!(out)?;
        for (strategy, line) in summary.lines.iter().enumerate() {
            write!(out, "{}", cut(&line.strategy, width))?;
            for &kind in kinds {
                let Group { words, rows } = &summary.groups[kind];
                let mark = report.mark(&line.strategy, rows.iter());
                write!(out, " {}", colored(words[strategy], mark, 6))?;
            }
            trim_end(out);
            writeln!(out)?;
        }
        writeln!(out)?;
    }
    for (at, &kind) in shown.iter().enumerate() {
        let group = &summary.groups[kind];
        let title = format!("{:2} {:>3} {:7}", letter(at), group.rows.len(), backend(&group.rows[0]));
        let names = names_that_fit(group, &all, WIDTH - title.len() - 1, report.shows_all);
        writeln!(out, "{title} {}", names.join(&format!("\n{:w$}", "", w = title.len() + 1)))?;
    }
    let shown: Vec<usize> = (0..summary.groups.len())
        .map(|kind| if shown.contains(&kind) { summary.groups[kind].rows.len() } else { 0 })
        .collect();
    write_rest(out, summary, &shown)
}

/// The names of a kind's layouts: as many as a line holds, or all, a line each.
fn names_that_fit(group: &Group, all: &BTreeSet<&str>, width: usize, shows_all: bool) -> Vec<String> {
    if shows_all {
        return group.rows.iter().map(|row| pattern(&row.layout, width, all)).collect();
    }
    let mut line = pattern(&group.rows[0].layout, width - 3, all);
    for row in &group.rows[1..] {
        if width < line.chars().count() + 2 + row.layout.chars().count() + 3 {
            line.push_str(" ..");
            break;
        }
        line.push_str(", ");
        line.push_str(&row.layout);
    }
    vec![line]
}

/// `A`, `B`, .. `Z`, `AA`, ..
fn letter(at: usize) -> String {
    let last = char::from(b'A' + u8::try_from(at % 26).unwrap_or(0));
    if at < 26 { last.to_string() } else { format!("{}{last}", letter(at / 26 - 1)) }
}

fn backend(row: &Row) -> &str {
    if row.backend == "xen" { "Xen" } else { &row.backend }
}

fn colored(word: Option<Word>, mark: Mark, width: usize) -> String {
    match word {
        Some(word) => {
            let (style, mark) = (style(word), mark.text());
            let n = word.text().len() + mark.len();
            format!("{style}{word}{style:#}{mark}{:w$}", "", w = width.saturating_sub(n))
        }
        None => format!("{:width$}", "-"),
    }
}

fn trim_end(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
}

/// A name that fits: itself, or a pattern for it that can be typed, if one names it alone.
fn pattern(name: &str, width: usize, all: &BTreeSet<&str>) -> String {
    let n = name.chars().count();
    if n <= width {
        return name.to_owned();
    }
    let head = |n: usize| name.chars().take(n).collect::<String>();
    let tail = |from: usize| name.chars().skip(from).collect::<String>();
    let start = head(width - 1);
    let is_alone = |matches: &dyn Fn(&str) -> bool| all.iter().filter(|other| matches(other)).count() <= 1;
    if is_alone(&|other| other.starts_with(&start)) {
        return format!("{start}*");
    }
    let (start, end) = (head(width - 1 - width / 3), tail(n - width / 3));
    if is_alone(&|other| other.starts_with(&start) && other.ends_with(&end)) {
        return format!("{start}*{end}");
    }
    format!("{}..", head(width - 2))
}
