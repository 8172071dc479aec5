// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first answer: take the high placement back (92bdaef7b2c5 with 4b239f458c22 reversed). History
//! did so later, for another reason: 3.2 put the buffer low again because of hibernation.
//!
//! **Mechanism.** Table space: the buffer is looked for below what is mapped already: natively below
//! 512 MiB, under Xen below the p2m list, for the second range below the end of low memory. So a page is
//! mapped by live tables before it becomes a table, and under Xen it is found and made read-only.
//!
//! **If it works.** Reach holds, no spare page is left read-only by the range it lies in once mapped, and
//! it boots under Xen without any help.
//!
//! **If it does not.** Progress breaks where mapped memory has no room for the tables: the kernel panics
//! with "Cannot find space for the kernel page tables" (a machine with little low memory whose page
//! tables are large). And the buffer takes the low memory that a crash kernel needs, which was why it had
//! been moved.

use pgtlab_core::addr::Pfn;
use pgtlab_core::strategy::{Access, Context, PgtBuf, Range, TableSpace};
use pgtlab_linux::rc7::{Fix, Rc7};
use pgtlab_linux::{guard, space};

/// The buffer below what is mapped, and existing tables reached through the direct map.
#[derive(Debug, Default)]
pub struct LowPlacement;

impl Fix for LowPlacement {
    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        space::low(cx, range)
    }

    fn access(&mut self, table: Pfn, is_new: bool, buf: &PgtBuf) -> Access {
        guard::new_in_fixmap_access(table, is_new, buf)
    }
}

/// See the crate's page.
pub type RevertHighPlacement = Rc7<LowPlacement>;

pgtlab_core::export_strategy!(
    RevertHighPlacement,
    summary = "the table buffer below what is mapped, as before 2.6.39",
    aliases = ["revert"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<RevertHighPlacement>();
    }
}
