// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ranges the kernel maps: up to 3.7 low memory, then everything from 4 GiB on, holes included.

use crate::text;
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{Context, Plan, Range, merge_pieces, split_range};

/// `setup_arch`'s two calls of `init_memory_mapping`, with the lines they print: `[0, max_low_pfn)`, then
/// `[4 GiB, max_pfn)` if there is memory there.
pub fn low_then_high(cx: &mut Context<'_>) -> Plan {
    let facts = *cx.facts();
    let pages = match facts.ranges_done {
        0 => PfnRange::new(Pfn::default(), facts.max_low_pfn),
        1 if facts.max_low_pfn < facts.max_pfn => PfnRange::new(facts.low_end_pfn(), facts.max_pfn),
        _ => return Plan::Done,
    };
    let range = Range::new(pages, merge_pieces(split_range(&facts, pages)));
    text::range(cx, &range);
    Plan::Map(range)
}
