// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table buffer that is exactly as large as the tables, so that there is no spare part to be left
//! read-only. The idea behind several attempts: 722bc6b16771 (WANG Cong, in 3.5, counts the tables of a
//! first piece; with its follow-up bd2753b2dda7 and the revert 7b16bbf97375 recalled, not looked up) and
//! 844ab6f993b1 (Jacob Shin, 3.7, sizes by piece; see `linux-3-8`). Each still counts tables that stand
//! already and whole GiBs without memory, so each is a bound and none is exact; 844ab6f993b1 can even be
//! too small. Whether the thread of 2011 spoke of it is not known to us.
//!
//! **Our reading.** What the attempts aimed at, taken at its word, on the kernel of the thread: 2.6.39-rc7
//! without a fix, and a size that is the number of tables the fill will link and that do not exist yet.
//!
//! **Mechanism.** As `unfixed`, but at table space the buffer has that size; it is as high as before.
//!
//! **If it works.** It boots all golden machines, natively and under Xen, with as many tables as the hook
//! and no page to spare: Return, Progress and Least hold everywhere. Under Xen every page of the buffer is
//! a table in the end, so that all that was mapped read-only is rightly so. Nothing in it knows of Xen.
//!
//! **What it does not do.** Reach still breaks wherever the buffer lies above what is mapped, and Claim, as
//! pages are reserved when the range is done: it rests on Xen's code knowing the whole buffer. And the
//! count has to repeat the fill without a flaw. A page too few is a panic, a page too many the fault of the
//! thread; which is why history, having tried to count better twice, stopped counting in 3.9.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{Context, Range, TableSpace};
use pgtlab_linux::rc7::{Fix, Rc7};
use pgtlab_linux::{space, text};

/// The buffer holds the tables of the range and nothing else.
#[derive(Debug, Default)]
pub struct NoSparePage;

impl Fix for NoSparePage {
    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        let n = cx.tables_needed(range);
        let window = PfnRange::new(Pfn::default(), range.pages.end);
        space::place(cx, window, n, |cx, buffer| text::tables(cx, range.pages, buffer))
    }
}

/// See the crate's page.
pub type ExactSize = Rc7<NoSparePage>;

pgtlab_core::export_strategy!(ExactSize, summary = "2.6.39-rc7 with a table buffer that has no spare page");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<ExactSize>();
    }
}
