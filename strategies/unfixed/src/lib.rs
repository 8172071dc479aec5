// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control: Linux 2.6.39-rc7 with every fix of the thread taken out (92bdaef7b2c5 with b9269dc7bfdf
//! and without a38647837a41).
//!
//! **Mechanism.** Table space: one buffer for each range, sized for all of `[0, end)`, as high as it fits
//! below the range's end (4b239f458c22, "x86-64, mm: Put early page table high"). Leaf: under Xen the whole
//! buffer `[start, top)` is mapped read-only (b9269dc7bfdf). Range done: the used part is reserved, and
//! nobody makes the spare part writable again.
//!
//! **Which rule breaks first.** Reach: the buffer lies above what is mapped. Under Xen, Return: the spare
//! part `[end, top)` stays read-only although memblock has it as free.
//!
//! **How that looked.** The next user of memory takes it from the top, which is the spare part: an oops
//! with error code 3 (present, write) in `setup_node_bootmem`, or in `memblock_find_dma_reserve` on a kernel
//! without NUMA. It boots where those users happen to find other memory.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{
    Access, Boot, Context, LeafQuestion, PgtBuf, Plan, Range, RangeDone, Strategy, TableSpace,
};
use pgtlab_linux::{guard, plan, space, text};

/// See the crate's page.
#[derive(Debug, Default)]
pub struct Unfixed;

impl Strategy for Unfixed {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        text::last_pfn(cx);
        Boot::new(cx.facts())
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        plan::low_then_high(cx)
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        space::high(cx, range)
    }

    fn access(&mut self, _: &Context<'_>, table: Pfn, _is_new: bool, buf: &PgtBuf) -> Access {
        guard::fixmap_access(table, buf)
    }

    fn leaf(&mut self, _: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        guard::whole_buffer(question)
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        space::reserve_used(cx, done);
    }
}
