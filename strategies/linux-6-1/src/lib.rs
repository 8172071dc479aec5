// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux 6.1 (6.1.166 and later): the builder of 3.9 as eleven years of repairs have left it, and the kernel
//! that `pgtlab judge linux` boots to hold this crate to it.
//!
//! **Mechanism.** That of `linux-3-9`, with four differences. Blocks grow 256 times, and only when as much
//! memory is mapped as a block is large (132978b94e66, Jan Beulich, 3.19). A piece is raised to larger leaves
//! before neighbours are joined (7de3d66b1387, 3.10). The pool is 16 BRK pages: four for each of the two
//! first ranges, twice as many since the address of the direct map can be random (167dcfc08b0b, 5.12). Where
//! no 2 MiB are free at all the descent begins at the end of memory (631ca8909fd5). With memory randomised
//! one page of the pool becomes a table for the other processors' start after the first MiB is mapped: the
//! option `kaslr`. Under Xen the frames of the p2m list, which lies outside the kernel's map from 4.3 on, are
//! mapped read-only until the allocator is up (`xen_make_pte_init`): a layout has no word for where they are,
//! so the options `first_p2m_pfn` and `nr_p2m_frames` say it.
//!
//! **If it works.** What holds of 3.9 holds: Reach, Guard, Claim and Return on every machine, and nothing is to
//! be given back. Growth follows what is mapped, so Progress holds where 3.9 panics (12 and 13); no leaf is split
//! any more, so Cover holds on 17. It boots every machine of the corpus.
//!
//! **If it does not.** Least is all that breaks, natively with leaves of 1 GiB, or of 2 MiB up to some 16 GiB, and
//! under Xen on the smallest machine: a few pages of the pool are enough there, and the rest of it stays reserved as
//! part of the kernel. A leaf of 1 GiB that the first block made is counted again by each later range that meets it, so
//! `DirectMap1G` in `/proc/meminfo` is too large, by 2 GiB on many machines.
//!
//! **How that looked.** Nobody died of it. Nothing is printed of the build since 5.8 (67d631b7c05e) but that leaves
//! of 1 GiB are used, so this crate is held to what the kernel does instead: to its own tables in 14 boots under
//! QEMU, three of them as Xen's dom0. Commit ids are as the messages that were found name them; 132978b94e66 and
//! 7de3d66b1387 are recalled, not looked up.

use pgtlab_core::addr::{Pfn, PfnRange, PhysRange};
use pgtlab_core::geometry::Geometry;
use pgtlab_core::strategy::top_down::{Growth, NoneFree, Probe, TopDown};
use pgtlab_core::strategy::{
    Boot, Context, Facts, LeafQuestion, OptionSpec, Options, Page, PageQuestion, PastEnd, Piece, Plan, Range,
    RangeDone, Stage, Strategy, TableSpace, merge_pieces, raise_pieces, split_range,
};
use pgtlab_linux::{page_by_page, text};

/// `INIT_PGT_BUF_SIZE`: four pages for each of two ranges, twice with `RANDOMIZE_MEMORY` configured.
const POOL_PAGES: u64 = 16;

/// See the crate's page.
#[derive(Debug)]
pub struct Linux6_1 {
    descent: TopDown,
    /// Whether the direct map lies at a random address, and a table of its own is made for other processors.
    has_trampoline_table: bool,
    /// The frames of the p2m list and its tables, under Xen.
    p2m: PfnRange,
}

impl Default for Linux6_1 {
    fn default() -> Self {
        let descent = TopDown::new(Growth::PastTheStep, Probe::WholeLeaf).with_none_free(NoneFree::AtTheEnd);
        Self { descent, has_trampoline_table: false, p2m: PfnRange::default() }
    }
}

impl Strategy for Linux6_1 {
    fn configure(&mut self, options: &Options) {
        self.has_trampoline_table = options.flag("kaslr");
        let first = Pfn::new(options.number("first_p2m_pfn"));
        self.p2m = PfnRange::new(first, first.saturating_add(options.number("nr_p2m_frames")));
    }

    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        text::last_pfn(cx);
        let geometry = cx.facts().geometry;
        // Of a machine with tables of another size 16 pages may be all there is.
        let pool_pages = if geometry == Geometry::X86_64 { POOL_PAGES } else { geometry.pool_pages };
        page_by_page::boot(cx.facts(), pool_pages)
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        let facts = *cx.facts();
        if facts.ranges_done == 0 && facts.switches.gbpages {
            cx.printk("Using GB pages for direct mapping");
        }
        if facts.ranges_done == 1 && self.has_trampoline_table {
            let next = facts.pool.next;
            cx.reserve_pages(PfnRange::new(next, next.saturating_add(1)), "TRAMPOLINE TABLE");
        }
        let Some(pages) = self.descent.next_pages(cx) else { return Plan::Done };
        let mut pieces = merge_pieces(raise_pieces(&facts, cx.memory(), split_range(&facts, pages)));
        if facts.ranges_done == 0 {
            pieces = cut_behind_memory(&facts, cx.memory(), pieces);
        }
        // Under Xen nothing is left of what the domain builder mapped over holes (see `cut_behind_memory`).
        Plan::Map(Range { past_end: PastEnd::ClearHolesAround, ..Range::of_memory(pages, pieces) })
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        page_by_page::table_space(cx.facts(), &self.descent, range)
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
        let text = match question.default_page(cx) {
            Page::Panic(_) if question.uses_pool => "BUG() in extend_brk (brk is closed)",
            Page::Panic(_) => "alloc_low_pages: can not alloc memory",
            page @ (Page::Take(_) | Page::TakeAndReserve(_)) => return page,
        };
        Page::Panic(text.to_owned())
    }

    /// The p2m list alone; new tables are made read-only as they are linked.
    fn leaf(&mut self, cx: &Context<'_>, _: &LeafQuestion) -> Option<PfnRange> {
        if self.p2m.is_empty() {
            cx.decline(Stage::Leaf);
            return None;
        }
        Some(self.p2m)
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        page_by_page::range_done(cx, done);
    }
}

/// Cuts pieces of 4K pages where memory ends. Under Xen `xen_memory_setup` has dropped the domain builder's entries for
/// holes by now (from some version after 5.4 on), and the first MiB makes those of the ISA hole anew: a piece that ends
/// there drops them, the next one makes them. Natively there is none to drop.
fn cut_behind_memory(facts: &Facts, memory: &[PhysRange], pieces: Vec<Piece>) -> Vec<Piece> {
    let mut cut = Vec::with_capacity(pieces.len() + memory.len());
    for mut piece in pieces {
        let ends = memory.iter().map(|region| facts.geometry.whole_pages(*region).end);
        for end in ends.filter(|_| piece.sizes.is_empty()) {
            if piece.pages.start < end && end < piece.pages.end {
                cut.push(Piece { pages: PfnRange::new(piece.pages.start, end), ..piece });
                piece.pages.start = end;
            }
        }
        cut.push(piece);
    }
    cut
}

pgtlab_core::export_strategy!(
    Linux6_1,
    summary = "Linux 6.1: memory from the top down in larger steps, tables page by page",
    aliases = ["v6.1"],
    options = [
        OptionSpec::flag("kaslr", "false", "memory is randomised: the pool gives a table for other processors too"),
        OptionSpec::number(
            "first_p2m_pfn",
            "0",
            "under Xen the first frame of the p2m list, which is mapped read-only"
        ),
        OptionSpec::number("nr_p2m_frames", "0", "how many frames it takes, its own tables included"),
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<Linux6_1>();
    }
}
