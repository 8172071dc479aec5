// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ranges the kernel maps while it has one table buffer a range: low memory first, then what lies
//! above 4 GiB.

use crate::text;
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{Context, Plan, Range, merge_pieces, split_range};

/// `setup_arch`'s two calls of `init_memory_mapping` up to 3.6, with the lines they print:
/// `[0, max_low_pfn)`, then `[4 GiB, max_pfn)` if there is memory there, holes included.
pub fn low_then_high(cx: &mut Context<'_>) -> Plan {
    let facts = *cx.facts();
    let all = PfnRange::new(facts.low_end_pfn(), facts.max_pfn);
    let high = (facts.max_low_pfn < facts.max_pfn).then_some(all);
    low_then(cx, high)
}

/// Low memory, then these ranges above 4 GiB one by one, with the lines up to 3.4.
pub fn low_then(cx: &mut Context<'_>, high: impl IntoIterator<Item = PfnRange>) -> Plan {
    match next_of(cx, high) {
        Some(range) => {
            text::range(cx, &range);
            Plan::Map(range)
        }
        None => Plan::Done,
    }
}

/// The range whose turn it is: low memory, then these above 4 GiB.
#[must_use]
pub fn next_of(cx: &Context<'_>, high: impl IntoIterator<Item = PfnRange>) -> Option<Range> {
    let facts = cx.facts();
    let low = PfnRange::new(Pfn::default(), facts.max_low_pfn);
    let at = usize::try_from(facts.ranges_done).ok()?;
    let pages = std::iter::once(low).chain(high).nth(at)?;
    Some(Range::new(pages, merge_pieces(split_range(facts, pages))))
}

/// The regions of memory above 4 GiB, in whole pages, ascending.
#[must_use]
pub fn regions_above_4_gib(cx: &Context<'_>) -> Vec<PfnRange> {
    let facts = cx.facts();
    let all = PfnRange::new(facts.low_end_pfn(), facts.max_pfn);
    let regions = cx.memory().iter().map(|region| facts.geometry.whole_pages(*region).intersect(all));
    regions.filter(|pages| !pages.is_empty()).collect()
}
