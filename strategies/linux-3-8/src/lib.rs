// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux 3.8 (3.8.13): the last version with one table buffer a range. The hook of 2.6.39 is still there,
//! and the buffer lies low again: 8548c84da2f4 (Takashi Iwai, 3.2; the id is recalled, not looked up) undid
//! the high placement because of hibernation, not of Xen.
//!
//! **Mechanism.** Plan: low memory, then each region above 4 GiB on its own. Table space: one buffer for
//! each range, as high as it fits below what is mapped; its size is summed over the pieces of the range,
//! each counted by its length (844ab6f993b1, Jacob Shin, 3.7), and a page more for a piece that crosses 512
//! GiB. Leaf: under Xen the whole buffer is mapped read-only. Range done: the hook, as in `reserve-hook`.
//! Boot: Xen's map is not extended, and the root frames of the domain builder's tables become ordinary
//! memory.
//!
//! **If it works.** Reach, Guard and Return hold everywhere. Since pages are taken from memory that live
//! tables map, the hook has nothing left to mend: the spare part it makes writable never was read-only.
//!
//! **If it does not.** Claim breaks first, as pages are reserved when the range is done. Progress breaks
//! where low memory is small (18, and vm-6.12-kvm-921g under Xen), and because the exact size is not exact:
//! a range above 4 GiB that starts inside a table of level 1 touches one more than its length pays for, and
//! where no other rounding makes up for it the kernel panics with "alloc_low_page: ran out of memory" (19,
//! and five of the random Xen machines). Least breaks by the spare part, for tables that stand already are
//! counted too. Cover breaks by holes below 4 GiB; above, it maps memory alone.
//!
//! **How that looked.** We know of no report of that panic: it was found by running the kernel's own code
//! on machines drawn at random.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{
    Access, Boot, BuilderFrames, Context, KeptLarge, LeafQuestion, NodeData, PgtBuf, Plan, Range, RangeDone, Strategy,
    TableSpace, low_first, table_count,
};
use pgtlab_linux::{guard, hook, mem_text, space};

/// See the crate's page.
#[derive(Debug, Default)]
pub struct Linux3_8;

impl Strategy for Linux3_8 {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        mem_text::last_pfn(cx);
        Boot {
            identity_tables: 0,
            builder_frames: BuilderFrames::GivenBack,
            node_data: NodeData::Once,
            has_range_array: false,
            ..Boot::new(cx.facts())
        }
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        let high = low_first::regions_above_4_gib(cx);
        let Some(range) = low_first::low_then(cx, high) else { return Plan::Done };
        mem_text::range(cx, &range);
        Plan::Map(Range { kept_large: KeptLarge::MovesLast, ..range })
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        let facts = *cx.facts();
        let window = PfnRange::new(Pfn::default(), facts.max_pfn_mapped);
        let n = table_count::pages_by_piece(&facts, range) + table_count::pieces_across_root_entries(&facts, range);
        space::place(cx, window, n, |cx, buffer| mem_text::tables(cx, range.pages, buffer))
    }

    fn access(&mut self, _: &Context<'_>, table: Pfn, _: bool, buf: &PgtBuf) -> Access {
        guard::fixmap_access(table, buf)
    }

    fn leaf(&mut self, _: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        guard::whole_buffer(question)
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        hook::pagetable_reserve(cx, done);
    }
}

pgtlab_core::export_strategy!(
    Linux3_8,
    summary = "Linux 3.8: a low buffer sized range by range, and the hook",
    aliases = ["v3.8"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<Linux3_8>();
    }
}
