// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crude fix-up, merged in 2.6.39-rc6 and taken back before the release: a38647837a41 "xen/mmu: Add
//! workaround x86-64, mm: Put early page table high" (Konrad Rzeszutek Wilk), reverted by 92bdaef7b2c5.
//!
//! **Mechanism.** As `unfixed`; but at stage write, whenever Xen's MMU code is about to write an entry that
//! is not zero, it looks whether the buffer it remembers has been reserved meanwhile, and if so makes
//! the spare part of that buffer writable. It learns of a range's end only by the next entry written.
//!
//! **If it works.** Where some entry is written between the last range's reserve and the first user of
//! free memory: a dom0 that maps an ACPI table, or a guest whose second buffer lies in memory that is
//! mapped already.
//!
//! **If it does not.** Return breaks at the first range whose spare part it leaves, to be mended later, or
//! too late. On a machine where nothing installs an entry after the last range, a guest without ACPI for
//! one, NODE_DATA is placed in the read-only tail and the kernel oopses in `setup_node_bootmem`. "Does
//! not work with certain AMD machines", says the message that took it back; the machine is not the reason.

use pgtlab_core::strategy::{Context, PgtBuf, WriteQuestion};
use pgtlab_linux::rc7::{Fix, Rc7};
use pgtlab_linux::{guard, text};

/// What the fix-up remembers between two entries.
#[derive(Debug, Default)]
pub struct RwPastPgt {
    spare: guard::RwPastPgt,
}

impl RwPastPgt {
    fn release_spare(&mut self, cx: &mut Context<'_>, now: PgtBuf) {
        if let Some(done) = self.spare.next(cx, now) {
            text::setting_rw(cx, &done);
            cx.set_rw(done.spare());
        }
    }
}

impl Fix for RwPastPgt {
    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) {
        self.release_spare(cx, question.buf);
    }

    /// The last net, `xen_post_allocator_init`.
    fn allocator_up(&mut self, cx: &mut Context<'_>) {
        let now = cx.facts().buf;
        self.release_spare(cx, now);
    }
}

/// See the crate's page.
pub type XenMmuRwFixup = Rc7<RwPastPgt>;

pgtlab_core::export_strategy!(XenMmuRwFixup, summary = "the merged fix-up in Xen's MMU code", aliases = ["workaround"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<XenMmuRwFixup>();
    }
}
