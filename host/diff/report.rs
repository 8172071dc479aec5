// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison of two direct maps as text: one block a changed range, then the totals.

use super::{Change, Seen, Side, compare, totals};
use crate::report::{count, thousands, written};
use anstyle::{AnsiColor, Style};
use pgtlab_core::ptdump::{MARKER, size_text};
use std::fmt::{self, Write};

const BEFORE: Style = AnsiColor::Red.on_default();
const AFTER: Style = AnsiColor::Green.on_default();

/// The comparison, with the colours of a terminal.
#[must_use]
pub fn render(before: &Side, after: &Side) -> String {
    written(|out| write_diff(out, before, after))
}

fn write_diff(out: &mut String, before: &Side, after: &Side) -> fmt::Result {
    writeln!(out, "{BEFORE}--- {}{BEFORE:#}\n{AFTER}+++ {}{AFTER:#}", before.name, after.name)?;
    let changes = compare(before, after);
    // Dumps of a real kernel are looked up by virtual address, a model's machine by physical ones.
    let is_physical = before.has_owners() || after.has_owners();
    let mut area: Option<&str> = None;
    for change in &changes {
        if area != Some(&change.area) {
            write_area(out, change)?;
            area = Some(&change.area);
        }
        write_change(out, change, is_physical)?;
    }
    write_totals(out, before, after)?;
    let bytes: u64 = changes.iter().map(|change| change.end.wrapping_sub(change.start)).sum();
    let word = if before.has_owners() && after.has_owners() {
        "permission, page size or owner"
    } else {
        "permission or page size"
    };
    match changes.len() {
        0 => writeln!(out, "\nno range differs in {word}"),
        n => writeln!(out, "\n{} in {word}, {}", count(n, "range differs", "ranges differ"), size_text(bytes)),
    }
}

fn write_area(out: &mut String, change: &Change) -> fmt::Result {
    match change.bases {
        [Some(before), Some(after)] if before != after => writeln!(
            out,
            "\n---[ {} ]--- starts at 0x{before:016x} and at 0x{after:016x}; compared from its start",
            change.area
        ),
        [Some(_), Some(_)] if change.area == MARKER => Ok(()),
        [Some(_), Some(_)] => writeln!(out, "\n---[ {} ]---", change.area),
        [before, _] => {
            let side = if before.is_some() { "first" } else { "second" };
            writeln!(out, "\n---[ {} ]--- only in the {side}", change.area)
        }
    }
}

fn write_change(out: &mut String, change: &Change, is_physical: bool) -> fmt::Result {
    let size = size_text(change.end.wrapping_sub(change.start));
    if is_physical && change.area == MARKER {
        let last = change.end.wrapping_sub(1);
        writeln!(out, "\n[mem 0x{:016x}-0x{last:016x}] {size}", change.start)?;
    } else {
        let base = change.bases[0].or(change.bases[1]).unwrap_or(0);
        let (start, end) = (base.wrapping_add(change.start), base.wrapping_add(change.end));
        writeln!(out, "\n0x{start:016x}-0x{end:016x} {size}")?;
    }
    write_seen(out, '-', BEFORE, &change.before)?;
    write_seen(out, '+', AFTER, &change.after)
}

fn write_seen(out: &mut String, sign: char, style: Style, seen: &Seen) -> fmt::Result {
    let leaf = match seen.leaf {
        Some((columns, level)) => format!("{:4} {}", level.page_size(), columns.words()),
        None => "not mapped".to_owned(),
    };
    match &seen.owner {
        Some(owner) => writeln!(out, "{style}{sign} {leaf:24} {owner}{style:#}"),
        None => writeln!(out, "{style}{sign} {leaf}{style:#}"),
    }
}

fn write_totals(out: &mut String, before: &Side, after: &Side) -> fmt::Result {
    let (before, after) = (totals(before), totals(after));
    writeln!(out, "\n{:16}{:>18}{:>18}{:>18}", "totals", "first", "second", "change")?;
    let mut row = |name: &str, before: u64, after: u64, shown: fn(u64) -> String| {
        let change = match after.cmp(&before) {
            std::cmp::Ordering::Less => format!("-{}", shown(before - after)),
            std::cmp::Ordering::Equal => "-".to_owned(),
            std::cmp::Ordering::Greater => format!("+{}", shown(after - before)),
        };
        writeln!(out, "{name:16}{:>18}{:>18}{change:>18}", shown(before), shown(after))
    };
    for (at, name) in ["4K pages", "2M pages", "1G pages"].into_iter().enumerate() {
        row(name, before.leaves[at], after.leaves[at], thousands)?;
    }
    row("mapped", before.mapped, after.mapped, size)?;
    row("read-only", before.read_only, after.read_only, size)?;
    row("W+X", before.writable_and_executable, after.writable_and_executable, size)?;
    row("GLB", before.global, after.global, size)?;
    row("gaps", before.gaps, after.gaps, thousands)?;
    row("in gaps", before.gap_bytes, after.gap_bytes, size)
}

/// The kernel's size text, but for nothing at all.
fn size(bytes: u64) -> String {
    if bytes == 0 { "0".to_owned() } else { size_text(bytes) }
}
