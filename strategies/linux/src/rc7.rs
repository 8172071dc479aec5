// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux 2.6.39-rc7 without a38647837a41, and what the fixes of the thread change in it.

use crate::{guard, plan, space, text};
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{
    Access, Boot, Context, LeafQuestion, PgtBuf, Plan, Range, RangeDone, Stage, Strategy, TableSpace, WriteQuestion,
};

/// A fix to 2.6.39-rc7: every method's default is what that kernel does.
pub trait Fix: Default {
    /// Default: low memory, then everything from 4 GiB on.
    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        plan::low_then_high(cx)
    }

    /// Default: one buffer, as high as it fits below the end of the range.
    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        space::high(cx, range)
    }

    /// Default: every table page through the fixmap.
    fn access(&mut self, table: Pfn, is_new: bool, buf: &PgtBuf) -> Access {
        let _ = is_new;
        guard::fixmap_access(table, buf)
    }

    /// Default: under Xen the whole buffer `[start, top)` is mapped read-only (b9269dc7bfdf).
    fn leaf(&mut self, question: &LeafQuestion) -> Option<PfnRange> {
        guard::whole_buffer(question)
    }

    /// Default: nothing is done before an entry is written.
    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) {
        let _ = question;
        cx.decline(Stage::Write);
    }

    /// Default: the used part of the buffer is reserved.
    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        space::reserve_used(cx, done);
    }

    /// Default: nothing is left to do.
    fn allocator_up(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }
}

/// The kernel with a fix.
#[derive(Debug, Default)]
pub struct Rc7<F> {
    fix: F,
}

impl<F: Fix> Strategy for Rc7<F> {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        text::last_pfn(cx);
        Boot::new(cx.facts())
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        self.fix.plan(cx)
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        self.fix.table_space(cx, range)
    }

    fn access(&mut self, _: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Access {
        self.fix.access(table, is_new, buf)
    }

    fn leaf(&mut self, _: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        self.fix.leaf(question)
    }

    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) {
        self.fix.write(cx, question);
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        self.fix.range_done(cx, done);
    }

    fn allocator_up(&mut self, cx: &mut Context<'_>) {
        self.fix.allocator_up(cx);
    }
}
