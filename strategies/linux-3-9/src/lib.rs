// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux 3.9 (3.9.6): the builder written anew, 8d57470d8f85 (Yinghai Lu, November 2012), page tables set
//! up from the top down, "Suggested-by: H. Peter Anvin". The answer that history gave to the question of
//! the thread; the hook is gone.
//!
//! **Mechanism.** Boot: natively nothing is mapped, a page-fault handler maps what is touched; five BRK
//! pages are a pool for tables. Plan: the first MiB; then down from the highest free 2 MiB in blocks that
//! grow 32 times whenever one holds more memory than all before it; then what lies above. Only memory is
//! mapped, region by region, and a piece may use larger leaves where the block around it lies in one
//! region. Table space: page by page; from the pool, unless the range maps the pool itself, else the
//! highest free page that earlier blocks mapped. Page: reserved as it is taken. Access: through the direct
//! map. Xen's code masks nothing.
//!
//! **If it works.** Reach, Guard, Claim and Return hold on every machine, and Xen is right by construction:
//! a page is mapped by live tables, reserved and outside the range before it becomes a table, so the one
//! leaf for it is found and made read-only. Nothing is set aside, so nothing is to be given back. Under Xen
//! all seven rules hold on every golden machine but 12.
//!
//! **If it does not.** Progress breaks first where a block's tables outgrow all that was mapped before it:
//! a machine whose memory is one run up to 0x3004600000, in 4K pages, panics with "alloc_low_page: can not
//! alloc memory" (12 and 13). Cover breaks where a leaf of 1 GiB from an earlier block is split and its
//! rest beyond the range is not mapped again (17): pieces are merged before they are raised to larger
//! leaves, so the piece below 2 GiB is no longer eligible. Least breaks natively where the pool is not used
//! up.
//!
//! **How that looked.** The lost rest is where NODE_DATA goes, and the kernel dies in it; it was reported
//! with `mem=2G`, and 3.10 raises before it merges (7de3d66b1387). The growth was mended in 3.19
//! (132978b94e66, Jan Beulich). Both ids are recalled, not looked up; both deaths are those of the kernel's
//! own code.

use pgtlab_core::addr::PfnRange;
use pgtlab_core::strategy::top_down::{Growth, Probe, TopDown};
use pgtlab_core::strategy::{
    Boot, Context, Page, PageQuestion, Plan, Range, RangeDone, Strategy, TableSpace, merge_pieces, raise_pieces,
    split_range,
};
use pgtlab_linux::{mem_text, page_by_page};

/// See the crate's page.
#[derive(Debug)]
pub struct Linux3_9 {
    descent: TopDown,
}

impl Default for Linux3_9 {
    fn default() -> Self {
        Self { descent: TopDown::new(Growth::PastAllBefore, Probe::WholeLeaf) }
    }
}

impl Strategy for Linux3_9 {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        mem_text::last_pfn(cx);
        page_by_page::boot(cx.facts(), cx.facts().geometry.pool_pages)
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        let facts = *cx.facts();
        if facts.ranges_done == 0 && facts.switches.gbpages {
            cx.printk("Using GB pages for direct mapping");
        }
        let Some(pages) = self.descent.next_pages(cx) else { return Plan::Done };
        // Merged first, raised afterwards: what 3.10 turned round.
        let pieces = raise_pieces(&facts, cx.memory(), merge_pieces(split_range(&facts, pages)));
        let range = Range::of_memory(pages, pieces);
        mem_text::range(cx, &range);
        Plan::Map(range)
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        page_by_page::table_space(cx.facts(), &self.descent, range)
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
        let page = question.default_page(cx);
        match page {
            Page::Take(first) => mem_text::pool_pages(cx, PfnRange::new(first, first.saturating_add(1))),
            Page::Panic(_) if question.window.is_empty() => {
                return Page::Panic("alloc_low_page: ran out of memory".to_owned());
            }
            Page::TakeAndReserve(_) | Page::Panic(_) => {}
        }
        page
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        page_by_page::range_done(cx, done);
    }
}

pgtlab_core::export_strategy!(
    Linux3_9,
    summary = "Linux 3.9: memory from the top down in growing steps, tables page by page",
    aliases = ["v3.9"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<Linux3_9>();
    }
}
