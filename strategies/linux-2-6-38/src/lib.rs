// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux 2.6.38 (521cb40b0c44): the last release before 4b239f458c22 "x86-64, mm: Put early page table
//! high" (Yinghai Lu, in 2.6.39-rc1), and so the kernel that every fix of the thread is measured against.
//!
//! **Mechanism.** Boot: under Xen memory counts as mapped up to the last page of the kernel's own extension
//! of the domain builder's map, and every frame gets an ordinary entry, whatever the p2m says of it. Table
//! space: one buffer for each range, sized for all of `[0, end)`, as high as it fits below what is mapped.
//! Access: a new table page through a writable slot of the fixmap, an existing one through the direct map.
//! Leaf: under Xen the pages of the buffer that are tables by now, `[start, end)`, are mapped read-only
//! (fef5ba797991, Jeremy Fitzhardinge). Range done: the used part is reserved.
//!
//! **If it works.** It boots all golden machines but one, under Xen without any help. Reach, Guard and
//! Return hold everywhere: a page is mapped by live tables before it becomes one, so Xen's code finds it
//! and makes it read-only. The invariant behind it was written down in 2008 (4f9c11dd49fb): every page of
//! the kernel's page table is itself mapped when it is used, since memory is mapped from low to high and
//! pages are taken from low memory too.
//!
//! **If it does not.** Claim breaks first, at the first page taken: it is reserved only when the range is
//! done. Progress breaks on a machine with little low memory and large tables (18; of the real ones,
//! vm-6.12-kvm-921g under Xen), where the kernel panics with "Cannot find space for the kernel page
//! tables". Least breaks by the spare part, and Cover wherever a range holds a hole, under Xen too, as no
//! p2m is asked.
//!
//! **How that looked.** The boot log in 4b239f458c22's message, of a machine with 130 GiB: the tables stand
//! in the middle of the low memory in which a crash kernel of 512 MiB was to have its place. That is why
//! they were moved.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{
    Access, Boot, Context, LeafQuestion, MaxPfnMapped, NodeData, P2mUse, PgtBuf, Plan, Range, RangeDone, Strategy,
    TableSpace,
};
use pgtlab_linux::{guard, plan, space, text};

/// See the crate's page.
#[derive(Debug, Default)]
pub struct Linux2_6_38;

impl Strategy for Linux2_6_38 {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        text::last_pfn(cx);
        Boot {
            p2m: P2mUse::Ignored,
            max_pfn_mapped: MaxPfnMapped::IdentityMap,
            node_data: NodeData::PerNodeFromFirst,
            ..Boot::new(cx.facts())
        }
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        plan::low_then_high(cx)
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        space::low(cx, range)
    }

    fn access(&mut self, _: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Access {
        guard::new_in_fixmap_access(table, is_new, buf)
    }

    fn leaf(&mut self, _: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        guard::used_part(question)
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        space::reserve_used(cx, done);
    }
}

pgtlab_core::export_strategy!(
    Linux2_6_38,
    summary = "Linux 2.6.38: the table buffer below what is mapped",
    aliases = ["v2.6.38"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<Linux2_6_38>();
    }
}
