// SPDX-License-Identifier: MIT OR Apache-2.0
//! `find_early_table_space`: how large the table buffer is made, and where it is put.

use crate::text;
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::table_count::pages_from_zero;
use pgtlab_core::strategy::{Context, Range, RangeDone, TableSpace};

/// What the kernel says when no place is found.
pub const NO_SPACE: &str = "Cannot find space for the kernel page tables";

/// The buffer of 2.6.39 ("put early page table high", 4b239f458c22): as high as it fits below the end of the
/// range that is about to be mapped.
pub fn high(cx: &mut Context<'_>, range: &Range) -> TableSpace {
    let window = PfnRange::new(Pfn::default(), range.pages.end);
    from_zero(cx, range, window)
}

/// The buffer of 2.6.38 and before: as high as it fits below what is mapped already.
pub fn low(cx: &mut Context<'_>, range: &Range) -> TableSpace {
    let facts = cx.facts();
    let start = facts.geometry.pfn_down(facts.geometry.low_tables_start);
    let window = PfnRange::new(start, facts.max_pfn_mapped);
    from_zero(cx, range, window)
}

fn from_zero(cx: &mut Context<'_>, range: &Range, window: PfnRange) -> TableSpace {
    let n = pages_from_zero(cx.facts(), range.pages.end);
    place(cx, window, n, |cx, buffer| text::tables(cx, range.pages, buffer))
}

/// One buffer of `n` pages, as high as it fits in the window, and the line that tells of it.
pub fn place(
    cx: &mut Context<'_>,
    window: PfnRange,
    n: u64,
    tell: impl FnOnce(&mut Context<'_>, PfnRange),
) -> TableSpace {
    match cx.find_free_pages(window, n) {
        Some(buffer) => {
            tell(cx, buffer);
            TableSpace::Buffer(buffer)
        }
        None => TableSpace::Panic(NO_SPACE.to_owned()),
    }
}

/// The end of `init_memory_mapping`: the used part of the buffer is reserved, and memory counts as mapped
/// up to where the fill came.
pub fn reserve_used(cx: &mut Context<'_>, done: &RangeDone) {
    cx.reserve_pages(done.buf.used(), "PGTABLE");
    cx.set_max_pfn_mapped(done.last_mapped);
}
