// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log lines about early mapping, as Linux up to 3.4 prints them: ends exclusive.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::strategy::{Context, PageSizes, PgtBuf, Range};

/// The page behind the last one x86-64 Linux of these versions can ever use (`MAXMEM`).
const MAX_ARCH_PFN: u64 = 0x4_0000_0000;

/// `last_pfn = .. max_arch_pfn = ..`, a second time for low memory if there is memory above 4 GiB.
pub fn last_pfn(cx: &mut Context<'_>) {
    last_pfn_after(cx, "");
}

/// The same behind a prefix, which later versions have.
pub(crate) fn last_pfn_after(cx: &mut Context<'_>, prefix: &str) {
    let facts = *cx.facts();
    let mut line = |pfn: Pfn| cx.printk(&format!("{prefix}last_pfn = {pfn:#x} max_arch_pfn = {MAX_ARCH_PFN:#x}"));
    line(facts.max_pfn);
    if facts.low_end_pfn() < facts.max_pfn {
        line(facts.max_low_pfn);
    }
}

/// `init_memory_mapping: ..` and a line for each piece.
pub fn range(cx: &mut Context<'_>, range: &Range) {
    let geometry = cx.facts().geometry;
    let bytes = geometry.bytes(range.pages);
    cx.printk(&format!("init_memory_mapping: {:016x}-{:016x}", bytes.start, bytes.end));
    for piece in &range.pieces {
        let bytes = geometry.bytes(piece.pages);
        let size = size_name(piece.sizes);
        cx.printk(&format!(" {:010x} - {:010x} page {size}", bytes.start, bytes.end));
    }
}

/// The page size a piece is announced with: the largest its mask names.
#[must_use]
pub const fn size_name(sizes: PageSizes) -> &'static str {
    if sizes.contains(PageSizes::G1) {
        "1G"
    } else if sizes.contains(PageSizes::M2) {
        "2M"
    } else {
        "4k"
    }
}

/// `kernel direct mapping tables up to END @ START-TOP`.
pub fn tables(cx: &mut Context<'_>, range: PfnRange, buffer: PfnRange) {
    let geometry = cx.facts().geometry;
    let bytes = geometry.bytes(buffer);
    let end = geometry.addr(range.end);
    cx.printk(&format!("kernel direct mapping tables up to {end:x} @ {:x}-{:x}", bytes.start, bytes.end));
}

/// `xen: setting RW the range END - TOP`, before the spare part of a buffer is made writable.
pub fn setting_rw(cx: &mut Context<'_>, buf: &PgtBuf) {
    let bytes = cx.facts().geometry.bytes(buf.spare());
    cx.printk(&format!("xen: setting RW the range {:x} - {:x}", bytes.start, bytes.end));
}
