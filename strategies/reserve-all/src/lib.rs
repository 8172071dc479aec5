// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reserving all of the table buffer, its spare part included. Not found as a posted patch, so nobody's
//! proposal: one word changed in 2.6.39-rc7 without a fix, and the baseline for what the other fixes save.
//!
//! **Mechanism.** As `unfixed`, but when a range is done `[start, top)` is reserved instead of `[start,
//! end)`. The spare part stays read-only under Xen, and nobody is given it.
//!
//! **If it works.** It boots all golden machines, natively and under Xen: memory that is reserved is
//! written to by nobody.
//!
//! **What it does not do.** It gives nothing back. Return breaks after every range that takes a page and
//! has one to spare, on either back end, for the spare part is promised and stays reserved; and Least, by
//! the same pages: 8 MiB for good on the 7680 MiB guest of 92bdaef7b2c5. Reach breaks wherever the buffer
//! lies above what is mapped and Claim as in every version of the time.

use pgtlab_core::addr::PfnRange;
use pgtlab_core::strategy::{Context, RangeDone};
use pgtlab_linux::rc7::{Fix, Rc7};

/// The spare part is reserved with the rest.
#[derive(Debug, Default)]
pub struct WholeBufferReserved;

impl Fix for WholeBufferReserved {
    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        // A range that handed out nothing reserves nothing.
        if !done.buf.used().is_empty() {
            cx.reserve_pages(PfnRange::new(done.buf.start, done.buf.top), "PGTABLE");
        }
        cx.set_max_pfn_mapped(done.last_mapped);
    }
}

/// See the crate's page.
pub type ReserveAll = Rc7<WholeBufferReserved>;

pgtlab_core::export_strategy!(ReserveAll, summary = "2.6.39-rc7 with the whole table buffer reserved");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<ReserveAll>();
    }
}
