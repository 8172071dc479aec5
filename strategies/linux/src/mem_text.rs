// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log lines about early mapping as Linux from 3.5 on prints them: `[mem FIRST-LAST]`, with the
//! last byte instead of the end.

use crate::text;
use pgtlab_core::addr::{PfnRange, PhysAddr, PhysRange};
use pgtlab_core::strategy::{Context, Range};

/// C's `%#010x`, which puts no `0x` before a zero.
fn hex(addr: PhysAddr) -> String {
    if addr == PhysAddr::default() { "0".repeat(10) } else { format!("{addr:#010x}") }
}

fn mem(bytes: PhysRange) -> String {
    format!("[mem {}-{}]", hex(bytes.start), hex(bytes.end.saturating_sub(1)))
}

/// `e820: last_pfn = .. max_arch_pfn = ..`, a second time for low memory if there is memory above 4 GiB.
pub fn last_pfn(cx: &mut Context<'_>) {
    text::last_pfn_after(cx, "e820: ");
}

/// `init_memory_mapping: [mem ..]` and a line for each piece.
pub fn range(cx: &mut Context<'_>, range: &Range) {
    let geometry = cx.facts().geometry;
    cx.printk(&format!("init_memory_mapping: {}", mem(geometry.bytes(range.pages))));
    for piece in &range.pieces {
        cx.printk(&format!(" {} page {}", mem(geometry.bytes(piece.pages)), text::size_name(piece.sizes)));
    }
}

/// `kernel direct mapping tables up to LAST @ [mem ..]`.
pub fn tables(cx: &mut Context<'_>, range: PfnRange, buffer: PfnRange) {
    let geometry = cx.facts().geometry;
    let last = geometry.addr(range.end).saturating_sub(1);
    cx.printk(&format!("kernel direct mapping tables up to {last:#x} @ {}", mem(geometry.bytes(buffer))));
}

/// `BRK [..] PGTABLE`, from 3.9 on: pages of the pool became tables.
pub fn pool_pages(cx: &mut Context<'_>, pages: PfnRange) {
    let bytes = cx.facts().geometry.bytes(pages);
    cx.printk(&format!("BRK [{:#010x}, {:#010x}] PGTABLE", bytes.start, bytes.end.saturating_sub(1)));
}
