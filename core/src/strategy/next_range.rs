// SPDX-License-Identifier: MIT OR Apache-2.0
//! The default plan: two ranges as in Linux 2.6.39, cut where there is no room for all of their tables.
//!
//! ```text
//!   0          mapped                       max_low_pfn      4 GiB                 max_pfn
//!   |############|...............................|              |......................|
//!    tables here  first range, or a first step of it             second, or its steps
//! ```

use super::{Context, Range, merge_pieces, split_range};
use crate::addr::{Pfn, PfnRange};
use crate::geometry::Level;

/// The longest range that comes next and whose tables find room, in one row, in memory that is mapped by now;
/// all that is left of low memory or of memory from 4 GiB on if there is room for none. Nothing when all is
/// mapped.
///
/// A step ends where a table of the lowest level does, so no table is left half full for the next one.
#[must_use]
pub fn next_range(cx: &Context<'_>) -> Option<Range> {
    let facts = cx.facts();
    let start = if facts.ranges_done == 0 { Pfn::default() } else { facts.last.pages.end };
    let whole = if start < facts.max_low_pfn {
        PfnRange::new(start, facts.max_low_pfn)
    } else {
        PfnRange::new(start.max(facts.low_end_pfn()), facts.max_pfn)
    };
    if whole.end <= whole.start {
        return None;
    }
    let mapped = cx.mapped();
    let has_room = |range: &Range| {
        let n = cx.tables_needed(range);
        n == 0 || mapped.iter().rev().any(|pages| cx.find_free_pages(*pages, n).is_some())
    };
    let until = |end: Pfn| {
        let pages = PfnRange::new(whole.start, end);
        Range::new(pages, merge_pieces(split_range(facts, pages)))
    };
    let all = until(whole.end);
    if has_room(&all) {
        return Some(all);
    }
    // In steps of one table: the longest with room lies in [possible, impossible).
    let span = facts.geometry.pages_per_entry(Level::L2);
    let base = whole.start.align_down(span);
    let (mut possible, mut impossible) = (0, whole.end.offset_from(base).div_ceil(span));
    while possible + 1 < impossible {
        let middle = possible + (impossible - possible) / 2;
        if has_room(&until(base.saturating_add(middle * span))) { possible = middle } else { impossible = middle }
    }
    Some(if 0 < possible { until(base.saturating_add(possible * span)) } else { all })
}
