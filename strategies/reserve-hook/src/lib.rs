// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generic hook: `x86_init.mapping.pagetable_reserve` of Linux 2.6.39 (279b706bf800 and
//! 53f8023febf9, Stefano Stabellini; as built in 61c4f2c81c61).
//!
//! **Mechanism.** As `unfixed`, but when a range is done its tables are reserved through a hook. Natively
//! the hook reserves the used part `[start, end)`; under Xen it also makes the spare part `[end, top)`
//! writable again, at once and whoever had made it read-only. The strategy asks which back end it is on:
//! that is what the hook is.
//!
//! **If it works.** It boots wherever the buffer is found. Return holds after every range.
//!
//! **What it does not do.** Reach breaks wherever the buffer lies above what is mapped, Claim because pages
//! are reserved only when the range is done, and Least by the spare part. "What does the hook mean?"
//! stayed open: it has one user, and its meaning is that user's need.

use pgtlab_core::strategy::{Context, RangeDone};
use pgtlab_linux::hook;
use pgtlab_linux::rc7::{Fix, Rc7};

/// The hook and its one user.
#[derive(Debug, Default)]
pub struct PagetableReserve;

impl Fix for PagetableReserve {
    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        hook::pagetable_reserve(cx, done);
    }
}

/// See the crate's page.
pub type ReserveHook = Rc7<PagetableReserve>;

pgtlab_core::export_strategy!(ReserveHook, summary = "the pagetable_reserve hook of 2.6.39", aliases = ["hook"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<ReserveHook>();
    }
}
