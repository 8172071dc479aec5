// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a small machine can be mapped at all, found without building: is there an order of mapping in
//! which each table finds a page that is mapped by then?
//!
//! Nothing here uses the builder, memblock or a strategy: it is what they are held against. A *unit* is what
//! one leaf maps: the largest leaf that is switched on and whose aligned block lies inside one range of RAM.
//! The first MiB is mapped in pages as a whole.

use super::needed::{Before, largest_leaf, ram};
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::strategy::Boot;
use std::collections::HashSet;

/// What is mapped at one time.
#[derive(Clone, Copy, Debug)]
struct Unit {
    /// Tables it needs that do not exist before the build, by their places in [`Puzzle::tables`].
    tables: u128,
    /// Pages of it that are free memory, and not mapped before the build.
    gain: u32,
    /// Pages of it that are free memory, and mapped before the build.
    n_mapped_free: u32,
}

/// A machine as a puzzle: what is to be mapped, and with what.
#[derive(Clone, Debug)]
pub struct Puzzle {
    /// At most 64, so that a set of them is a word.
    units: Vec<Unit>,
    /// Tables that are to be made, by level and first page; at most 128.
    tables: Vec<(Level, Pfn)>,
    /// Free pages that are mapped before the build.
    n_free: u32,
}

impl Puzzle {
    /// Of a machine as the boot code, or Xen's domain builder, leaves it; `None` if it has too many units or
    /// tables for a search.
    #[must_use]
    pub fn of(layout: &Layout, boot: &Boot) -> Option<Self> {
        let geometry = &layout.geometry;
        let before = Before::of(layout, boot);
        let reserved = reserved(layout, boot);
        let ram = ram(layout);
        let is_free = |page: Pfn| {
            page != Pfn::default()
                && ram.iter().any(|ram| ram.contains(page))
                && !reserved.iter().any(|taken| taken.contains(page))
        };
        let n_free = |pages: PfnRange, is_mapped: bool| {
            let wanted = |page: &Pfn| is_free(*page) && before.is_mapped(*page) == is_mapped;
            u32::try_from(each(pages).filter(wanted).count()).ok()
        };
        let isa = PfnRange::new(Pfn::default(), geometry.pfn_up(geometry.isa_end));
        let mut leaves: Vec<(PfnRange, Level)> = each(isa).map(|page| (one(page), Level::L1)).collect();
        for region in &ram {
            let mut at = region.start.max(isa.end);
            while at < region.end {
                let leaf = largest_leaf(layout, *region, at);
                at = leaf.0.end;
                leaves.push(leaf);
            }
            if MOST_UNITS < leaves.len() {
                return None;
            }
        }
        let mut puzzle = Self { units: Vec::new(), tables: Vec::new(), n_free: 0 };
        for (pages, lowest) in leaves {
            let mut tables = 0;
            for place in before.missing(pages.start, lowest) {
                let known = puzzle.tables.iter().position(|table| *table == place);
                let at = known.unwrap_or_else(|| {
                    puzzle.tables.push(place);
                    puzzle.tables.len() - 1
                });
                tables |= 1_u128.checked_shl(u32::try_from(at).ok()?)?;
            }
            puzzle.units.push(Unit { tables, gain: n_free(pages, false)?, n_mapped_free: n_free(pages, true)? });
        }
        puzzle.n_free = ram.iter().try_fold(0_u32, |sum, ram| Some(sum + n_free(*ram, true)?))?;
        Some(puzzle)
    }

    /// Whether there is an order of mapping in which each unit's tables find pages that are mapped by then
    /// and lie outside it.
    ///
    /// It errs towards yes: which pages were taken before is chosen anew for each unit.
    #[must_use]
    pub fn is_solvable(&self) -> bool {
        let all = (0..self.units.len()).fold(0_u64, |all, at| all | 1 << at);
        let mut seen = HashSet::new();
        let mut todo = vec![State { done: 0, made: 0, n_mapped: self.n_free }];
        while let Some(mut state) = todo.pop() {
            // What costs no more than it brings is mapped at once: that is never a loss.
            loop {
                let is_no_loss = |at: &usize| state.cost(self.units[*at]) <= self.units[*at].gain;
                let Some(at) = self.possible(state).find(is_no_loss) else { break };
                state = state.with(at, self.units[at]);
            }
            if state.done == all {
                return true;
            }
            if seen.insert(state.done) {
                todo.extend(self.possible(state).map(|at| state.with(at, self.units[at])));
            }
        }
        false
    }

    fn possible(&self, state: State) -> impl Iterator<Item = usize> + '_ {
        (0..self.units.len()).filter(move |&at| {
            let unit = self.units[at];
            let outside = state.n_mapped - unit.n_mapped_free;
            state.done >> at & 1 == 0 && state.cost(unit) <= state.n_left().min(outside)
        })
    }
}

/// As many as a word has bits.
const MOST_UNITS: usize = 64;

#[derive(Clone, Copy, Debug)]
struct State {
    done: u64,
    made: u128,
    /// Free pages mapped so far, those that became tables included.
    n_mapped: u32,
}

impl State {
    const fn cost(self, unit: Unit) -> u32 {
        (unit.tables & !self.made).count_ones()
    }

    const fn n_left(self) -> u32 {
        self.n_mapped - self.made.count_ones()
    }

    const fn with(self, at: usize, unit: Unit) -> Self {
        Self { done: self.done | 1 << at, made: self.made | unit.tables, n_mapped: self.n_mapped + unit.gain }
    }
}

/// Memory that is in use before the build.
fn reserved(layout: &Layout, boot: &Boot) -> Vec<PfnRange> {
    let geometry = &layout.geometry;
    let before = layout.reserved_before_the_build();
    let mut reserved: Vec<PfnRange> = before.map(|reservation| geometry.touched_pages(reservation.range)).collect();
    reserved.push(geometry.touched_pages(layout.kernel));
    let brk = geometry.pfn_down(layout.brk);
    if let (Backend::Xen, Some(xen)) = (layout.backend, layout.xen) {
        let frames_end = geometry.pfn_down(xen.pt_base).saturating_add(xen.pt_frames);
        reserved.push(PfnRange::new(geometry.pfn_down(xen.mfn_list), frames_end));
        reserved.push(PfnRange::new(brk, brk.saturating_add(boot.identity_tables)));
    }
    reserved
}

const fn one(page: Pfn) -> PfnRange {
    PfnRange::new(page, page.saturating_add(1))
}

fn each(pages: PfnRange) -> impl Iterator<Item = Pfn> {
    (pages.start.get()..pages.end.get()).map(Pfn::new)
}
