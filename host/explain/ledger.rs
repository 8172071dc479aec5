// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memblock's reservations with who made each, and when.
//!
//! Memblock itself merges what touches; the ledger is made from the events, which keep the names.

use crate::report::count;
use pgtlab_core::addr::{PfnRange, PhysRange};
use pgtlab_core::build::Built;
use pgtlab_core::event::{Consumer, Event, Noted};
use pgtlab_core::layout::Layout;
use pgtlab_core::memblock::Memblock;
use pgtlab_core::ptdump::size_text;
use std::fmt::Write;

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) range: PhysRange,
    pub(super) name: String,
    stage: String,
}

/// The reservations at the end of the boot, ascending, a line each.
#[must_use]
pub fn reserved(layout: &Layout, built: &Built) -> String {
    let mut memory = Memblock::new(layout.geometry.page_bytes());
    memory.fill(&layout.e820);
    let held = ledger(layout, built);
    let total: u64 = merged(&held).iter().map(|range| range.len()).sum();
    let mut out = format!(
        "{} in memblock.reserved, {} in all\n",
        count(held.len(), "reservation", "reservations"),
        size_text(total).trim()
    );
    for (at, Held { range, name, stage }) in held.iter().enumerate() {
        let PhysRange { start, end } = range;
        let size = size_text(range.len());
        let _ = write!(
            out,
            "[mem 0x{:016x}-0x{:016x}] {:>6} {name}, {stage}",
            start.get(),
            end.get().wrapping_sub(1),
            size.trim()
        );
        let mut others = held.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other);
        if let Some(other) = others.find(|other| other.range.overlaps(*range)) {
            let _ = write!(out, "; overlaps {}", other.name);
        }
        if !memory.is_memory(*range) {
            out.push_str("; not all of it is RAM");
        }
        out.push('\n');
    }
    out
}

/// The reservations that stand in the end.
pub(super) fn ledger(layout: &Layout, built: &Built) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    for noted in &built.events {
        match &noted.event {
            Event::Reserved { range, name } => hold(&mut held, noted, *range, name),
            Event::Taken { page, is_reserved: true, .. } => {
                let bytes = layout.geometry.bytes(PfnRange::new(*page, page.saturating_add(1)));
                hold(&mut held, noted, bytes, "PGTABLE");
            }
            Event::Written { by: Consumer::NodeData, range, .. } => hold(&mut held, noted, *range, "NODE_DATA"),
            Event::Freed(range) => held = held.iter().flat_map(|one| without(one, *range)).collect(),
            _ => {}
        }
    }
    // Memblock moves its own array when that is full, and says so to nobody.
    let mut unnamed: Vec<Held> = built
        .reserved
        .iter()
        .map(|range| Held { range: *range, name: "memblock's own array".to_owned(), stage: "build".to_owned() })
        .collect();
    for one in &held {
        unnamed = unnamed.iter().flat_map(|other| without(other, one.range)).collect();
    }
    held.extend(unnamed);
    held.sort_by_key(|one| (one.range.start, one.range.end));
    let mut joined: Vec<Held> = Vec::new();
    for one in held {
        match joined.last_mut() {
            Some(last) if last.range.end == one.range.start && (&last.name, &last.stage) == (&one.name, &one.stage) => {
                last.range.end = one.range.end;
            }
            _ => joined.push(one),
        }
    }
    joined
}

/// Adds a reservation, but for what the same owner holds already.
fn hold(held: &mut Vec<Held>, noted: &Noted, range: PhysRange, name: &str) {
    let stage = match (&noted.event, noted.range) {
        (Event::Written { .. }, _) => "numa".to_owned(),
        (_, 0) => noted.stage.name().to_owned(),
        (_, call) => format!("call {call}, {}", noted.stage.name()),
    };
    let mut new = vec![Held { range, name: name.to_owned(), stage }];
    // Only the table space is ever reserved twice over, when it is set aside and when it is done.
    if let Some(before) = held.iter().rev().find(|one| one.name == name && one.range.overlaps(range)) {
        new = without(&new[0], before.range);
    }
    held.extend(new.into_iter().filter(|one| !one.range.is_empty()));
}

/// What is left of a reservation without a range.
fn without(one: &Held, range: PhysRange) -> Vec<Held> {
    let Held { range: whole, .. } = one;
    let before = PhysRange::new(whole.start, whole.end.min(range.start.max(whole.start)));
    let after = PhysRange::new(whole.start.max(range.end.min(whole.end)), whole.end);
    let parts: [PhysRange; 2] =
        if whole.overlaps(range) { [before, after] } else { [*whole, PhysRange::new(whole.end, whole.end)] };
    parts.into_iter().filter(|part| !part.is_empty()).map(|range| Held { range, ..one.clone() }).collect()
}

/// All that is reserved, as memblock merges it.
pub(super) fn merged(held: &[Held]) -> Vec<PhysRange> {
    let mut all = Memblock::new(1);
    held.iter().for_each(|one| all.reserve(one.range));
    all.reserved().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgtlab_core::build::{Watch, boot};
    use pgtlab_core::strategy::{Context, Page, PageQuestion, Range, Strategy, TableSpace};

    /// Takes its tables page by page.
    struct PageByPage;

    impl Strategy for PageByPage {
        fn table_space(&mut self, cx: &mut Context<'_>, _: &Range) -> TableSpace {
            TableSpace::PageByPage {
                uses_pool: false,
                window: PfnRange::new(Default::default(), cx.facts().max_pfn_mapped),
            }
        }

        fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
            question.default_page(cx)
        }
    }

    /// Every default.
    struct Plain;

    impl Strategy for Plain {}

    #[track_caller]
    fn check(mut strategy: impl Strategy) {
        let text = "e820 0 9f000 1\ne820 100000 60000000 1\ne820 60000000 60010000 2\nkernel 1000000 2000000\n\
                    reserve 1f00000 2100000 RAMDISK\nreserve 60000000 60001000 ESRT\ntrampoline 1\npse 0\n";
        let layout = Layout::parse(text, "machine").expect("the layout is sound");
        let built = boot(&layout, &mut strategy, Watch::ALL).expect("the layout holds together");
        let held = ledger(&layout, &built);
        assert!(held.iter().all(|one| one.name != "memblock's own array"), "{held:?}");
        let before_numa: Vec<Held> = held.iter().filter(|one| one.name != "NODE_DATA").cloned().collect();
        assert_eq!(merged(&before_numa), built.reserved);
        let listed = reserved(&layout, &built);
        for line in [
            "[mem 0x0000000001f00000-0x00000000020fffff]     2M RAMDISK, boot; overlaps TEXT DATA BSS",
            "[mem 0x0000000060000000-0x0000000060000fff]     4K ESRT, boot; not all of it is RAM",
        ] {
            assert!(listed.lines().any(|listed| listed == line), "{listed}");
        }
        assert_eq!(listed.matches("NODE_DATA, numa").count(), 1, "{listed}");
    }

    #[test]
    fn the_ledger_holds_what_memblock_holds() {
        check(Plain);
        check(PageByPage);
    }
}
