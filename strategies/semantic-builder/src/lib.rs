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
//!   lies half over a hole is split by the 4K piece that ends there, and what the leaf mapped besides stays
//!   mapped: tables may lie in it.
//!
//! **Where tables go.** First into free blocks below the crash-kernel line that are not the largest one there,
//! so that room for a crash kernel stays; then as high as memory is mapped; the first MiB and the largest
//! low block come last. Where that cannot hold the tables of all there is, memory above the line is mapped
//! first, whose pages hold the tables of the rest. So no strategy of this tree leaves more room on any golden machine or any of the
//! corpus. One that breaks Reach can on others, where nothing but that block is mapped at the start: it takes no
//! page of the room for the first step, since it puts tables where nothing is mapped yet; and one with a pool
//! in the kernel image does not either. Neither is done here: the one dies under Xen, the other keeps its pool
//! from everybody where it is not needed.
//!
//! **Option `node_local`.** Tables lie on the node of the memory they map, all but those of the node's first
//! step (see `nodes`). As many tables are made, and as much room is left for a crash kernel; it is not the
//! default, for it takes more ranges and most layouts name no nodes.
//!
//! **If it works.** It boots every machine on which the free memory mapped at the start can hold the tables of
//! a first step. **If it does not,** it says so at the first table-space question, with nothing taken.

mod nodes;
mod supply;

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::strategy::{
    Context, Facts, KeptLarge, OnEmptyGib, OptionSpec, Options, Page, PageQuestion, PastEnd, Piece, Plan, Range,
    RangeDone, SplitLarge, Strategy, TableSpace, merge_pieces, split_range,
};
use std::cmp::Reverse;
use supply::{Free, Supply, Use};

/// See the crate's page.
#[derive(Debug, Default)]
pub struct SemanticBuilder {
    /// The option `node_local`.
    is_node_local: bool,
    is_started: bool,
    /// Memory still to be mapped, ascending.
    todo: Vec<PfnRange>,
    /// What live tables map, ascending and merged.
    mapped: Vec<PfnRange>,
    /// What the range at hand maps.
    at_hand: Vec<PfnRange>,
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
        if self.is_node_local {
            let parts = self.todo.drain(..).flat_map(|part| nodes::cut_at_nodes(facts, cx.nodes(), part));
            self.todo = parts.collect();
        }
        self.is_started = true;
    }

    /// The range with which the build can go on.
    fn next_range(&mut self, cx: &Context<'_>) -> Range {
        let free = Free::find(cx, &self.mapped);
        let n_tables = self.tables_for_all(cx);
        // Room for a crash kernel is given up only where nothing else lets the build go on.
        for least in [Use::High, Use::FirstMib, Use::CrashKernelRoom] {
            let has_plenty = n_tables <= Supply::outside(cx.facts(), &free, PfnRange::default(), &[], least).len();
            for whole in self.in_order(cx.facts(), has_plenty, least) {
                let is_no_loss = |pages: &PfnRange| has_plenty || self.cost(cx, &[*pages]) <= free.gain(*pages);
                let chosen = self.steps(cx, &free, whole, least).into_iter().find(is_no_loss);
                if let Some(pages) = chosen.filter(|pages| self.can_map(cx, &free, &[*pages], least)) {
                    return self.choose(cx, &free, &[pages], least);
                }
            }
        }
        // Piece by piece all that is left costs more tables than it brings. Pieces that share tables may bring
        // more together; else what brings most goes first.
        match self.together(cx, &free).or_else(|| self.least_loss(cx, &free)) {
            Some(parts) => self.choose(cx, &free, &parts, Use::CrashKernelRoom),
            None => self.give_up(cx, &free),
        }
    }

    /// What is to do, in the order in which it is tried: ascending. If what is at hand cannot hold the tables of all of
    /// it, or room for a crash kernel would, then memory above the crash-kernel line comes first: what of it is mapped
    /// provides for all the rest.
    ///
    /// ```text
    /// to do             |------------------------------|     |---------|
    ///                             line ^
    /// short of pages    |------3-------|------1--------|     |----2----|
    /// ```
    fn in_order(&self, facts: &Facts, has_plenty: bool, least: Use) -> Vec<PfnRange> {
        if has_plenty && least != Use::CrashKernelRoom {
            return self.todo.clone();
        }
        let leaf = if facts.switches.gbpages { Level::L3 } else { Level::L2 };
        let line = facts.geometry.pfn_down(facts.geometry.crashkernel_end);
        // Where no leaf is cut.
        let line = line.align_up(facts.geometry.pages_per_entry(leaf));
        let parts = self.todo.iter().flat_map(|part| {
            [PfnRange::new(part.start, part.end.min(line)), PfnRange::new(part.start.max(line), part.end)]
        });
        let mut parts: Vec<PfnRange> = parts.filter(|part| !part.is_empty()).collect();
        parts.sort_by_key(|part| part.start < line);
        parts
    }

    /// What may be mapped next of `whole`, best first.
    fn steps(&self, cx: &Context<'_>, free: &Free, whole: PfnRange, least: Use) -> Vec<PfnRange> {
        let first = PfnRange::new(whole.start, self.first_step(cx.facts(), whole));
        let longest = self.most_possible(cx, free, whole, least).map(|longest| [longest, first]);
        let home = self.home(cx, whole);
        if home.is_empty() {
            return longest.into_iter().flatten().collect();
        }
        let at_home = self.most_possible(cx, &free.mapped_within(&home), whole, least);
        // A first step elsewhere is worth its range only if tables of the rest may lie in what it maps.
        let is_provider = 0 < free.gain(first) && 0 < Supply::of_new(cx.facts(), free, first, least).len();
        let elsewhere = longest.into_iter().flat_map(|[longest, first]| [is_provider.then_some(first), Some(longest)]);
        at_home.into_iter().chain(elsewhere.flatten()).collect()
    }

    /// The pages of the node on which tables for these pages should lie, if any should.
    fn home(&self, cx: &Context<'_>, pages: PfnRange) -> Vec<PfnRange> {
        if self.is_node_local { nodes::home(&cx.facts().geometry, cx.nodes(), pages) } else { Vec::new() }
    }

    /// Takes the parts from what is to do, and sets aside where their tables come from.
    fn choose(&mut self, cx: &Context<'_>, free: &Free, parts: &[PfnRange], least: Use) -> Range {
        let pages = hull(parts);
        self.supply = Supply::outside(cx.facts(), free, pages, &self.home(cx, pages), least);
        let rest = self.todo.iter().flat_map(|part| {
            let below = PfnRange::new(part.start, part.end.min(pages.start));
            let above = PfnRange::new(part.start.max(pages.end), part.end);
            [below, above]
        });
        self.todo = rest.filter(|part| !part.is_empty()).collect();
        self.at_hand = parts.to_vec();
        range(cx.facts(), parts)
    }

    fn give_up(&mut self, cx: &Context<'_>, free: &Free) -> Range {
        let facts = cx.facts();
        let first = self.todo.first().copied().unwrap_or_default();
        let step = PfnRange::new(first.start, self.first_step(facts, first));
        let have = Supply::outside(facts, free, step, &[], Use::CrashKernelRoom).len();
        let more = self.cost(cx, &[step]).saturating_sub(have);
        let bytes = facts.geometry.bytes(first);
        self.stuck = Some(format!(
            "no builder can map this machine: {more} more mapped pages are needed before [mem {:#018x}-{:#018x}]",
            bytes.start,
            bytes.end.saturating_sub(1)
        ));
        range(facts, &[step])
    }

    /// Tables that mapping the parts takes.
    fn cost(&self, cx: &Context<'_>, parts: &[PfnRange]) -> u64 {
        cx.tables_needed(&range(cx.facts(), parts))
    }

    /// The tables that all there is to do needs, in whatever order it is mapped. One question: asked for each part
    /// it would cost, over all steps, the square of their number.
    fn tables_for_all(&self, cx: &Context<'_>) -> u64 {
        self.cost(cx, &self.todo)
    }

    /// Progress: whether the tables of the range find room in mapped free memory outside it, of blocks used
    /// at least as willingly as `least`.
    fn can_map(&self, cx: &Context<'_>, free: &Free, parts: &[PfnRange], least: Use) -> bool {
        self.cost(cx, parts) <= Supply::outside(cx.facts(), free, hull(parts), &[], least).len()
    }

    /// The longest start of `whole` that can be mapped. Ends inside `whole` are those of the largest leaves,
    /// so that none is given away. Where room for a crash kernel is used to map memory above it, one leaf
    /// is enough: what it maps provides for the rest.
    fn most_possible(&self, cx: &Context<'_>, free: &Free, whole: PfnRange, least: Use) -> Option<PfnRange> {
        let facts = *cx.facts();
        let up_to = |end: Pfn| PfnRange::new(whole.start, end);
        let can_end = |end: Pfn| self.can_map(cx, free, &[up_to(end)], least);
        let first = self.first_step(&facts, whole);
        let line = facts.geometry.pfn_down(facts.geometry.crashkernel_end);
        if least == Use::CrashKernelRoom && line <= whole.start {
            return can_end(first).then(|| up_to(first));
        }
        if can_end(whole.end) {
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
                if can_end(base.saturating_add(middle * span)) { possible = middle } else { impossible = middle }
            }
            if 0 < possible {
                return Some(up_to(base.saturating_add(possible * span)));
            }
        }
        can_end(first).then(|| up_to(first))
    }

    /// The end of the smallest step from the start of `whole`: what one table of level 1 could map. Of what
    /// the boot code has mapped by a large leaf a page will do: the table keeps the rest of it, so the other
    /// pages of the leaf can become that table.
    fn first_step(&self, facts: &Facts, whole: PfnRange) -> Pfn {
        let span = facts.geometry.pages_per_entry(Level::L2);
        let base = whole.start.align_down(span);
        let block = PfnRange::new(base, base.saturating_add(span));
        let is_large = facts.switches.pse && whole.covers(block);
        let is_mapped = self.mapped.iter().any(|mapped| mapped.contains(whole.start));
        if is_mapped && !is_large { whole.start.saturating_add(1) } else { block.end.min(whole.end) }
    }

    /// All there is to do below one table, of any level, that costs no more tables than it brings.
    fn together(&self, cx: &Context<'_>, free: &Free) -> Option<Vec<PfnRange>> {
        let geometry = cx.facts().geometry;
        (Level::L1.get()..geometry.root_level().get()).find_map(|level| {
            let span = geometry.pages_per_table(Level::new(level));
            let mut bases: Vec<Pfn> = self.todo.iter().map(|part| part.start.align_down(span)).collect();
            bases.dedup();
            let groups = bases.into_iter().map(|base| self.within(PfnRange::new(base, base.saturating_add(span))));
            let is_no_loss = |parts: &Vec<PfnRange>| {
                let gain = parts.iter().map(|part| free.gain(*part)).sum::<u64>();
                self.cost(cx, parts) <= gain && self.can_map(cx, free, parts, Use::CrashKernelRoom)
            };
            groups.into_iter().find(is_no_loss)
        })
    }

    /// What there is to do inside the pages.
    fn within(&self, pages: PfnRange) -> Vec<PfnRange> {
        self.todo.iter().map(|part| part.intersect(pages)).filter(|part| !part.is_empty()).collect()
    }

    /// The smallest step, of all there is to do, that can be mapped: the one that brings most, and of those
    /// that bring alike the one that costs least.
    fn least_loss(&self, cx: &Context<'_>, free: &Free) -> Option<Vec<PfnRange>> {
        let steps = self.todo.iter().flat_map(|part| {
            let mut rest = *part;
            std::iter::from_fn(move || {
                let step = PfnRange::new(rest.start, self.first_step(cx.facts(), rest));
                let is_over = rest.is_empty();
                rest.start = step.end;
                (!is_over).then(|| self.within(step))
            })
        });
        let worth = |step: &Vec<PfnRange>| {
            let gain = step.iter().map(|part| free.gain(*part)).sum::<u64>();
            (gain, Reverse(self.cost(cx, step)))
        };
        steps.filter(|step| self.can_map(cx, free, step, Use::CrashKernelRoom)).max_by_key(worth)
    }
}

/// From the first part to the last.
fn hull(parts: &[PfnRange]) -> PfnRange {
    match (parts.first(), parts.last()) {
        (Some(first), Some(last)) => PfnRange::new(first.start, last.end),
        _ => PfnRange::default(),
    }
}

/// Cover: memory and nothing else. The first MiB is mapped in 4K pages whatever lies there.
fn range(facts: &Facts, parts: &[PfnRange]) -> Range {
    let pieces: Vec<Piece> = parts.iter().flat_map(|part| merge_pieces(split_range(facts, *part))).collect();
    Range {
        past_end: PastEnd::ClearHolesAround,
        on_empty_gib: OnEmptyGib::Map,
        kept_large: KeptLarge::MovesLast,
        split_large: SplitLarge::KeepsRest,
        ..Range::new(hull(parts), pieces)
    }
}

impl Strategy for SemanticBuilder {
    fn configure(&mut self, options: &Options) {
        self.is_node_local = options.flag("node_local");
    }

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
        self.at_hand.drain(..).for_each(|part| supply::insert(&mut self.mapped, part));
        let mapped = cx.facts().max_pfn_mapped.max(done.last_mapped);
        cx.set_max_pfn_mapped(mapped);
    }
}

pgtlab_core::export_strategy!(
    SemanticBuilder,
    summary = "derived from the rules of building page tables",
    aliases = ["semantic"],
    options = [OptionSpec::flag("node_local", "false", "tables on the node of the memory they map")],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<SemanticBuilder>();
    }
}
