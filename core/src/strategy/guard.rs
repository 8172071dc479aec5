// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mask_rw_pte`: which mappings of table pages the kernel's Xen code makes read-only as it writes them, while
//! kernels have one table buffer a range.

use super::{Access, Alias, Context, LeafQuestion, PgtBuf};
use crate::addr::{Pfn, PfnRange};

/// From 2.6.39-rc1 on: every table page is written through the fixmap, and the slot is read-only unless
/// the page is the one handed out last.
#[must_use]
pub fn fixmap_access(table: Pfn, buf: &PgtBuf) -> Access {
    let is_writable = table.saturating_add(1) == buf.end;
    Access { alias: Alias::Fixmap, is_writable }
}

/// Without `map_low_page`: only a new page goes through the fixmap, existing tables through the direct
/// map.
#[must_use]
pub fn new_in_fixmap_access(table: Pfn, is_new: bool, buf: &PgtBuf) -> Access {
    if is_new { fixmap_access(table, buf) } else { Access { alias: Alias::DirectMap, is_writable: true } }
}

/// Up to 2.6.39-rc5: leaves for the pages of the buffer that are tables by now are made read-only.
#[must_use]
pub fn used_part(question: &LeafQuestion) -> Option<PfnRange> {
    Some(question.buf.used())
}

/// From b9269dc7bfdf on: leaves for the whole buffer, its spare part included, are made read-only.
#[must_use]
pub fn whole_buffer(question: &LeafQuestion) -> Option<PfnRange> {
    Some(PfnRange::new(question.buf.start, question.buf.top))
}

/// Which spare part is to be made writable, as the state machine of a38647837a41 has it (`mark_rw_past_pgt`): it is
/// asked before entries are written, and learns that a range is done by looking whether its buffer was reserved.
#[derive(Clone, Debug, Default)]
pub struct RwPastPgt {
    /// The buffer as it was last looked at; all zero before the first page of one was handed out.
    remembered: PgtBuf,
    /// The end of the used part of the buffer whose spare part was released last.
    released: Pfn,
}

impl RwPastPgt {
    /// The buffer whose spare part is to be made writable now, given the one that is in use.
    pub fn next(&mut self, cx: &Context<'_>, now: PgtBuf) -> Option<PgtBuf> {
        if now.used().is_empty() {
            return None;
        }
        if self.remembered.start == Pfn::default() {
            self.remembered = now;
            return None;
        }
        let geometry = cx.facts().geometry;
        let start = geometry.addr(self.remembered.start);
        let next_free = cx.next_free(start, geometry.page_bytes()).map(|free| free.start);
        if next_free == Some(start) {
            // Its first page is still free: the range is not done. The start itself is not looked at again.
            self.remembered.end = now.end;
            self.remembered.top = now.top;
            return None;
        }
        if self.remembered.end == self.released {
            return None;
        }
        self.released = self.remembered.end;
        Some(std::mem::replace(&mut self.remembered, now))
    }
}
