// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux 2.6.39-rc5 (8e10cd74342c; rc1 to rc5 behave alike): the table buffer is put high (4b239f458c22),
//! and under Xen only its used part is mapped read-only. What broke first in the story the thread tells.
//!
//! **Mechanism.** As `unfixed`, except at stage leaf: the pages of the buffer that are tables by now,
//! `[start, end)`, are mapped read-only, and the rest of it writable. Aliases in the fixmap are read-only
//! but for the page handed out last (d8aa5ec3382e, Stefano Stabellini).
//!
//! **Which rule breaks first.** Reach, at the first page taken, which lies above what is mapped; then
//! Guard. A page of the buffer that is not handed out yet is mapped writable by a table of level 1, like
//! any memory. When it is handed out next and the table of level 2 above that leaf is not attached yet, no
//! walk from the root finds the leaf, so nobody can make it read-only: Guard breaks at that very `take`.
//! Xen notices later, when the page is pinned, and refuses it: it is to be a table and still has a writable
//! mapping.
//!
//! **How that looked.** "Bad type" and "Error while pinning mfn" in the hypervisor's log and a BUG in
//! `pin_pagetable_pfn` in the guest's: on 83 of the 139 golden machines under Xen, each time for the page
//! at which Guard broke. It boots where the used part of the buffer ends in the last piece of the range
//! that one table maps, as in a small guest, or where the table of level 2 stood before the range.
//! b9269dc7bfdf (rc6) answered by mapping the whole buffer read-only; that is `unfixed`, which trades the
//! refusal for a fault. Natively nothing guards tables, and it boots everywhere.

use pgtlab_core::addr::PfnRange;
use pgtlab_core::strategy::LeafQuestion;
use pgtlab_linux::guard;
use pgtlab_linux::rc7::{Fix, Rc7};

/// What rc5 does otherwise than rc7 without its fix-up: the spare part of the buffer is mapped writable.
#[derive(Debug, Default)]
pub struct UsedPartReadOnly;

impl Fix for UsedPartReadOnly {
    fn leaf(&mut self, question: &LeafQuestion) -> Option<PfnRange> {
        guard::used_part(question)
    }
}

/// See the crate's page.
pub type Linux2_6_39Rc5 = Rc7<UsedPartReadOnly>;

pgtlab_core::export_strategy!(
    Linux2_6_39Rc5,
    summary = "Linux 2.6.39-rc5: only used table pages mapped read-only",
    aliases = ["rc5"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<Linux2_6_39Rc5>();
    }
}
