// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sentence for every way a boot can end, from small strategies made to end so.

use super::*;
use pgtlab_core::build::{Watch, boot};
use pgtlab_core::strategy::{
    Access, Alias, Boot, Context, LeafQuestion, NodeData, PgtBuf, Plan, Range, Strategy, TableSpace, WriteQuestion,
    merge_pieces, split_range,
};

/// A guest of 512 MiB, all of it mapped by 4K pages.
const GUEST: &str = "e820 1000 a0000 1\ne820 100000 20000000 1\nkernel 1000000 1f00000\nxen 1\nxen_mapped 3800000\n\
                     xen_mfn_list 2c3a000\nxen_pt 2d3d000 31\n";
const PC: &str = "e820 0 9f000 1\ne820 100000 60000000 1\nkernel 1000000 2000000\n";

#[track_caller]
fn check(text: &str, mut strategy: impl Strategy, expected: &str) {
    let layout = Layout::parse(text, "machine").expect("the layout is sound");
    let built = boot(&layout, &mut strategy, Watch::ALL).expect("the layout holds together");
    assert_eq!(why(&layout, &built), expected);
}

/// A buffer of 1200 pages near the end of memory, which is not mapped yet; leaves for all of it, or for what
/// is used of it at the time, are read-only.
struct High {
    below_end: u64,
    masks_all: bool,
    acts_on_writes: bool,
}

impl Strategy for High {
    fn table_space(&mut self, _: &mut Context<'_>, range: &Range) -> TableSpace {
        let end = range.pages.end.saturating_sub(self.below_end);
        TableSpace::Buffer(PfnRange::new(end.saturating_sub(1200), end))
    }

    fn access(&mut self, _: &Context<'_>, _: Pfn, is_new: bool, _: &PgtBuf) -> Access {
        Access { alias: Alias::Fixmap, is_writable: is_new }
    }

    fn leaf(&mut self, _: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        let PgtBuf { start, end, top } = question.buf;
        let masked = PfnRange::new(start, if self.masks_all { top } else { end }).intersect(question.pages);
        (!masked.is_empty()).then_some(masked)
    }

    fn write(&mut self, cx: &mut Context<'_>, _: &WriteQuestion) {
        if !self.acts_on_writes {
            cx.decline(Stage::Write);
        }
    }
}

#[test]
fn pages_left_read_only_are_told_with_who_promised_them_and_what_did_not_happen() {
    let wrote = "NODE_DATA wrote 1fffb000, left read-only: promised as table space of call 1 (1fb50-20000, used up to \
                 1fc30), never used, ";
    let nothing = High { below_end: 0, masks_all: true, acts_on_writes: false };
    check(GUEST, nothing, &format!("{wrote}and nothing made it writable again"));
    let on_writes = High { below_end: 0, masks_all: true, acts_on_writes: true };
    check(GUEST, on_writes, &format!("{wrote}and no set_pte came after call 1's reserve"));
}

#[test]
fn a_table_with_a_writable_mapping_is_told_with_whose_that_is() {
    // The leaves of the second GiB are not live until its last table is filled, so Xen cannot be asked to
    // make them read-only before.
    let larger = GUEST.replace("20000000 1", "80000000 1");
    let expected = "Xen refused to take 7bf11 as a table, handed out in call 1: call 1 had mapped it writable (leaves \
                    7be00-7c000) before it was handed out, and nothing took that back";
    check(&larger, High { below_end: 0x4000, masks_all: false, acts_on_writes: false }, expected);
}

/// Maps only the first half of what it is told to map.
struct Half;

impl Strategy for Half {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        Boot { node_data: NodeData::PerNodeFromLast, ..Boot::new(cx.facts()) }
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        let facts = cx.facts();
        if 0 < facts.ranges_done {
            return Plan::Done;
        }
        let pages = PfnRange::from_numbers(0, 0x50000);
        Plan::Map(Range::new(pages, merge_pieces(split_range(facts, pages))))
    }
}

#[test]
fn a_write_to_what_no_call_covers_is_told_so() {
    check(PC, Half, "NODE_DATA wrote 5fffb000, which is not mapped: no call covers it");
}

/// Finds no table space.
struct Nowhere;

impl Strategy for Nowhere {
    fn table_space(&mut self, _: &mut Context<'_>, _: &Range) -> TableSpace {
        TableSpace::Panic("Cannot find space for the kernel page tables".to_owned())
    }
}

#[test]
fn a_panic_is_told_with_what_the_call_needs() {
    let expected = "Cannot find space for the kernel page tables in call 1 (0-20000): it needs room for the 224 tables \
                    this range will link and has room for 0";
    check(GUEST, Nowhere, expected);
}

/// Reserves its pages only when the range is done, and takes one page too many.
struct Careless;

impl Strategy for Careless {
    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        let n = cx.tables_needed(range) + 1;
        let mapped = PfnRange::new(Pfn::default(), cx.facts().max_pfn_mapped);
        match cx.find_free_pages(mapped, n) {
            Some(pages) => TableSpace::Buffer(pages),
            None => TableSpace::Panic("none".to_owned()),
        }
    }
}

#[test]
fn a_boot_tells_the_rules_it_breaks() {
    check(GUEST, Careless, "boots, but breaks Claim and Least, which this boot does not meet");
}
