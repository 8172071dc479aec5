// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables a kernel starts with: the boot code's own natively, the domain builder's under Xen.
//!
//! The kernel's static tables are pages of its image, counted here from the image's end K:
//!
//! | page | what it is here |
//! |---|---|
//! | K-8, K-7, K-5 | the chain from the root to the tables of the first GiB |
//! | K-6, K-3, K-2 | the kernel's high mapping, whose leaf tables are those of the direct map |
//! | K-4 | stays writable |
//! | K-1 | read-only, no table |
//!
//! The high mapping shares every leaf table of the first GiB with the direct map, so one change of an
//! entry shows through both and the model keeps one of them.

use super::{LayoutConflict, Machine};
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::entry::{Entry, EntryFlags};
use crate::geometry::Level;
use crate::layout::{Layout, Machine as MachineFrame, P2m, XenBoot};
use crate::mmu::Mmu;
use crate::strategy::{Boot, BuilderFrames, MaxPfnMapped, NativeMap, P2mUse};
use crate::table::{EntryRun, TableId, TableStore};

/// Static tables of the chain to the first tables of leaves, root first, as pages before the image's end.
const CHAIN: [u64; 3] = [8, 7, 5];
/// The other static tables: of the high mapping.
const HIGH_MAP: [u64; 3] = [6, 3, 2];
/// Pages of the image's end that Xen requires to be read-only: the tables and their neighbour.
const READ_ONLY: [u64; 7] = [8, 7, 6, 5, 3, 2, 1];
/// The domain builder's own upper tables: one for each level above the leaves' tables.
const BUILDER_UPPER_FRAMES: u64 = 3;

fn static_page(layout: &Layout, before_end: u64) -> Pfn {
    layout.geometry.pfn_down(layout.kernel.end).saturating_sub(before_end)
}

fn create(tables: &mut TableStore, pfn: Pfn, level: Level) -> Result<TableId, LayoutConflict> {
    tables.create(pfn, level).ok_or_else(|| LayoutConflict(format!("two tables at pfn {pfn:x}")))
}

/// An MMU with an empty root.
pub(super) fn root(layout: &Layout) -> Result<Mmu<'_>, LayoutConflict> {
    let mut tables = TableStore::new(layout.geometry);
    let root = create(&mut tables, static_page(layout, CHAIN[0]), layout.geometry.root_level())?;
    Ok(Mmu::native(layout, tables, root))
}

/// Sets up the tables the boot code left, as the strategy says its kernel finds them.
///
/// On an error the tables are as they were before.
pub(super) fn set_up(machine: &mut Machine<'_>, boot: &Boot) -> Result<(), LayoutConflict> {
    let before = machine.mmu.tables.clone();
    set_up_all(machine, boot).inspect_err(|_| machine.mmu.tables = before)
}

fn set_up_all(machine: &mut Machine<'_>, boot: &Boot) -> Result<(), LayoutConflict> {
    let layout = machine.layout;
    let geometry = layout.geometry;
    let max_pfn_mapped = match layout.xen {
        Some(xen) if layout.backend == crate::layout::Backend::Xen => {
            let extended = xen_tables(machine, boot, xen)?;
            match boot.max_pfn_mapped {
                MaxPfnMapped::BootMap | MaxPfnMapped::Nothing => geometry.pfn_down(xen.mfn_list),
                MaxPfnMapped::IdentityMap => extended.saturating_sub(1),
            }
        }
        _ => {
            if boot.native_map == NativeMap::FirstGib {
                first_gib(machine)?;
            }
            match boot.max_pfn_mapped {
                MaxPfnMapped::BootMap | MaxPfnMapped::IdentityMap => geometry.pfn_down(layout.boot_mapped),
                MaxPfnMapped::Nothing => Pfn::default(),
            }
        }
    };
    machine.facts.max_pfn_mapped = max_pfn_mapped;
    machine.memblock.set_current_limit(geometry.addr(max_pfn_mapped));
    if let Some(rules) = &mut machine.rules {
        rules.is_mapped_on_demand = !machine.mmu.is_guarded() && boot.native_map == NativeMap::OnDemand;
        machine.mmu.tables.iter().for_each(|table| rules.boot_table(table.pfn()));
    }
    machine.mmu.newly_linked.clear();
    if machine.mmu.ops.is_on() {
        machine.mmu.begin_ops(geometry.touched_pages(PhysRange::new(PhysAddr::default(), layout.e820.end())));
    }
    Ok(())
}

/// The table of level 2 for the first GiB, below the root, making what is missing.
fn chain_to_first_gib(layout: &Layout, tables: &mut TableStore, root: TableId) -> Result<TableId, LayoutConflict> {
    let mut table = root;
    for before_end in &CHAIN[1..] {
        let Some(level) = tables.get(table).level().below().filter(|level| Level::L1 < *level) else { break };
        let page = static_page(layout, *before_end);
        let next = create(tables, page, level)?;
        link_raw(tables, table, 0, page);
        table = next;
    }
    Ok(table)
}

fn link_raw(tables: &mut TableStore, parent: TableId, slot: u64, child: Pfn) {
    tables.write(parent, EntryRun { slot, n: 1, first: Entry::new(child.get(), EntryFlags::TABLE), step: 0 });
}

/// Linux up to 3.8, `head_64.S`: the first GiB in 2 MiB leaves, executable and global.
fn first_gib(machine: &mut Machine<'_>) -> Result<(), LayoutConflict> {
    let geometry = machine.layout.geometry;
    let root = machine.mmu.root;
    let mut tables = std::mem::replace(&mut machine.mmu.tables, TableStore::new(geometry));
    let table = chain_to_first_gib(machine.layout, &mut tables, root)?;
    let first = Entry::new(0, EntryFlags::KERNEL_EXEC | EntryFlags::DIRTY | EntryFlags::LARGE);
    let step = geometry.pages_per_entry(Level::L2) * Entry::FRAME_STEP;
    tables.write(table, EntryRun { slot: 0, n: geometry.entries(), first, step });
    let all: Vec<Pfn> = tables.iter().map(crate::table::Table::pfn).collect();
    for page in all {
        if let Some(id) = tables.at(page) {
            tables.set_linked(id, true);
        }
    }
    machine.mmu.tables = tables;
    Ok(())
}

/// Those of the pages that have a machine frame, as runs.
fn valid(p2m: Option<&P2m>, pages: PfnRange) -> impl Iterator<Item = PfnRange> {
    let all = p2m.is_none().then_some(pages);
    let runs = p2m.into_iter().flat_map(move |p2m| p2m.runs(pages));
    all.into_iter().chain(runs.filter(|run| run.machine != MachineFrame::Invalid).map(|run| run.pages))
}

/// What Xen's domain builder and `xen_setup_kernel_pagetable` left. Gives the page behind the last one
/// that the identity extension maps.
fn xen_tables(machine: &mut Machine<'_>, boot: &Boot, xen: XenBoot) -> Result<Pfn, LayoutConflict> {
    let layout = machine.layout;
    let geometry = layout.geometry;
    let root = machine.mmu.root;
    let p2m = (boot.p2m == P2mUse::Honoured).then_some(&layout.p2m);
    let mut tables = std::mem::replace(&mut machine.mmu.tables, TableStore::new(geometry));
    let mut builder = XenTables { layout, tables: &mut tables, root, upper: Vec::new(), n_outside: 0 };
    builder.upper.push(chain_to_first_gib(layout, builder.tables, root)?);

    // [0, mapped_end): writable and for the user, the builder's own tables read-only.
    let mapped = PfnRange::new(Pfn::default(), geometry.pfn_down(xen.mapped_end));
    let frames = geometry.pfn_down(xen.pt_base);
    let frames = PfnRange::new(frames, frames.saturating_add(xen.pt_frames));
    let per_table = geometry.entries();
    let n_leaf_tables = mapped.len().div_ceil(per_table);
    for at in 0..n_leaf_tables {
        let page = frames.start.saturating_add(BUILDER_UPPER_FRAMES + at);
        let page = if frames.contains(page) { page } else { builder.outside() };
        let base = Pfn::new(at * per_table);
        let table = builder.leaf_table(base, page)?;
        let n = mapped.end.offset_from(base).min(per_table);
        let first = Entry::new(base.get(), EntryFlags::DOMAIN_BUILDER);
        builder.tables.write(table, EntryRun { slot: 0, n, first, step: Entry::FRAME_STEP });
    }
    for page in frames.start.get()..frames.end.get() {
        builder.rewrite(Pfn::new(page), EntryFlags::DOMAIN_BUILDER - EntryFlags::WRITABLE);
    }

    // The kernel's extension of that map, up to the end of RAM, in tables from BRK.
    let brk = geometry.pfn_down(layout.brk);
    let mut n_taken = 0;
    let mut extended = mapped.end;
    let mut base = Pfn::default();
    while 0 < boot.identity_tables && base < machine.facts.max_pfn {
        let table = match builder.existing(base) {
            Some(table) => table,
            None if n_taken < boot.identity_tables => {
                n_taken += 1;
                builder.leaf_table(base, brk.saturating_add(n_taken - 1))?
            }
            None => break,
        };
        let runs = builder.tables.get(table).runs(0, per_table, Entry::FRAME_STEP);
        let absent: Vec<EntryRun> = runs.filter(|run| !run.first.is_present()).collect();
        for run in absent {
            let start = base.saturating_add(run.slot);
            for pages in valid(p2m, PfnRange::new(start, start.saturating_add(run.n))) {
                let first = Entry::new(pages.start.get(), EntryFlags::KERNEL_EXEC - EntryFlags::GLOBAL);
                let (slot, n) = (pages.start.offset_from(base), pages.len());
                builder.tables.write(table, EntryRun { slot, n, first, step: Entry::FRAME_STEP });
            }
        }
        base = base.saturating_add(per_table);
        extended = base;
    }

    // The kernel's static tables and those from BRK become read-only, and the builder's root unused.
    let mut guarded = EntryFlags::KERNEL - EntryFlags::GLOBAL - EntryFlags::WRITABLE;
    guarded.set(EntryFlags::NO_EXECUTE, layout.switches.nx);
    READ_ONLY.iter().for_each(|&before_end| builder.rewrite(static_page(layout, before_end), guarded));
    (0..n_taken).for_each(|at| builder.rewrite(brk.saturating_add(at), guarded));
    if boot.builder_frames == BuilderFrames::GivenBack {
        for at in 0..BUILDER_UPPER_FRAMES {
            builder.rewrite(frames.start.saturating_add(at), guarded | EntryFlags::WRITABLE);
        }
    }
    for before_end in HIGH_MAP {
        create(&mut tables, static_page(layout, before_end), Level::L2)?;
    }
    let statics = HIGH_MAP.map(|before_end| static_page(layout, before_end));
    let all: Vec<Pfn> = tables.iter().map(crate::table::Table::pfn).collect();
    for page in all {
        if let Some(id) = tables.at(page) {
            tables.set_linked(id, true);
        }
    }
    machine.mmu.tables = tables;
    machine.mmu.guard(p2m, &statics).map_err(|refusal| LayoutConflict(refusal.to_string()))?;
    Ok(extended)
}

/// Tables under construction for a Xen guest, before Xen sees them.
struct XenTables<'a, 'l> {
    layout: &'l Layout,
    tables: &'a mut TableStore,
    root: TableId,
    /// The tables of level 2, one a GiB from the first on.
    upper: Vec<TableId>,
    n_outside: u64,
}

impl XenTables<'_, '_> {
    /// A frame that is none of the guest's: for tables of which only Xen knows where they are.
    fn outside(&mut self) -> Pfn {
        self.n_outside += 1;
        self.layout.geometry.pfn_down(self.layout.geometry.phys_end).saturating_sub(self.n_outside)
    }

    fn upper(&mut self, base: Pfn) -> Result<TableId, LayoutConflict> {
        let geometry = self.layout.geometry;
        let gib = geometry.pages_per_entry(Level::L3);
        while (self.upper.len() as u64) <= base.get() / gib {
            let start = Pfn::new(self.upper.len() as u64 * gib);
            let page = self.outside();
            let table = create(self.tables, page, Level::L2)?;
            let mut parent = self.root;
            while let Some(next) =
                self.tables.linked(self.tables.get(parent).entry(geometry.slot(self.tables.get(parent).level(), start)))
            {
                parent = next;
            }
            while self.tables.get(parent).level() != Level::L3 {
                let Some(level) = self.tables.get(parent).level().below() else { break };
                let page = self.outside();
                let between = create(self.tables, page, level)?;
                let slot = geometry.slot(self.tables.get(parent).level(), start);
                link_raw(self.tables, parent, slot, page);
                parent = between;
            }
            link_raw(self.tables, parent, geometry.slot(Level::L3, start), page);
            self.upper.push(table);
        }
        let at = usize::try_from(base.get() / gib).map_err(|_| LayoutConflict("too many tables".to_owned()))?;
        Ok(self.upper[at])
    }

    fn existing(&self, base: Pfn) -> Option<TableId> {
        let found = crate::walk::walk(self.tables, self.root, base);
        (found.level == Level::L1).then_some(found.table)
    }

    fn leaf_table(&mut self, base: Pfn, page: Pfn) -> Result<TableId, LayoutConflict> {
        let upper = self.upper(base)?;
        let table = create(self.tables, page, Level::L1)?;
        link_raw(self.tables, upper, self.layout.geometry.slot(Level::L2, base), page);
        Ok(table)
    }

    /// Maps a page with other bits, if it is mapped at all.
    fn rewrite(&mut self, page: Pfn, flags: EntryFlags) {
        let found = crate::walk::walk(self.tables, self.root, page);
        if found.entry.is_present() && found.level == Level::L1 {
            let first = Entry::new(page.get(), flags);
            self.tables.write(found.table, EntryRun { slot: found.slot, n: 1, first, step: 0 });
        }
    }
}
