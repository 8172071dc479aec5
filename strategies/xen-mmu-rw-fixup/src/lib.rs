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

use pgtlab_core::addr::Pfn;
use pgtlab_core::strategy::{Context, PgtBuf, WriteQuestion};
use pgtlab_linux::rc7::{Fix, Rc7};
use pgtlab_linux::text;

/// What the fix-up remembers between two entries.
#[derive(Debug, Default)]
pub struct RwPastPgt {
    /// The buffer as it was last looked at; all zero before the first page of one was handed out.
    remembered: PgtBuf,
    /// The end of the used part of the buffer whose spare part was released last.
    released: Pfn,
}

impl RwPastPgt {
    /// `mark_rw_past_pgt`.
    fn release_spare(&mut self, cx: &mut Context<'_>, now: PgtBuf) {
        if now.used().is_empty() {
            return;
        }
        if self.remembered.start == Pfn::default() {
            self.remembered = now;
            return;
        }
        let geometry = cx.facts().geometry;
        let start = geometry.addr(self.remembered.start);
        let next_free = cx.next_free(start, geometry.page_bytes()).map(|free| free.start);
        if next_free == Some(start) {
            // Its first page is still free: the range is not done. The start itself is not looked at again.
            self.remembered.end = now.end;
            self.remembered.top = now.top;
            return;
        }
        if self.remembered.end == self.released {
            return;
        }
        text::setting_rw(cx, &self.remembered);
        cx.set_rw(self.remembered.spare());
        self.released = self.remembered.end;
        self.remembered = now;
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
