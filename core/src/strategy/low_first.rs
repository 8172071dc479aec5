// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ranges a kernel maps that has one table buffer a range: low memory first, then what lies above 4 GiB.

use super::{Context, Range, merge_pieces, split_range};
use crate::addr::{Pfn, PfnRange};

/// The range whose turn it is: low memory, then these above 4 GiB.
#[must_use]
pub fn low_then(cx: &Context<'_>, high: impl IntoIterator<Item = PfnRange>) -> Option<Range> {
    let facts = cx.facts();
    let low = PfnRange::new(Pfn::default(), facts.max_low_pfn);
    let at = usize::try_from(facts.ranges_done).ok()?;
    let pages = std::iter::once(low).chain(high).nth(at)?;
    Some(Range::new(pages, merge_pieces(split_range(facts, pages))))
}

/// All that lies above 4 GiB as one range, holes included; nothing if there is no memory there.
#[must_use]
pub fn all_above_4_gib(cx: &Context<'_>) -> Option<PfnRange> {
    let facts = cx.facts();
    let all = PfnRange::new(facts.low_end_pfn(), facts.max_pfn);
    (facts.max_low_pfn < facts.max_pfn).then_some(all)
}

/// The regions of memory above 4 GiB, in whole pages, ascending.
#[must_use]
pub fn regions_above_4_gib(cx: &Context<'_>) -> Vec<PfnRange> {
    let facts = cx.facts();
    let all = PfnRange::new(facts.low_end_pfn(), facts.max_pfn);
    let regions = cx.memory().iter().map(|region| facts.geometry.whole_pages(*region).intersect(all));
    regions.filter(|pages| !pages.is_empty()).collect()
}
