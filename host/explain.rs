// SPDX-License-Identifier: MIT OR Apache-2.0
//! The explanation of one cell: how it ended, why, and the story of the boot in a screen.
//!
//! The worker has the boot and tells the story ([`story`]); the program adds what the record says and
//! what it knows of a worker that died ([`render`]). `digest` adds up a mapping call, `tell` puts it in words,
//! `last_words` are what the machine prints when it dies; `page` follows one page, and `ledger` lists what is
//! reserved.

mod digest;
mod last_words;
mod ledger;
mod page;
mod tell;

pub use ledger::reserved;
pub use page::page;

use crate::baseline::cell_name;
use crate::record::CellRecord;
use crate::report::{wrapped, written};
use crate::summary::Word;
use crate::why;
use pgtlab_core::build::Built;
use pgtlab_core::layout::Layout;
use std::fmt::{self, Write};

/// Where the text of a line begins, behind its label.
const TEXT: usize = 13;

/// The worker's part: the sentence in the first line, then the boot from its first mapping call to its end.
#[must_use]
pub fn story(layout: &Layout, built: &Built) -> String {
    format!("{}\n{}", why::why(layout, built), tell::boot(layout, built))
}

/// A line of the story: a mark, what it is about, and the text, broken so that a terminal need not.
fn line(out: &mut String, mark: char, label: &str, text: &str) {
    let head = format!("{mark} {label}");
    let gap = TEXT.saturating_sub(head.len()).max(1);
    out.push_str(head.trim_end());
    out.push_str(&" ".repeat(gap + head.len() - head.trim_end().len()));
    out.push_str(&wrapped(text, TEXT, TEXT));
    out.push('\n');
}

/// The whole explanation. `told` is what the worker told, empty if it died.
#[must_use]
pub fn render(record: &CellRecord, told: &str) -> String {
    written(|out| write_explanation(out, record, told))
}

fn write_explanation(out: &mut String, record: &CellRecord, told: &str) -> fmt::Result {
    write_ending(out, record)?;
    let word = Word::of(record.verdict);
    let (why, story) = told.split_once('\n').unwrap_or((told, ""));
    if word.is_failure() {
        writeln!(out, "\n{}", word.meaning())?;
    } else if !why.is_empty() {
        writeln!(out, "\n{}", wrapped(&format!("why: {why}"), 0, 5))?;
    }
    if !story.is_empty() {
        writeln!(out, "\n{}", story.trim_end())?;
    }
    Ok(())
}

/// What the worker told of one thing, below how the cell ended.
#[must_use]
pub fn render_part(record: &CellRecord, told: &str) -> String {
    let mut out = String::new();
    let written = write_ending(&mut out, record);
    debug_assert!(written.is_ok(), "writing to a string never fails");
    if !told.is_empty() {
        out.push('\n');
        out.push_str(told);
    }
    out
}

fn write_ending(out: &mut String, record: &CellRecord) -> fmt::Result {
    let word = Word::of(record.verdict);
    let style = crate::report::text::style(word);
    writeln!(out, "{}: {style}{word}{style:#}", cell_name(record))?;
    let said = match (&record.stage, &record.text) {
        (Some(stage), Some(text)) if word.is_failure() => format!("at stage {stage}: {text}"),
        (Some(stage), Some(text)) => format!("in {stage}: {text}"),
        (None, Some(text)) => text.clone(),
        (_, None) => String::new(),
    };
    if !said.is_empty() {
        writeln!(out, "  {}", wrapped(&said, 2, 4))?;
    }
    Ok(())
}
