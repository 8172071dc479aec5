// SPDX-License-Identifier: MIT OR Apache-2.0
//! On which golden layouts a rule is expected to break, each place with its reason.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::build::{Built, CallSpace, Death, End, Record};
use pgtlab_core::e820::E820Entry;
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::strategy::PgtBuf;

/// Nowhere.
pub(crate) fn never(_: &Layout, _: &Built) -> bool {
    false
}

/// The golden layouts whose names start like this.
fn is_one_of(layout: &Layout, starts: &[&str]) -> bool {
    starts.iter().any(|start| layout.name.starts_with(start))
}

/// Everywhere under Xen.
pub(crate) fn on_xen(layout: &Layout, _: &Built) -> bool {
    layout.backend == Backend::Xen
}

/// The buffers of all ranges, the one a build died in included.
fn buffers(built: &Built) -> impl Iterator<Item = PgtBuf> + '_ {
    built.records.iter().filter_map(|record| match record {
        Record::Call { space: CallSpace::Buffer(buf), .. } | Record::AtCrash(buf) => Some(*buf),
        _ => None,
    })
}

/// Reach: under Xen every high buffer lies above what is mapped. Natively the first GiB is mapped, and a
/// machine whose tables all lie there is spared.
pub(crate) fn taking_what_is_not_mapped(layout: &Layout, built: &Built) -> bool {
    let gib = layout.geometry.pages_per_entry(Level::L3);
    on_xen(layout, built) || buffers(built).any(|buf| !buf.used().is_empty() && gib < buf.end.get())
}

/// Guard: the boots that end because Xen refuses a table.
pub(crate) fn refused(_: &Layout, built: &Built) -> bool {
    matches!(built.end, End::Died { death: Death::Bug, .. })
}

/// Claim: tables are reserved when the range is done, so any table is claimed too late.
pub(crate) fn taking_any(_: &Layout, built: &Built) -> bool {
    buffers(built).any(|buf| !buf.used().is_empty())
}

/// Return: reserving the spare part keeps it from its users on either back end. A range that takes
/// nothing reserves nothing.
pub(crate) fn with_a_spare_part_reserved(_: &Layout, built: &Built) -> bool {
    buffers(built).any(|buf| !buf.used().is_empty() && !buf.spare().is_empty())
}

/// Whether a range maps something that is no memory. A whole GiB of which the firmware says nothing is
/// left out; the first MiB is outside the rule.
fn has_hole(layout: &Layout, range: PfnRange) -> bool {
    let geometry = &layout.geometry;
    let gib = geometry.pages_per_entry(Level::L3);
    let mut at = range.start.max(geometry.pfn_down(geometry.isa_end));
    while at < range.end {
        let next = at.align_down(gib).saturating_add(gib);
        let part = PfnRange::new(at, next.min(range.end));
        let is_memory = |entry: &&E820Entry| entry.kind.is_memory();
        let memory = layout.e820.entries().iter().filter(is_memory);
        let n_memory: u64 = memory.map(|entry| geometry.touched_pages(entry.range).intersect(part).len()).sum();
        let block = geometry.bytes(PfnRange::new(at.align_down(gib), next));
        if layout.e820.any(block) && n_memory < part.len() {
            return true;
        }
        at = next;
    }
    false
}

fn has_hole_below_4_gib(layout: &Layout) -> bool {
    has_hole(layout, PfnRange::new(Pfn::default(), layout.max_low_pfn()))
}

/// Cover in 2.6.38, which asks no p2m: any hole.
pub(crate) fn with_any_hole(layout: &Layout, built: &Built) -> bool {
    let start = layout.geometry.pfn_down(layout.geometry.low_end);
    let high = PfnRange::new(start, layout.max_pfn());
    // A dead build is not judged.
    built.map.is_some() && (has_hole_below_4_gib(layout) || has_hole(layout, high))
}

/// Cover with one range above 4 GiB: natively any hole, under Xen one of which the p2m says nothing, or
/// one that lies in the domain builder's own map.
pub(crate) fn with_a_hole_the_p2m_does_not_know(layout: &Layout, built: &Built) -> bool {
    let unknown = [
        "r-002", "r-003", "r-005", "r-006", "r-012", "r-033", "r-045", "r-047", "r-053", "r-054", "r-060", "r-065",
        "r-066", "r-068", "r-069", "r-072", "r-077", "r-090", "r-092", "r-093", "r-099", "r-101", "r-105", "r-107",
        "r-108", "r-119",
    ];
    let is_known = on_xen(layout, built) && !is_one_of(layout, &unknown) && !is_in_builders_map(layout);
    with_any_hole(layout, built) && !is_known
}

/// Xen machines with a hole where the domain builder maps all there is, which nobody clears.
fn is_in_builders_map(layout: &Layout) -> bool {
    is_one_of(layout, &["x-domU-2.6.29", "x-vm-5.17-kvm", "x-vm-5.18-wsl2", "x-vm-5.6-efi"])
}

/// Cover with a range for each region above 4 GiB.
pub(crate) fn with_a_low_hole(layout: &Layout, built: &Built) -> bool {
    let is_mapped = if on_xen(layout, built) { is_in_builders_map } else { has_hole_below_4_gib };
    built.map.is_some() && is_mapped(layout)
}

/// Cover in 3.9: a leaf of 1 GiB is split and its rest beyond the range is lost.
pub(crate) fn where_a_split_leaf_loses_its_rest(layout: &Layout, _: &Built) -> bool {
    is_one_of(layout, &["17-"])
}

/// Progress: little low memory and large tables.
pub(crate) fn with_little_low_memory(layout: &Layout, _: &Built) -> bool {
    is_one_of(layout, &["18-"])
}

/// Progress in 3.8: also where a range above 4 GiB starts inside a table of level 1, so that it touches one
/// more than its length pays for, and the rounding of the other terms does not make up for it.
pub(crate) fn with_little_low_memory_or_an_uneven_start(layout: &Layout, _: &Built) -> bool {
    is_one_of(layout, &["18-", "19-", "r-003", "r-060", "r-066", "r-069", "r-105"])
}

/// Progress in 3.9: a block 32 times as large needs more tables than all blocks before it have mapped.
pub(crate) fn where_steps_outgrow_what_is_mapped(layout: &Layout, _: &Built) -> bool {
    is_one_of(layout, &["12-", "13-"])
}

/// Least: what a buffer has to spare. A dead build is not judged.
pub(crate) fn with_a_spare_part(_: &Layout, built: &Built) -> bool {
    built.map.is_some() && buffers(built).any(|buf| !buf.spare().is_empty())
}

/// Least in 3.9: what is left of its pool in the end.
pub(crate) fn with_a_rest_of_the_pool(layout: &Layout, built: &Built) -> bool {
    let geometry = &layout.geometry;
    let pool_end = geometry.pfn_down(layout.brk).saturating_add(geometry.pool_pages);
    let last = built.records.iter().rev().find_map(|record| match record {
        Record::Call { space: CallSpace::PageByPage { brk_end, .. }, .. } => Some(*brk_end),
        _ => None,
    });
    built.map.is_some() && last.is_some_and(|brk_end| brk_end < pool_end)
}

/// Progress, with a range for each region above 4 GiB but a size that is counted from address 0: a range with a
/// piece of 4K leaves at either end needs a table for each and is given one.
pub(crate) fn with_two_uneven_ends(layout: &Layout, _: &Built) -> bool {
    is_one_of(layout, &["r-076"])
}
