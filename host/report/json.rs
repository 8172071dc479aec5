// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON lines: a record a line, as [`CellRecord`] has its keys; a check of the conformance kit a line.

use crate::judged::Judged;
use crate::record::CellRecord;
use pgtlab_core::conform::{self, Entry};
use serde::Serialize;

#[derive(Serialize)]
struct CheckLine<'r> {
    check: &'static str,
    standing: &'static str,
    text: &'r str,
    failures: Vec<FailureLine<'r>>,
    what_to_do: Option<&'static str>,
    shown_by: Option<&'r str>,
}

#[derive(Serialize)]
struct FailureLine<'r> {
    layout: Option<&'r str>,
    backend: Option<&'static str>,
    text: &'r str,
}

impl<'r> From<&'r Entry> for CheckLine<'r> {
    fn from(entry: &'r Entry) -> Self {
        let failures = entry.failures.iter().map(|(cell, text)| FailureLine {
            layout: cell.as_ref().map(|(layout, _)| layout.as_str()),
            backend: cell.as_ref().map(|(_, backend)| *backend),
            text,
        });
        Self {
            check: entry.check.name(),
            standing: entry.standing.word(),
            text: &entry.line,
            failures: failures.collect(),
            what_to_do: entry.next.as_ref().map(|(advice, _)| *advice),
            shown_by: entry.next.as_ref().map(|(_, command)| command.as_str()),
        }
    }
}

/// Renders what the conformance kit says.
///
/// # Errors
/// As [`render`].
pub fn render_checks(report: &conform::Report) -> Result<String, serde_json::Error> {
    lines(report.entries().iter().map(CheckLine::from))
}

/// A record, and what each judge says of its cell.
#[derive(Serialize)]
struct JudgedRecord<'r> {
    #[serde(flatten)]
    record: &'r CellRecord,
    judgements: Vec<JudgementLine<'r>>,
}

#[derive(Serialize)]
struct JudgementLine<'r> {
    judge: String,
    judgement: &'static str,
    text: Option<&'r str>,
}

/// A line for each record.
///
/// # Errors
/// A record cannot be written as JSON.
pub fn lines<R: Serialize>(records: impl IntoIterator<Item = R>) -> Result<String, serde_json::Error> {
    records.into_iter().map(|record| serde_json::to_string(&record).map(|line| line + "\n")).collect()
}

/// Renders the records.
///
/// # Errors
/// None that the record's types can cause.
pub fn render(records: &[CellRecord]) -> Result<String, serde_json::Error> {
    lines(records)
}

/// Renders the records, each with an array `judgements`: what each judge says of the cell.
///
/// # Errors
/// As [`render`].
pub fn render_judged(records: &[CellRecord], judged: &Judged) -> Result<String, serde_json::Error> {
    let line = |record| {
        let judgements = judged.of(record).map(|(judge, judgement, text)| JudgementLine {
            judge: judge.name.to_lowercase(),
            judgement,
            text,
        });
        JudgedRecord { record, judgements: judgements.collect() }
    };
    lines(records.iter().map(line))
}
