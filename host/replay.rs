// SPDX-License-Identifier: MIT OR Apache-2.0
//! A replayed boot log as a table, and as JSON lines.
//!
//! ```text
//!   line  what                   log                 model
//!     29  mapping call           0-db000000          0-db000000
//! !   31  tables up to db000000  1fffb000-20000000   1fffc000-20000000
//! ```

use crate::report::{count, json, wrapped};
use pgtlab_core::replay::{Kind, Line, Replay, Row};
use serde::Serialize;

const HEADINGS: [&str; 4] = ["line", "what", "log", "model"];

/// The table, and what there is to say of it; `is_quiet` leaves out what was assumed.
#[must_use]
pub fn text(name: &str, replay: &Replay, is_quiet: bool) -> String {
    let mut out = String::new();
    let about = if replay.is_release_guessed { "about " } else { "" };
    let kernel =
        replay.release.map_or_else(|| "of a version not printed".to_owned(), |release| format!("{about}{release}"));
    push(&mut out, &format!("{name}: kernel {kernel}, {}", replay.kind));
    push(&mut out, &format!("era {}: {}", replay.era, replay.rule));
    if !replay.others.is_empty() {
        push(&mut out, &format!("could be of {} too: no other fits better", replay.others.join(" or ")));
    }
    if !is_quiet {
        replay.assumed.iter().for_each(|assumed| push(&mut out, &format!("assumed: {assumed}")));
    }
    out.push('\n');
    table(&mut out, &replay.rows);
    if !replay.unpredicted.is_empty() {
        out.push('\n');
    }
    for (number, line) in &replay.unpredicted {
        let why = match line.kind() {
            Kind::Fault => "the model's boot does not die there",
            _ => "the model predicts no such line of this kernel",
        };
        push(&mut out, &format!("not predicted: line {number}, {} {line}: {why}", line.subject()));
    }
    out.push('\n');
    let (n, n_differing) = (replay.rows.len(), replay.n_differing());
    let lines = count(n, "line", "lines");
    push(
        &mut out,
        &match n_differing {
            0 => format!("{lines}, {} as predicted", if n == 1 { "it is" } else { "all" }),
            _ => format!("{lines}, of which {}", count(n_differing, "differs", "differ")),
        },
    );
    if let Some(death) = &replay.death {
        push(&mut out, &format!("the model's boot died: {death}"));
    }
    replay.causes.iter().for_each(|cause| push(&mut out, &format!("likely cause: {cause}")));
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(&wrapped(line, 0, 2));
    out.push('\n');
}

fn table(out: &mut String, rows: &[Row]) {
    let of = |line: Option<Line>| line.map_or_else(|| "-".to_owned(), |line| line.to_string());
    let cells = |row: &Row| {
        let number = row.log.map_or_else(|| "-".to_owned(), |(number, _)| number.to_string());
        [number, subject(row), of(row.log.map(|(_, line)| line)), model(row)]
    };
    let cells: Vec<[String; 4]> = rows.iter().map(cells).collect();
    let width = |column: usize| {
        let longest = cells.iter().map(|row| row[column].len()).max().unwrap_or_default();
        longest.max(HEADINGS[column].len())
    };
    let widths: [usize; 3] = std::array::from_fn(width);
    let mut line = |mark: &str, row: [&str; 4]| {
        let [number, what, log, model] = row;
        let [w0, w1, w2] = widths;
        out.push_str(&format!("{mark} {number:>w0$}  {what:<w1$}  {log:<w2$}  {model}"));
        out.push('\n');
    };
    line(" ", HEADINGS);
    for (row, cells) in rows.iter().zip(&cells) {
        line(if row.is_equal() { " " } else { "!" }, cells.each_ref().map(String::as_str));
    }
}

fn subject(row: &Row) -> String {
    row.log.map(|(_, line)| line).or(row.model).map_or_else(String::new, |line| line.subject())
}

fn model(row: &Row) -> String {
    let is_elsewhere = !row.is_in_place && row.model.is_some();
    let place = if is_elsewhere { ", between other calls" } else { "" };
    format!("{}{place}", row.model.map_or_else(|| "-".to_owned(), |line| line.to_string()))
}

/// The log as a whole.
#[derive(Serialize)]
struct LogRecord<'r> {
    record: &'static str,
    log: &'r str,
    kernel: Option<String>,
    kind: String,
    era: &'r str,
    rule: &'r str,
    could_be: &'r [&'static str],
    assumed: Vec<String>,
    lines: usize,
    differing: usize,
    death: Option<&'r str>,
    causes: &'r [String],
}

/// A line of it.
#[derive(Serialize)]
struct LineRecord<'r> {
    record: &'static str,
    log: &'r str,
    line: Option<usize>,
    what: String,
    printed: Option<String>,
    predicted: Option<String>,
    equal: bool,
}

/// A record for the log, then one for each of its lines.
///
/// # Errors
/// None that the records' types can cause.
pub fn json(name: &str, replay: &Replay) -> Result<String, serde_json::Error> {
    let log = LogRecord {
        record: "replay",
        log: name,
        kernel: replay.release.map(|release| release.to_string()),
        kind: replay.kind.to_string(),
        era: replay.era,
        rule: replay.rule,
        could_be: &replay.others,
        assumed: replay.assumed.iter().map(ToString::to_string).collect(),
        lines: replay.rows.len(),
        differing: replay.n_differing(),
        death: replay.death.as_deref(),
        causes: &replay.causes,
    };
    let lines = replay.rows.iter().map(|row| LineRecord {
        record: "line",
        log: name,
        line: row.log.map(|(number, _)| number),
        what: subject(row),
        printed: row.log.map(|(_, line)| line.to_string()),
        predicted: row.model.map(|line| line.to_string()),
        equal: row.is_equal(),
    });
    Ok(json::lines([log])? + &json::lines(lines)?)
}
