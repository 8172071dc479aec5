// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many tables a machine needs, counted without building: those on the way to the largest leaf that is
//! switched on and whose aligned block lies inside one range of RAM, for all RAM, less those that exist before
//! the build.
//!
//! Nothing here uses the builder, memblock or a strategy: it is the count they are held against.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::strategy::{Boot, NativeMap};

/// What is there before the build.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before<'l> {
    layout: &'l Layout,
    native_map: NativeMap,
    /// The end of what is mapped.
    mapped_end: Pfn,
}

impl<'l> Before<'l> {
    /// As the boot code, or Xen's domain builder, leaves it.
    pub(super) fn of(layout: &'l Layout, boot: &Boot) -> Self {
        let geometry = &layout.geometry;
        let mapped_end = match (layout.backend, layout.xen) {
            (Backend::Xen, Some(xen)) => {
                // The kernel extends the builder's map by a table for each block, while it has pages for them.
                let per_table = geometry.entries();
                let mapped_end = geometry.pfn_up(xen.mapped_end).align_up(per_table);
                let extended = mapped_end.saturating_add(boot.identity_tables * per_table);
                extended.min(layout.max_pfn().align_up(per_table)).max(mapped_end)
            }
            _ => match boot.native_map {
                NativeMap::FirstGib => Pfn::new(geometry.pages_per_entry(Level::L3)),
                NativeMap::OnDemand => geometry.end_of_map(),
            },
        };
        Self { layout, native_map: boot.native_map, mapped_end }
    }

    /// Whether the page is mapped.
    pub(super) fn is_mapped(&self, page: Pfn) -> bool {
        page < self.mapped_end
    }

    /// Whether the table of this level that begins at `start` exists: natively the chain to the first GiB's
    /// leaves, under Xen all that map what is mapped.
    fn has_table(&self, level: Level, start: Pfn) -> bool {
        match (self.layout.backend, self.native_map) {
            (Backend::Native, NativeMap::FirstGib) => start == Pfn::default() && Level::L1 < level,
            (Backend::Native, NativeMap::OnDemand) => false,
            (Backend::Xen, _) => start < self.mapped_end,
        }
    }

    /// The tables that do not exist of those on the way to a leaf for the page, from the lowest up.
    pub(super) fn missing(&self, page: Pfn, lowest: Level) -> impl Iterator<Item = (Level, Pfn)> {
        let geometry = self.layout.geometry;
        let levels = (lowest.get()..geometry.root_level().get()).map(Level::new);
        let place = move |level| (level, page.align_down(geometry.pages_per_table(level)));
        let before = *self;
        levels.map(place).filter(move |(level, start)| !before.has_table(*level, *start))
    }
}

/// How many tables have to be made, whatever the order.
#[must_use]
pub fn n_tables(layout: &Layout, boot: &Boot) -> u64 {
    let geometry = &layout.geometry;
    let before = Before::of(layout, boot);
    let isa = PfnRange::new(Pfn::default(), geometry.pfn_up(geometry.isa_end));
    // Ascending, so that a table met before is the last of its level.
    let mut last = [None; 8];
    let mut n = 0;
    let mut count = |page: Pfn, lowest: Level| {
        for (level, start) in before.missing(page, lowest) {
            let last = &mut last[usize::from(level.get())];
            if *last != Some(start) {
                *last = Some(start);
                n += 1;
            }
        }
    };
    let block = geometry.pages_per_entry(Level::L2);
    (0..isa.end.get()).step_by(usize::try_from(block).unwrap_or(1)).for_each(|page| count(Pfn::new(page), Level::L1));
    for region in ram(layout) {
        let mut at = region.start.max(isa.end);
        while at < region.end {
            let (pages, lowest) = largest_leaf(layout, region, at);
            count(at, lowest);
            // One page needs what all pages up to the next block need.
            at = pages.end.max(at.saturating_add(1).align_up(block)).min(region.end);
        }
    }
    n
}

/// The largest leaf that is switched on, begins at `at` and lies inside the region: its pages, and the level
/// of the lowest table on the way to it.
pub(super) fn largest_leaf(layout: &Layout, region: PfnRange, at: Pfn) -> (PfnRange, Level) {
    let geometry = &layout.geometry;
    let features = layout.features();
    let sizes = [(Level::L3, features.gbpages), (Level::L2, features.pse)];
    for (level, _) in sizes.into_iter().filter(|(_, is_on)| *is_on) {
        let span = geometry.pages_per_entry(level);
        let end = at.saturating_add(span);
        if at == at.align_down(span) && end <= region.end {
            return (PfnRange::new(at, end), level);
        }
    }
    (PfnRange::new(at, at.saturating_add(1)), Level::L1)
}

/// RAM in whole pages, neighbours joined, ascending.
pub(super) fn ram(layout: &Layout) -> Vec<PfnRange> {
    let mut joined: Vec<pgtlab_core::addr::PhysRange> = Vec::new();
    for range in layout.e820.ram() {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined.into_iter().map(|range| layout.geometry.whole_pages(range)).filter(|pages| !pages.is_empty()).collect()
}
