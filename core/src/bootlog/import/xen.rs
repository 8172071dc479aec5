// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Xen's domain builder left, as Xen prints it, and the frames the kernel mapped one to one or gave
//! back.

use super::{Assumed, Import};
use crate::addr::{PfnRange, PhysAddr, PhysRange, VirtAddr};
use crate::bootlog::fact::{Fact, XenBlock};
use crate::bootlog::machine::{under_xen, under_xen_with};
use crate::bootlog::{BootLogError, LogKind};
use crate::geometry::{KERNEL_MAP, Level};
use crate::layout::{Layout, Machine, P2m, Reservation, XenBoot};

/// The physical bytes of a block; `None` outside the kernel's map. The builder prints the ramdisk twice: where it
/// found it in the machine's memory, and where the kernel's map has it.
fn block(import: &mut Import<'_>, wanted: XenBlock) -> Option<(usize, PhysRange)> {
    let (line, (start, end)) = import.first(|fact| match fact {
        Fact::Xen { block, start, end } if *block == wanted && KERNEL_MAP <= *start => Some((*start, *end)),
        _ => None,
    })?;
    let phys = |address: VirtAddr| PhysAddr::new(address.offset_from(KERNEL_MAP));
    Some((line, PhysRange::new(phys(start), phys(end))))
}

/// The kernel's image, as the builder loaded it.
pub(super) fn kernel(import: &mut Import<'_>) -> Option<(usize, PhysRange)> {
    block(import, XenBlock::Kernel)
}

/// Puts Xen under a machine: what it printed, and by the fixed rules what it did not.
pub(super) fn put_under(import: &mut Import<'_>, machine: Layout) -> Result<Layout, BootLogError> {
    let is_dom0 = import.log.kind() != LogKind::DomU;
    let printed = boot(import, &machine).or_else(|| reserved_boot(import, &machine));
    let Some(boot) = printed else { return put_behind_the_kernel(import, machine, is_dom0) };
    let kernel_end = machine.kernel.end;
    let reservations = machine.reservations.clone();
    // What was printed fitted, so what the rules would need does not matter.
    let by_rules = under_xen(machine.clone(), is_dom0);
    let mut layout = by_rules.unwrap_or_else(|_| under_xen_as_printed(machine, is_dom0));
    layout.xen = Some(boot);
    layout.reservations = reservations;
    let ramdisk = block(import, XenBlock::Ramdisk).map(|(_, range)| range).or_else(|| reserved(import, "RAMDISK"));
    if let Some(ramdisk) = ramdisk.filter(|range| kernel_end <= range.start && range.end <= boot.mfn_list) {
        let range = layout.geometry.bytes(layout.geometry.touched_pages(ramdisk));
        layout.reservations.push(Reservation { range, name: "RAMDISK".to_owned() });
    }
    take_frames(import, &mut layout, is_dom0);
    Ok(layout)
}

/// The boot objects behind kernel and ramdisk by the fixed rules, and the ramdisk too unless a guest's log has it.
fn put_behind_the_kernel(import: &mut Import<'_>, machine: Layout, is_dom0: bool) -> Result<Layout, BootLogError> {
    let known = guests_ramdisk(import, &machine)
        .and_then(|(line, ramdisk)| Some((line, under_xen_with(machine.clone(), is_dom0, ramdisk).ok()?)));
    let mut layout = if let Some((line, layout)) = known {
        import.taken.insert(line);
        layout
    } else {
        import.assumed.extend(import.log.ramdisk_line.map(|line| Assumed::XenRamdisk { line }));
        under_xen(machine, is_dom0)?
    };
    import.assumed.push(Assumed::XenBoot);
    take_frames(import, &mut layout, is_dom0);
    Ok(layout)
}

/// Where a PV guest's own log has its ramdisk: the builder put it there, behind the kernel.
fn guests_ramdisk(import: &Import<'_>, machine: &Layout) -> Option<(usize, PhysRange)> {
    let line = import.log.ramdisk_line.filter(|_| !import.log.kind().has_native_cell())?;
    let geometry = machine.geometry;
    let ramdisk = geometry.bytes(geometry.touched_pages(import.log.ramdisk()?));
    (machine.kernel.end <= ramdisk.start).then_some((line, ramdisk))
}

/// The machine under Xen without the builder's boot objects, which are about to be set.
fn under_xen_as_printed(mut layout: Layout, is_dom0: bool) -> Layout {
    layout.backend = crate::layout::Backend::Xen;
    layout.switches.dom0 = is_dom0;
    layout.switches.gbpages = false;
    layout
}

/// The builder's page tables, p2m list and map, if all were printed and can be true.
fn boot(import: &mut Import<'_>, machine: &Layout) -> Option<XenBoot> {
    let geometry = machine.geometry;
    let (_, tables) = block(import, XenBlock::PageTables)?;
    let (_, total) = block(import, XenBlock::Total)?;
    let list = block(import, XenBlock::PhysMachMap);
    let mfn_list = match list {
        Some((_, list)) => list.start,
        None => {
            // Kernels that ask for it get the list at a place of its own.
            let (line, _) = import.first(|fact| match fact {
                Fact::Xen { block: XenBlock::PhysMachMap, start, .. } => Some(*start),
                _ => None,
            })?;
            let (_, info) = block(import, XenBlock::StartInfo)?;
            import.assumed.push(Assumed::P2mListUnmapped { line });
            info.start
        }
    };
    let pages = geometry.whole_pages(tables);
    let boot = XenBoot { mapped_end: total.end, pt_base: geometry.addr(pages.start), pt_frames: pages.len(), mfn_list };
    can_be(&boot, machine).then_some(boot)
}

/// What kernels of 2.6.27 to 2.6.36 reserved for somebody.
fn reserved(import: &mut Import<'_>, whose: &str) -> Option<PhysRange> {
    let found = import.first(|fact| match fact {
        Fact::Reserved { range, name } if name == whose => Some(*range),
        _ => None,
    });
    found.map(|(_, range)| range)
}

/// The builder's things by what such a kernel reserved: its page tables, and the p2m list between the ramdisk
/// and them. How far the tables map follows from how many they are.
fn reserved_boot(import: &mut Import<'_>, machine: &Layout) -> Option<XenBoot> {
    let geometry = machine.geometry;
    let pages = geometry.whole_pages(reserved(import, "XEN PAGETABLES")?);
    let mfn_list = reserved(import, "RAMDISK")?.end.align_up(geometry.page_bytes());
    let bytes_per_l1 = geometry.page_bytes() * geometry.pages_per_entry(Level::L2);
    let mapped_end = PhysAddr::new(pages.len().checked_sub(3)?.checked_mul(bytes_per_l1)?);
    let boot = XenBoot { mapped_end, pt_base: geometry.addr(pages.start), pt_frames: pages.len(), mfn_list };
    can_be(&boot, machine).then_some(boot)
}

/// Whether the builder's things lie behind the kernel, in order, the tables in RAM, and map themselves.
fn can_be(boot: &XenBoot, machine: &Layout) -> bool {
    let geometry = machine.geometry;
    let tables_end = boot.pt_base.saturating_add(boot.pt_frames.saturating_mul(geometry.page_bytes()));
    // Root, L3, L2, and an L1 for every 2 MiB that are mapped.
    let bytes_per_l1 = geometry.page_bytes() * geometry.pages_per_entry(Level::L2);
    let needed = 3 + boot.mapped_end.get().div_ceil(bytes_per_l1);
    let is_ordered = machine.kernel.end <= boot.mfn_list && boot.mfn_list <= boot.pt_base;
    // Kernels of the time saw the p2m list between them as reserved.
    let is_ram = machine.e820.one_ram_entry_holds(PhysRange::new(boot.pt_base, boot.mapped_end));
    is_ordered && is_ram && tables_end <= boot.mapped_end && needed <= boot.pt_frames
}

/// The p2m: one to one where the log says so or the machine's holes are, nothing where frames were given
/// back and nothing took their place.
fn take_frames(import: &mut Import<'_>, layout: &mut Layout, is_dom0: bool) {
    let identity = import.all(|fact| if let Fact::Identity(frames) = fact { Some(*frames) } else { None });
    let released = import.all(|fact| if let Fact::Released(frames) = fact { Some(*frames) } else { None });
    if identity.is_empty() && is_dom0 {
        import.assumed.push(Assumed::Identity);
    }
    let holes = layout.p2m.runs(PfnRange::new(Default::default(), layout.geometry.end_of_map()));
    let holes = holes.filter(|run| matches!(run.machine, Machine::Identity(_))).map(|run| run.pages);
    let identity: Vec<PfnRange> = holes.chain(identity).collect();
    // Frames that were given back are then mapped one to one, so only the others stand for nothing.
    let covered = P2m::new(&[], &identity);
    let invalid: Vec<PfnRange> = released
        .iter()
        .flat_map(|frames| covered.runs(*frames))
        .filter(|run| matches!(run.machine, Machine::Frame(_)))
        .map(|run| run.pages)
        .collect();
    layout.p2m = P2m::new(&invalid, &identity);
}
