// SPDX-License-Identifier: MIT OR Apache-2.0
//! The explanation of one cell: how it ended, why, what was found, and what happened in the range that
//! died.
//!
//! The worker has the boot and tells the story ([`story`]); the program adds what the record says and
//! what it knows of a worker that died ([`render`]).

use crate::baseline::cell_name;
use crate::record::{CellRecord, FindingRecord};
use crate::report::{WIDTH, count, thousands, wrapped};
use crate::summary::Word;
use crate::why;
use pgtlab_core::build::{Built, End};
use pgtlab_core::event::{Event, Noted};
use pgtlab_core::layout::Layout;
use std::fmt::{self, Write};

/// Steps of filling that are listed one by one before a death; earlier ones are added up.
const LAST_STEPS: usize = 6;

/// The worker's part: the sentence in the first line, then the events of the range that died, or of every
/// range if none did.
#[must_use]
pub fn story(layout: &Layout, built: &Built) -> String {
    let mut out = why::why(layout, built);
    out.push('\n');
    let blamed = why::call_to_blame(layout, built);
    let is_told = |noted: &Noted| match blamed {
        Some(number) => noted.range == number || noted.range == 0 || matches!(noted.event, Event::Died(_)),
        None => true,
    };
    let heading = match blamed {
        Some(number) => format!("events of range {number}, and outside the ranges"),
        None => "events".to_owned(),
    };
    let told: Vec<&Noted> = built.events.iter().filter(|noted| is_told(noted)).collect();
    if !told.is_empty() {
        let written = write_events(&mut out, &heading, &told, matches!(built.end, End::Died { .. }));
        debug_assert!(written.is_ok(), "writing to a string never fails");
    }
    out
}

fn write_events(out: &mut String, heading: &str, events: &[&Noted], has_died: bool) -> fmt::Result {
    writeln!(out, "\n{heading}")?;
    let mut rest = events;
    while let [first, ..] = rest {
        let n = rest.iter().take_while(|noted| is_step(&noted.event)).count();
        if n == 0 {
            writeln!(out, "  {first}")?;
            rest = &rest[1..];
            continue;
        }
        let (steps, after) = rest.split_at(n);
        let ends_in_death = has_died && after.first().is_some_and(|next| matches!(next.event, Event::Died(_)));
        let n_listed = if ends_in_death { LAST_STEPS.min(n) } else { 0 };
        let (added_up, listed) = steps.split_at(n - n_listed);
        write_steps(out, added_up)?;
        listed.iter().try_for_each(|noted| writeln!(out, "  {noted}"))?;
        rest = after;
    }
    Ok(())
}

/// A step of filling a range: there are some for every table.
const fn is_step(event: &Event) -> bool {
    match event {
        Event::Taken { .. }
        | Event::FixmapMapped { .. }
        | Event::FixmapUnmapped(_)
        | Event::LeavesWritten { .. }
        | Event::EntriesCleared { .. }
        | Event::Attached { .. } => true,
        Event::Printk(_)
        | Event::RangeChosen(_)
        | Event::SpaceChosen(_)
        | Event::Protected { .. }
        | Event::Reserved { .. }
        | Event::Freed(_)
        | Event::RangeDone { .. }
        | Event::AcpiMapped(_)
        | Event::Written { .. }
        | Event::Died(_) => false,
    }
}

/// Steps of filling in one line.
fn write_steps(out: &mut String, steps: &[&Noted]) -> fmt::Result {
    let [first, ..] = steps else { return Ok(()) };
    let mut taken: Vec<u64> = Vec::new();
    let (mut n_leaves, mut n_cleared, mut n_linked) = (0, 0, 0);
    let mut span: Option<(u64, u64)> = None;
    for noted in steps {
        match &noted.event {
            Event::Taken { page, .. } => taken.push(page.get()),
            Event::LeavesWritten { pages, .. } => {
                n_leaves += 1;
                let (start, end) = span.unwrap_or_else(|| (pages.start.get(), pages.end.get()));
                span = Some((start.min(pages.start.get()), end.max(pages.end.get())));
            }
            Event::EntriesCleared { n, .. } => n_cleared += usize::try_from(*n).unwrap_or(0),
            Event::Attached { .. } => n_linked += 1,
            _ => {}
        }
    }
    let mut told = Vec::new();
    if let (Some(least), Some(most)) = (taken.iter().min(), taken.iter().max()) {
        told.push(match taken.len() {
            1 => format!("1 page taken as a table ({least:x})"),
            n => format!("{} pages taken as tables ({least:x} .. {most:x})", thousands(n as u64)),
        });
    }
    if let Some((start, end)) = span {
        told.push(format!("leaves written for [{start:x}, {end:x}) in {}", count(n_leaves, "step", "steps")));
    }
    if 0 < n_cleared {
        told.push(format!("{} zeroed", count(n_cleared, "entry", "entries")));
    }
    if 0 < n_linked {
        told.push(format!("{} linked", count(n_linked, "table", "tables")));
    }
    if told.is_empty() {
        told.push(format!("{} through the fixmap", count(steps.len(), "step", "steps")));
    }
    let range = if 0 < first.range { format!("range {} ", first.range) } else { String::new() };
    writeln!(out, "  {range}filled: {}", told.join(", "))
}

/// The whole explanation. `told` is what the worker told, empty if it died.
#[must_use]
pub fn render(record: &CellRecord, told: &str) -> String {
    let mut out = String::new();
    let written = write_explanation(&mut out, record, told);
    debug_assert!(written.is_ok(), "writing to a string never fails");
    out
}

fn write_explanation(out: &mut String, record: &CellRecord, told: &str) -> fmt::Result {
    let word = Word::of(record.verdict);
    let style = crate::report::text::style(word);
    writeln!(out, "{}: {style}{word}{style:#}", cell_name(record))?;
    match (&record.stage, &record.text) {
        (Some(stage), Some(text)) if word.is_failure() => writeln!(out, "  at stage {stage}: {text}")?,
        (Some(stage), Some(text)) => writeln!(out, "  in {stage}: {text}")?,
        (None, Some(text)) => writeln!(out, "  {text}")?,
        (_, None) => {}
    }
    let (why, events) = told.split_once('\n').unwrap_or((told, ""));
    if word.is_failure() {
        writeln!(out, "\n{}", word.meaning())?;
    } else if !why.is_empty() {
        writeln!(out, "\nwhy: {why}")?;
    }
    if record.findings.is_empty() && !word.is_failure() {
        writeln!(out, "\nno rule is broken")?;
    } else if !record.findings.is_empty() {
        writeln!(out, "\nrules broken")?;
        for finding in &record.findings {
            let FindingRecord { rule, place, got, expected, stage, .. } = finding;
            writeln!(out, "  {rule:8} {place}: {got}; expected {expected} (stage {stage})")?;
        }
    }
    out.push_str(events);
    Ok(())
}

/// Breaks the lines that a terminal would break anyhow, at blanks. Lines that are kept or searched stay
/// whole.
#[must_use]
pub fn for_terminal(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if WIDTH < line.chars().count() {
            out.push_str(&line[..indent]);
            out.push_str(&wrapped(line.trim_start(), indent, indent + 4));
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}
