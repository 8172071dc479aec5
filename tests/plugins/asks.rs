// SPDX-License-Identifier: MIT OR Apache-2.0
//! Uses every service there is, at every stage, and answers as the default does: whatever crosses the
//! border is seen to come through whole.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::export_strategy;
use pgtlab_core::layout::Backend;
use pgtlab_core::strategy::{
    Access, Alias, Boot, Context, LeafQuestion, Page, PageQuestion, PgtBuf, Plan, Range, RangeDone, Strategy,
    TableSpace, WriteQuestion, merge_pieces, split_range,
};

#[derive(Default)]
struct Asks {
    n_leaf: u64,
    n_write: u64,
}

impl Strategy for Asks {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        let backend = cx.backend().name();
        let (memory, reserved) = (cx.memory().len(), cx.reserved().len());
        let kinds: u64 = cx.e820().iter().map(|entry| u64::from(entry.kind.number())).sum();
        let (nodes, mapped) = (cx.nodes().len(), cx.mapped().len());
        cx.printk(&format!(
            "{backend}: memory {memory} reserved {reserved} kinds {kinds} nodes {nodes} mapped {mapped}"
        ));
        Boot::new(cx.facts())
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        let facts = *cx.facts();
        let pages = match facts.ranges_done {
            0 => PfnRange::new(Pfn::default(), facts.max_low_pfn),
            1 if facts.max_low_pfn < facts.max_pfn => PfnRange::new(facts.low_end_pfn(), facts.max_pfn),
            _ => return Plan::Done,
        };
        Plan::Map(Range::new(pages, merge_pieces(split_range(&facts, pages))))
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        let n = cx.tables_needed(range);
        let free = cx.next_free(cx.facts().geometry.isa_end, cx.facts().geometry.page_bytes());
        cx.printk(&format!("needs {n}, first free {:x}", free.unwrap_or_default().start));
        let end = cx.facts().max_pfn_mapped;
        TableSpace::PageByPage { uses_pool: false, window: PfnRange::new(Pfn::default(), end) }
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
        question.default_page(cx)
    }

    fn access(&mut self, cx: &Context<'_>, table: Pfn, _is_new: bool, _: &PgtBuf) -> Access {
        let is_mapped = table < cx.facts().max_pfn_mapped;
        Access { alias: if is_mapped { Alias::DirectMap } else { Alias::Fixmap }, is_writable: true }
    }

    fn leaf(&mut self, cx: &Context<'_>, _: &LeafQuestion) -> Option<PfnRange> {
        self.n_leaf += 1;
        let _ = cx.reserved().len();
        None
    }

    fn write(&mut self, _: &mut Context<'_>, _: &WriteQuestion) {
        self.n_write += 1;
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        let before = cx.facts().max_pfn_mapped;
        cx.set_max_pfn_mapped(done.last_mapped);
        let after = cx.facts().max_pfn_mapped;
        cx.printk(&format!("mapped {before:x} to {after:x}"));
        cx.set_ro(PfnRange::default());
        cx.set_rw(PfnRange::default());
    }

    fn build_done(&mut self, cx: &mut Context<'_>) {
        let is_asked = cx.backend() == Backend::Native || 0 < self.n_leaf && 0 < self.n_write;
        cx.printk(if is_asked { "asked" } else { "not asked" });
    }
}

export_strategy!(Asks, summary = "uses every service");
