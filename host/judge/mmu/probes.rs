// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pages of a direct map are tried.
//!
//! ```text
//!        ..absent| a run of the map: whole if it is short             |absent..
//!             x  |xx      x   x        x  x         x   x           xx|  x
//!                 edges   two pages of each table that maps it   edges
//! ```

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::geometry::Geometry;
use pgtlab_core::permission::PermissionMap;
use std::collections::BTreeSet;

/// A run of at most so many pages is tried as a whole.
const SHORT: u64 = 256;
/// At the edges of a run so many pages are tried.
const EDGE: u64 = 2;
/// Which page of a table is tried besides the first one it maps of a run: another one in each, all in turn.
const STRIDE: u64 = 37;

/// The pages to try: every run's edges, the pages around it, and of every table that maps it one or two.
#[must_use]
pub fn choose(map: &PermissionMap, geometry: &Geometry) -> Vec<Pfn> {
    let mut pages = BTreeSet::new();
    let mut all = |range: PfnRange| pages.extend((range.start.get()..range.end.get()).map(Pfn::new));
    for mapping in map.mappings() {
        let PfnRange { start, end } = mapping.pages;
        let around = PfnRange::new(start.saturating_sub(1), end.saturating_add(1));
        if around.len() <= SHORT {
            all(around);
            continue;
        }
        all(PfnRange::new(around.start, start.saturating_add(EDGE)));
        all(PfnRange::new(end.saturating_sub(EDGE), around.end));
        let (per_table, per_entry) = (geometry.pages_per_table(mapping.level), geometry.pages_per_entry(mapping.level));
        let mut table = start.align_down(per_table);
        while table < end {
            let number = table.get() / per_table;
            let slot = number.wrapping_mul(STRIDE) % geometry.entries();
            // Any page of a large leaf is as good as another: the last and the first are edges of others.
            let inner = table.saturating_add(slot * per_entry + number % per_entry);
            for page in [table, inner].into_iter().filter(|page| mapping.pages.contains(*page)) {
                all(PfnRange::new(page, page.saturating_add(1)));
            }
            table = table.saturating_add(per_table);
        }
    }
    // Nothing is mapped behind the map's end, and page 0 has none before it.
    let end = map.end();
    all(PfnRange::new(end, end.saturating_add(1)));
    pages.into_iter().filter(|page| *page < geometry.end_of_map()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgtlab_core::build::{Watch, boot};
    use pgtlab_core::layout::Layout;
    use pgtlab_core::strategy::Strategy;

    struct Plain;

    impl Strategy for Plain {}

    #[test]
    fn edges_what_lies_around_them_and_every_table_are_tried() {
        let text = "e820 0 9f000 1\ne820 100000 60000000 1\nkernel 1000000 2000000\npse 0\n";
        let layout = Layout::parse(text, "machine").expect("the layout is sound");
        let built = boot(&layout, &mut Plain, Watch::RULES).expect("the layout holds together");
        let map = built.map.expect("the boot completes");
        let pages = choose(&map, &layout.geometry);
        for mapping in map.mappings() {
            let (first, behind) = (mapping.pages.start, mapping.pages.end);
            let last = behind.saturating_sub(1);
            for page in [first.saturating_sub(1), first, last, behind] {
                assert!(pages.contains(&page), "{page:x} beside {:x?}", mapping.pages);
            }
            let n = mapping.pages.len() / layout.geometry.pages_per_table(mapping.level);
            let within = pages.iter().filter(|page| mapping.pages.contains(**page)).count() as u64;
            assert!(n <= within, "{within} pages of {n} tables");
        }
        assert!(pages.is_sorted() && pages.contains(&map.end()));
    }
}
