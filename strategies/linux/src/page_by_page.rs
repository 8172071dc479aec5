// SPDX-License-Identifier: MIT OR Apache-2.0
//! What kernels have in common that take tables page by page, from 3.9 on: what they find, where pages come from, and
//! how far memory is mapped after a range.

use pgtlab_core::addr::PfnRange;
use pgtlab_core::strategy::top_down::TopDown;
use pgtlab_core::strategy::{
    Boot, BuilderFrames, Context, Facts, MaxPfnMapped, Memtest, NativeMap, NodeData, Range, RangeDone, TableSpace,
};

/// Natively nothing is mapped, a page-fault handler maps what is touched; so many BRK pages are a pool for tables.
#[must_use]
pub const fn boot(facts: &Facts, pool_pages: u64) -> Boot {
    Boot {
        native_map: NativeMap::OnDemand,
        identity_tables: 0,
        builder_frames: BuilderFrames::GivenBack,
        max_pfn_mapped: MaxPfnMapped::Nothing,
        pool_pages,
        node_data: NodeData::Once,
        has_range_array: false,
        memtest: Memtest::Once,
        ..Boot::new(facts)
    }
}

/// The pool, except for the range that maps the pool's own pages; else memory that earlier blocks mapped.
#[must_use]
pub fn table_space(facts: &Facts, descent: &TopDown, range: &Range) -> TableSpace {
    TableSpace::PageByPage {
        uses_pool: !range.pages.overlaps(facts.pool.rest()),
        window: PfnRange::new(descent.mapped_from(), facts.max_pfn_mapped),
    }
}

/// Memory counts as mapped up to the highest page that any range came to.
pub fn range_done(cx: &mut Context<'_>, done: &RangeDone) {
    let mapped = cx.facts().max_pfn_mapped.max(done.last_mapped);
    cx.set_max_pfn_mapped(mapped);
}
