// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures of what a build leaves behind, taken when it is done and before any consumer runs.

use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::build::Machine;
use crate::entry::EntryFlags;
use crate::geometry::Level;
use crate::layout::{self, Backend};
use crate::permission::{Mapping, PermissionMap};
use crate::rules::{Moment, Rules};

/// What a completed build cost, and what it left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Pages taken by the strategy that became live tables.
    pub table_pages: u64,
    /// Pages promised or taken that never did.
    pub spare_pages: u64,
    /// Frames of memory that the build left read-only though they are no tables.
    pub left_read_only: u64,
    /// Bytes the build added to what memblock has reserved.
    pub reserved_bytes: u64,
    /// The longest free run, in bytes, below the line under which a crash kernel must lie.
    pub crashkernel_room_bytes: u64,
    /// 4K frames mapped writable and executable.
    pub wx_pages: u64,
    /// Bytes of the pages counted by `table_pages`.
    pub table_bytes: u64,
    /// The most contiguous bytes asked for at once to hold tables.
    pub largest_request_bytes: u64,
}

/// The summary line of a Xen trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XenTotals {
    /// Pages that are tables.
    pub table_pages: u64,
    /// Pages that are mapped read-only and are no tables.
    pub ro_non_table_pages: u64,
    /// The lowest of them.
    pub first: Pfn,
    /// The highest of them.
    pub last: Pfn,
}

/// Takes all measures.
pub(crate) fn measures(
    machine: &Machine<'_>,
    rules: &Rules,
    map: &PermissionMap,
    spare: &[PfnRange],
    table_pages: u64,
) -> Measures {
    let geometry = &machine.layout.geometry;
    let low = PhysRange::new(PhysAddr::default(), geometry.crashkernel_end);
    Measures {
        table_pages,
        spare_pages: spare.iter().map(|pages| pages.len()).sum(),
        left_read_only: left_read_only(machine, rules, map),
        reserved_bytes: machine.memblock.reserved_bytes().saturating_sub(machine.reserved_before),
        crashkernel_room_bytes: machine.memblock.free_ranges(low).map(PhysRange::len).max().unwrap_or(0),
        wx_pages: map.writable_and_executable_pages(),
        table_bytes: table_pages * geometry.page_bytes(),
        largest_request_bytes: machine.largest_request * geometry.page_bytes(),
    }
}

const fn is_read_only(mapping: &Mapping) -> bool {
    !mapping.is_writable()
}

/// Read-only memory that is no table and was not read-only before the build.
fn left_read_only(machine: &Machine<'_>, rules: &Rules, map: &PermissionMap) -> u64 {
    let before = machine.map_before.as_ref();
    let mut n = 0;
    for region in machine.memblock.memory() {
        for pages in map.pages_where(machine.layout.geometry.whole_pages(*region), is_read_only) {
            for page in pages.start.get()..pages.end.get() {
                let page = Pfn::new(page);
                let was = before.and_then(|before| before.at(page)).is_some_and(is_read_only);
                n += u64::from(!was && !rules.is_table(page));
            }
        }
    }
    n
}

/// The Cover rule: all memory is mapped, and at or above 1 MiB nothing but memory and the machine's own.
pub(crate) fn cover(machine: &Machine<'_>, rules: &mut Rules, moment: Moment, map: &PermissionMap) {
    let geometry = &machine.layout.geometry;
    for region in machine.memblock.memory() {
        let pages = geometry.whole_pages(*region);
        let mut at = pages.start;
        for mapping in map.touching(pages) {
            uncovered(machine, rules, moment, PfnRange::new(at, mapping.pages.start));
            at = mapping.pages.end;
        }
        uncovered(machine, rules, moment, PfnRange::new(at, pages.end));
    }
    let memory: Vec<PfnRange> =
        machine.memblock.memory().iter().map(|region| geometry.touched_pages(*region)).collect();
    for mapping in map.mappings().iter().filter(|mapping| !mapping.is_io()) {
        let mut at = mapping.pages.start.max(geometry.pfn_down(geometry.isa_end));
        let first = memory.partition_point(|region| region.end <= at);
        for region in memory[first..].iter().take_while(|region| region.start < mapping.pages.end) {
            not_memory(rules, moment, PfnRange::new(at, region.start));
            at = at.max(region.end);
        }
        not_memory(rules, moment, PfnRange::new(at, mapping.pages.end));
    }
}

fn not_memory(rules: &mut Rules, moment: Moment, pages: PfnRange) {
    if !pages.is_empty() {
        rules.cover(moment, pages, false);
    }
}

/// Memory without a leaf: allowed only where no machine frame stands behind it and a live table of level
/// 1 has its slot.
fn uncovered(machine: &Machine<'_>, rules: &mut Rules, moment: Moment, pages: PfnRange) {
    if !machine.mmu.is_guarded() {
        if !pages.is_empty() {
            rules.cover(moment, pages, true);
        }
        return;
    }
    for run in machine.layout.p2m.runs(pages) {
        if run.machine != layout::Machine::Invalid {
            rules.cover(moment, run.pages, true);
            continue;
        }
        let span = machine.layout.geometry.pages_per_entry(Level::L2);
        let mut at = run.pages.start;
        while at < run.pages.end {
            let end = run.pages.end.min(at.align_down(span).saturating_add(span));
            if machine.mmu.walk(at).level != Level::L1 {
                rules.cover(moment, PfnRange::new(at, end), true);
            }
            at = end;
        }
    }
}

/// Counts tables and read-only pages that are none, as the summary of a Xen trace does.
pub(crate) fn xen_totals(machine: &Machine<'_>, map: &PermissionMap) -> Option<XenTotals> {
    if machine.layout.backend != Backend::Xen {
        return None;
    }
    let geometry = &machine.layout.geometry;
    // Tables outside the guest's memory are Xen's affair.
    let is_guests = |page: Pfn| machine.memblock.is_memory(geometry.bytes(PfnRange::new(page, page.saturating_add(1))));
    let table_pages = machine.mmu.tables.iter().filter(|table| is_guests(table.pfn())).count() as u64;
    let mut totals = XenTotals { table_pages, ro_non_table_pages: 0, first: Pfn::default(), last: Pfn::default() };
    let read_only = |mapping: &&Mapping| is_read_only(mapping) && mapping.flags.contains(EntryFlags::PRESENT);
    for mapping in map.mappings().iter().filter(read_only) {
        for page in (mapping.pages.start.get()..mapping.pages.end.get()).map(Pfn::new) {
            if machine.mmu.tables.at(page).is_none() {
                if totals.ro_non_table_pages == 0 {
                    totals.first = page;
                }
                totals.ro_non_table_pages += 1;
                totals.last = page;
            }
        }
    }
    Some(totals)
}
