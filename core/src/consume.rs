// SPDX-License-Identifier: MIT OR Apache-2.0
//! The consumers: boot code that takes memory right after the build and writes to it. They decide
//! whether a boot meets what the build left behind.

use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::build::{Halt, Machine, Record};
use crate::event::{Consumer, Event};
use crate::layout::Node;
use crate::memblock::Memblock;
use crate::ops::{self, Accessor, Act, Outcome};
use crate::strategy::NodeData;
use crate::walk::visit_leaves;

/// The first of the pages that the kernel may not write to at this moment.
fn first_not_writable(machine: &Machine<'_>, pages: PfnRange) -> Option<Pfn> {
    let mut page = pages.start;
    visit_leaves(&machine.mmu.tables, machine.mmu.root, pages, &mut |leaves| {
        let follows = leaves.pages.start <= page;
        if follows && leaves.grants.contains(crate::entry::Grants::WRITE) {
            page = leaves.pages.end;
        }
        follows && page == leaves.pages.end
    });
    (page < pages.end).then_some(page)
}

/// Keeps that a consumer wrote, or at which page it faulted and whether that one is mapped.
fn store(machine: &mut Machine<'_>, by: Consumer, range: PhysRange, fault: Option<(Pfn, bool)>) {
    let geometry = &machine.layout.geometry;
    let (start, end) = ops::direct_map(range);
    let act = || Act::Access { by: Accessor::Consumer(by), start, end, is_store: true };
    let outcome = || match fault {
        None => Outcome::Done,
        Some((page, is_present)) => {
            let at = PhysRange::new(range.start.max(geometry.addr(page)), range.end);
            Outcome::write_fault(is_present, Some(ops::direct_map(at).0))
        }
    };
    machine.mmu.ops.came_to(act, outcome);
}

/// `memtest=`: writes to every free block of the pages (`early_memtest`).
pub(crate) fn memtest(machine: &mut Machine<'_>, pages: PfnRange) -> Result<(), Halt> {
    let geometry = machine.layout.geometry;
    let window = geometry.bytes(pages);
    let free: Vec<PhysRange> = machine.memblock.free_ranges(window).collect();
    for range in free {
        let fault = first_not_writable(machine, geometry.touched_pages(range));
        store(machine, Consumer::Memtest, range, fault.map(|page| (page, machine.mmu.walk(page).entry.is_present())));
        machine.note(|| Event::Written { by: Consumer::Memtest, range, fault });
        if let Some(page) = fault {
            return Err(Halt::crash(format!("memtest writes pfn {page:x}")));
        }
    }
    Ok(())
}

/// Writes to a range a consumer was given; dies if a page of it is absent or read-only.
fn write(machine: &mut Machine<'_>, by: Consumer, range: PhysRange) -> Result<(), Halt> {
    let pages = machine.layout.geometry.touched_pages(range);
    let fault = match machine.built_map() {
        Some(map) => map.first_not_writable(pages),
        None => first_not_writable(machine, pages),
    };
    let is_present = |page| match machine.built_map() {
        Some(map) => map.at(page).is_some(),
        None => machine.mmu.walk(page).entry.is_present(),
    };
    store(machine, by, range, fault.map(|page| (page, is_present(page))));
    machine.note(|| Event::Written { by, range, fault });
    let (stage, who) = match by {
        Consumer::Memtest => ("init_memory_mapping", "memtest"),
        Consumer::NodeData => ("numa", "NODE_DATA"),
        Consumer::RangeArray => ("dma_reserve", "find_range_array"),
    };
    match fault {
        None => Ok(()),
        Some(page) => Err(Halt::crash_at(
            stage,
            format!("{who} writes pfn {page:x} of [{:x},{:x}): direct map not writable", range.start, range.end),
        )),
    }
}

/// Places and clears the data of each node (`setup_node_bootmem`).
pub(crate) fn node_data(machine: &mut Machine<'_>) -> Result<(), Halt> {
    if !machine.layout.switches.numa {
        return Ok(());
    }
    let geometry = machine.layout.geometry;
    let mapped = geometry.addr(machine.facts.max_pfn_mapped);
    let all = Node { id: 0, range: PhysRange::new(PhysAddr::default(), geometry.addr(machine.facts.max_pfn)) };
    let nodes = match (machine.boot.node_data, machine.layout.nodes.as_slice()) {
        (NodeData::Once, _) | (_, []) => vec![all],
        (NodeData::PerNodeFromLast | NodeData::PerNodeFromFirst, nodes) => nodes.to_vec(),
    };
    for node in nodes {
        let found = match machine.boot.node_data {
            NodeData::Once => find(&machine.memblock, machine, PhysRange::new(PhysAddr::default(), mapped)),
            NodeData::PerNodeFromLast | NodeData::PerNodeFromFirst => find_in_node(machine, node, mapped),
        };
        let Some(base) = found else { continue };
        let range = PhysRange::new(base, base.saturating_add(geometry.node_data_bytes));
        machine.memblock.reserve(range);
        machine.records.push(Record::NodeData { node: node.id, range });
        write(machine, Consumer::NodeData, range)?;
    }
    Ok(())
}

fn find(memblock: &Memblock, machine: &Machine<'_>, window: PhysRange) -> Option<PhysAddr> {
    let geometry = &machine.layout.geometry;
    memblock.find_in_range(window, geometry.node_data_bytes, geometry.node_data_align)
}

/// `early_node_mem`: in the node's regions of memory above the DMA zones, then anywhere in the node, then
/// anywhere that is mapped.
fn find_in_node(machine: &Machine<'_>, node: Node, mapped: PhysAddr) -> Option<PhysAddr> {
    let geometry = &machine.layout.geometry;
    if node.range.len() < geometry.node_min_bytes {
        return None;
    }
    let mut start = node.range.start.align_up(geometry.zone_align).max(geometry.node_data_start);
    if start < geometry.low_end && geometry.low_end < node.range.end {
        start = geometry.low_end;
    }
    let window = PhysRange::new(start, node.range.end);
    let look = |region: &PhysRange| find(&machine.memblock, machine, region.intersect(window));
    let regions = machine.memblock.memory();
    let in_regions = match machine.boot.node_data {
        NodeData::PerNodeFromFirst => regions.iter().find_map(look),
        NodeData::PerNodeFromLast | NodeData::Once => regions.iter().rev().find_map(look),
    };
    let anywhere = PhysRange::new(geometry.node_data_start, mapped);
    in_regions
        .or_else(|| find(&machine.memblock, machine, window))
        .or_else(|| find(&machine.memblock, machine, anywhere))
}

/// Places and clears the array in which `memblock_find_dma_reserve` counts; it is not reserved.
pub(crate) fn range_array(machine: &mut Machine<'_>) -> Result<(), Halt> {
    if !machine.boot.has_range_array {
        return Ok(());
    }
    let geometry = machine.layout.geometry;
    let n_regions = machine.memblock.memory().len() + machine.memblock.reserved().len();
    let bytes = 2 * geometry.range_entry_bytes * n_regions as u64;
    let window = PhysRange::new(PhysAddr::default(), geometry.addr(machine.facts.max_pfn_mapped));
    let Some(base) = machine.memblock.find_in_range(window, bytes, geometry.range_entry_bytes) else {
        return Ok(());
    };
    let range = PhysRange::new(base, base.saturating_add(bytes));
    machine.records.push(Record::RangeArray(range));
    write(machine, Consumer::RangeArray, range)
}
