// SPDX-License-Identifier: MIT OR Apache-2.0
//! The builder that was asked for: each decision follows from a rule of building page tables
//! (`pgtlab_core::rules`), and none from who owns the MMU.
//!
//! **Mechanism.**
//! * *Reach, Guard.* A page becomes a table only if live tables map it and it lies outside the range that is
//!   being filled. So its one mapping is a live leaf, which a guarding back end finds and makes read-only
//!   before the table is linked; no leaf for it can hide in a table that is not attached yet.
//! * *Claim.* Pages are taken one at a time and reserved in memblock as they are taken.
//! * *Return, Least.* Nothing is set aside, so nothing is left over.
//! * *Progress.* Before a range is chosen its tables are counted; a range that needs more than there is at
//!   hand is cut short, and what was mapped meanwhile provides for the rest. There is no step size to
//!   outgrow and no pool to run dry.
//! * *Cover.* Ranges are those of memory, in whole pages, and entries around a range that lie over no memory
//!   are cleared, so what the boot code mapped too much disappears. A large leaf of the boot code that
//!   lies half over a hole is split by the 4K piece that ends there.
//!
//! **Where tables go.** First into free blocks below the crash-kernel line that are not the largest one there,
//! so that room for a crash kernel stays; then as high as memory is mapped; the first MiB and the largest
//! low block come last.
//!
//! **If it works.** It boots every machine on which the free memory mapped at the start can hold the tables of
//! a first step. **If it does not,** it says so at the first table-space question, with nothing taken.

mod supply;

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::strategy::{
    Context, Facts, KeptLarge, OnEmptyGib, Page, PageQuestion, PastEnd, Piece, Plan, Range, RangeDone, Strategy,
    TableSpace, merge_pieces, split_range,
};
use supply::{Free, Supply, Use};

/// See the crate's page.
#[derive(Debug, Default)]
pub struct SemanticBuilder {
    is_started: bool,
    /// Memory still to be mapped, ascending.
    todo: Vec<PfnRange>,
    /// What live tables map, ascending and merged.
    mapped: Vec<PfnRange>,
    /// Pages for the tables of the range at hand, best first.
    supply: Supply,
    /// Why there is no range to go on with.
    stuck: Option<String>,
}

impl SemanticBuilder {
    /// What is to be mapped: the first MiB as a whole, for firmware and VGA are reached through it, then
    /// memory in whole pages; cut where the boot code's map ends, so that what is mapped already can
    /// provide for what is not.
    fn start(&mut self, cx: &Context<'_>) {
        let facts = cx.facts();
        self.mapped = cx.mapped();
        let isa = PfnRange::new(Pfn::default(), facts.isa_end_pfn());
        self.todo.push(isa);
        for region in cx.memory() {
            let mut rest = facts.geometry.whole_pages(*region);
            rest.start = rest.start.max(isa.end);
            for mapped in &self.mapped {
                let below = PfnRange::new(rest.start, rest.end.min(mapped.start));
                let inside = rest.intersect(*mapped);
                for part in [below, inside] {
                    if !part.is_empty() {
                        self.todo.push(part);
                        rest.start = part.end;
                    }
                }
            }
            if !rest.is_empty() {
                self.todo.push(rest);
            }
        }
        self.is_started = true;
    }

    /// The range with which the build can go on: the first one to do, cut to what there are tables for, or
    /// a later one where the first has none.
    fn next_range(&mut self, cx: &Context<'_>) -> Range {
        let free = Free::find(cx, &self.mapped);
        // Room for a crash kernel is given up only where nothing else lets the build go on.
        for least in [Use::High, Use::FirstMib, Use::CrashKernelRoom] {
            for at in 0..self.todo.len() {
                if let Some(pages) = self.most_possible(cx, &free, self.todo[at], least) {
                    self.todo[at].start = pages.end;
                    if self.todo[at].is_empty() {
                        self.todo.remove(at);
                    }
                    return range(cx.facts(), pages);
                }
            }
        }
        let facts = cx.facts();
        let first = self.todo.first().copied().unwrap_or_default();
        let step = PfnRange::new(first.start, first_step(facts, first));
        let have = Supply::outside(facts, &free, step, Use::CrashKernelRoom).len();
        let more = cx.tables_needed(&range(facts, step)).saturating_sub(have);
        let bytes = facts.geometry.bytes(first);
        self.stuck = Some(format!(
            "no builder can map this machine: {more} more mapped pages are needed before [mem {:#018x}-{:#018x}]",
            bytes.start,
            bytes.end.saturating_sub(1)
        ));
        range(facts, step)
    }

    /// Progress: the longest start of `whole` whose tables find room in mapped free memory outside it, of
    /// blocks used at least as willingly as `least`. Ends inside `whole` are those of the largest leaves,
    /// so that none is given away. Where room for a crash kernel is used to map memory above it, one leaf
    /// is enough: what it maps provides for the rest.
    fn most_possible(&mut self, cx: &Context<'_>, free: &Free, whole: PfnRange, least: Use) -> Option<PfnRange> {
        let facts = *cx.facts();
        let mut try_end = |end: Pfn| {
            let pages = PfnRange::new(whole.start, end);
            let supply = Supply::outside(&facts, free, pages, least);
            let is_enough = cx.tables_needed(&range(&facts, pages)) <= supply.len();
            if is_enough {
                self.supply = supply;
            }
            is_enough
        };
        let line = facts.geometry.pfn_down(facts.geometry.crashkernel_end);
        if least == Use::CrashKernelRoom && line <= whole.start {
            let end = first_step(&facts, whole);
            return try_end(end).then(|| PfnRange::new(whole.start, end));
        }
        if try_end(whole.end) {
            return Some(whole);
        }
        let levels = if facts.switches.gbpages { &[Level::L3, Level::L2][..] } else { &[Level::L2][..] };
        for &level in levels {
            // In steps of one leaf of this size: the longest that is possible lies in [possible, impossible).
            let span = facts.geometry.pages_per_entry(level);
            let base = whole.start.align_down(span);
            let (mut possible, mut impossible) = (0, whole.end.offset_from(base).div_ceil(span));
            while possible + 1 < impossible {
                let middle = possible + (impossible - possible) / 2;
                if try_end(base.saturating_add(middle * span)) { possible = middle } else { impossible = middle }
            }
            let end = base.saturating_add(possible * span);
            if 0 < possible && try_end(end) {
                return Some(PfnRange::new(whole.start, end));
            }
        }
        None
    }
}

/// The end of the first step of `whole` that one table of level 1 could map.
fn first_step(facts: &Facts, whole: PfnRange) -> Pfn {
    let span = facts.geometry.pages_per_entry(Level::L2);
    whole.start.align_down(span).saturating_add(span).min(whole.end)
}

/// Cover: memory and nothing else. The first MiB is mapped in 4K pages whatever lies there.
fn range(facts: &Facts, pages: PfnRange) -> Range {
    let pieces: Vec<Piece> = merge_pieces(split_range(facts, pages));
    Range {
        past_end: PastEnd::ClearHolesAround,
        on_empty_gib: OnEmptyGib::Map,
        kept_large: KeptLarge::MovesLast,
        ..Range::new(pages, pieces)
    }
}

impl Strategy for SemanticBuilder {
    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        if !self.is_started {
            self.start(cx);
        }
        if self.todo.is_empty() {
            return Plan::Done;
        }
        Plan::Map(self.next_range(cx))
    }

    /// Reach: pages come from memory that live tables map, wherever it is.
    fn table_space(&mut self, _: &mut Context<'_>, _: &Range) -> TableSpace {
        if let Some(text) = self.stuck.take() {
            return TableSpace::Panic(text);
        }
        let end = self.mapped.last().map_or_else(Pfn::default, |last| last.end);
        TableSpace::PageByPage { uses_pool: false, window: PfnRange::new(Pfn::default(), end) }
    }

    /// Claim: taken and reserved in one step.
    fn page(&mut self, _: &mut Context<'_>, _: &PageQuestion) -> Page {
        match self.supply.take() {
            Some(page) => Page::TakeAndReserve(page),
            None => Page::Panic("a range needed more tables than were counted for it".to_owned()),
        }
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        supply::insert(&mut self.mapped, done.pages);
        let mapped = cx.facts().max_pfn_mapped.max(done.last_mapped);
        cx.set_max_pfn_mapped(mapped);
    }
}

pgtlab_core::export_strategy!(
    SemanticBuilder,
    summary = "derived from the rules of building page tables",
    aliases = ["semantic"]
);
