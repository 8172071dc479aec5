// SPDX-License-Identifier: MIT OR Apache-2.0
//! The branch inside the generic function: `if (xen_pv_domain())` at the end of `init_memory_mapping`. The
//! message of 279b706bf800 (Stefano Stabellini), which brought the hook instead, names it as what the hook
//! avoids, and calls it nasty. We know of no patch that had it.
//!
//! **Our reading.** The branch does what the hook does, in the place where the hook is called, without the
//! line that Xen's code prints there.
//!
//! **Mechanism.** As `unfixed`, but when a range is done the used part is reserved and, under Xen, the
//! spare part made writable. The generic function asks whose the MMU is after every range, on every
//! machine; with the hook only Xen's own code knows of Xen. In this model both strategies have to ask for
//! it, and are listed as asking.
//!
//! **If it works.** It boots wherever the hook does, and leaves the same map, the same memory reserved and
//! the same findings, on every golden machine.
//!
//! **What it does not do.** What the hook does not: Reach, Claim and Least break in the same places. Side
//! by side they show that the objection to the branch was one of form, and that the hook did not answer
//! hpa's: what the step *means* is the same need of one user in both.

use pgtlab_core::layout::Backend;
use pgtlab_core::strategy::{Context, RangeDone};
use pgtlab_linux::rc7::{Fix, Rc7};
use pgtlab_linux::space;

/// The branch at the end of `init_memory_mapping`.
#[derive(Debug, Default)]
pub struct IfXen;

impl Fix for IfXen {
    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        space::reserve_used(cx, done);
        if cx.backend() == Backend::Xen {
            cx.set_rw(done.buf.spare());
        }
    }
}

/// See the crate's page.
pub type XenBranch = Rc7<IfXen>;

pgtlab_core::export_strategy!(XenBranch, summary = "2.6.39-rc7 with the branch on Xen that the hook replaced");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<XenBranch>();
    }
}
