// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last lines of a dying boot, in the words a real kernel or Xen prints them, so that a search for a
//! report finds the cell and the other way round. What the model does not know, addresses of code and lines of
//! source files, is left out.

use crate::why::page_of;
use crate::why::story::Story;
use pgtlab_core::addr::Pfn;
use pgtlab_core::build::{Death, End};
use pgtlab_core::event::Consumer;
use pgtlab_core::follow::Step;
use pgtlab_core::geometry::Geometry;
use pgtlab_core::ptdump::BASE;
use pgtlab_core::strategy::NodeData;

/// A type in Xen's count of a frame: four bits at the top, then whether it is pinned and validated
/// (`PGT_type_mask`, `PGT_pinned`, `PGT_validated` of asm-x86/mm.h).
const TYPE_SHIFT: u32 = 60;
const PINNED: u64 = 1 << 59;
const VALIDATED: u64 = 1 << 58;
const WRITABLE_PAGE: u64 = 7;

/// The lines; none of a boot that came through.
pub(super) fn last_words(story: &Story<'_>) -> Vec<String> {
    let End::Died { death, text, .. } = &story.built.end else { return Vec::new() };
    match death {
        Death::Panic => vec![format!("Kernel panic - not syncing: {text}")],
        Death::Bug => refusal(story, text),
        Death::Crash => page_fault(story, text),
    }
}

fn page_fault(story: &Story<'_>, text: &str) -> Vec<String> {
    let fault = story.fault();
    let Some(page) = fault.map(|fault| fault.page).or_else(|| page_of(text)) else { return Vec::new() };
    let function = match fault.map(|fault| fault.by) {
        Some(Consumer::Memtest) => "early_memtest",
        Some(Consumer::NodeData) if story.built.boot.node_data == NodeData::Once => "setup_node_data",
        Some(Consumer::NodeData) => "setup_node_bootmem",
        Some(Consumer::RangeArray) => "find_range_array",
        None => text.split(' ').next().unwrap_or_default(),
    };
    let geometry = &story.layout.geometry;
    let mut lines = vec![
        format!("BUG: unable to handle kernel paging request at {:016x}", direct_map(geometry, page)),
        format!("IP: {function}"),
    ];
    let walk = &story.built.fault;
    if !walk.is_empty() {
        lines.push(dump_pagetable(walk));
        // Bit 1: a write; bit 0: the page was there and did not allow it.
        let is_present = walk.last().is_some_and(|step| step.entry.is_present());
        lines.push(format!("Oops: {:04x} [#1] SMP", 2 | u8::from(is_present)));
    }
    lines
}

/// `PGD .. PUD .. PMD .. PTE ..`, up to the entry at which the walk ends (`dump_pagetable`, arch/x86/mm/fault.c).
fn dump_pagetable(walk: &[Step]) -> String {
    let entries: Vec<String> =
        walk.iter().map(|step| format!("{} {:x}", level_name(step), step.entry.bits())).collect();
    entries.join(" ")
}

/// What the kernel calls the entries of a table of this level.
pub(super) const fn level_name(step: &Step) -> &'static str {
    match step.level.get() {
        1 => "PTE",
        2 => "PMD",
        3 => "PUD",
        _ => "PGD",
    }
}

/// The page's address in the direct map.
pub(super) fn direct_map(geometry: &Geometry, page: Pfn) -> u64 {
    BASE.saturating_add(geometry.addr(page).get()).get()
}

/// Xen's "Bad type": what the frame is in use as against what was asked of it.
fn refusal(story: &Story<'_>, text: &str) -> Vec<String> {
    let Some(page) = page_of(text) else { return Vec::new() };
    let number = |behind: &str| -> Option<u64> {
        let (_, rest) = text.split_once(behind)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let expected = number("wanted as L").map_or(WRITABLE_PAGE, |level| level) << TYPE_SHIFT;
    let saw = match (number("but is an L"), number("but has ")) {
        // A level 1 table holds one reference for its pin, each link one more.
        (Some(1), _) => 1 << TYPE_SHIFT | PINNED | VALIDATED | (1 + u64::from(story.is_linked(page))),
        (Some(level), _) => level << TYPE_SHIFT | VALIDATED | 1,
        (None, n_writable) => WRITABLE_PAGE << TYPE_SHIFT | VALIDATED | n_writable.unwrap_or(1),
    };
    let function = text.strip_prefix("BUG() in ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let mut lines =
        vec![format!("(XEN) mm.c: Bad type (saw {saw:016x} != exp {expected:016x}) for mfn {page:x} (pfn {page:x})")];
    if function == "pin_pagetable_pfn" {
        lines.push(format!("(XEN) mm.c: Error while pinning mfn {page:x}"));
    }
    lines.push("kernel BUG at arch/x86/xen/mmu.c!".to_owned());
    lines.push(format!("IP: {function}"));
    lines
}
