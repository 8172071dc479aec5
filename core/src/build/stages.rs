// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stages around the fill: what is asked before a range, after it, and at the end.

use super::fill::{Fill, Space};
use super::{CallSpace, Halt, Machine, Record, boot_tables, need};
use crate::addr::{Pfn, PfnRange, PhysRange};
use crate::consume;
use crate::decide::Decider;
use crate::event::Event;
use crate::layout::Backend;
use crate::ops::{Act, FixmapAccess};
use crate::strategy::{
    BuilderFrames, LastRange, Memtest, PgtBuf, Piece, Plan, Pool, Range, RangeDone, Stage, TableSpace,
};

/// More ranges than any machine has: a plan that goes on past them never ends.
pub(crate) const MOST_RANGES: u64 = 1 << 16;

/// What a strategy's answer may hold at the most, so that a wild one costs no memory.
const MOST_PIECES: usize = 1 << 16;

/// Asks for the boot answer, sets up the boot tables, and reserves what is in use already.
pub(super) fn boot_stage(machine: &mut Machine<'_>, decider: &mut dyn Decider) -> Result<(), Halt> {
    let layout = machine.layout;
    let geometry = layout.geometry;
    machine.enter(Stage::Boot);
    machine.memblock.fill(&layout.e820);
    let boot = machine.ask(|cx| decider.boot(cx))?;
    let most = geometry.pfn_down(layout.e820.end()).get();
    if most < boot.identity_tables || most < boot.pool_pages {
        return Err(machine.fault("the boot answer asks for more BRK pages than the machine has"));
    }
    boot_tables::set_up(machine, &boot).map_err(|conflict| {
        let fault = machine.fault(conflict.to_string());
        // Whoever asks for more BRK pages than Linux has may meet what lies behind them.
        if boot.identity_tables <= geometry.identity_table_pages {
            machine.conflict = Some(conflict);
        }
        fault
    })?;
    machine.start_following();
    reserve_what_is_in_use(machine, boot.builder_frames, boot.identity_tables);
    if 0 < boot.pool_pages {
        let start = geometry.pfn_down(layout.brk);
        let pool = PfnRange::new(start, start.saturating_add(boot.pool_pages));
        machine.facts.pool = Pool { start, next: start, end: pool.end };
        machine.take_memory(geometry.bytes(pool), "BRK");
        if let Some(rules) = &mut machine.rules {
            rules.promise(pool);
        }
    }
    if layout.switches.trampoline {
        let window = PhysRange::new(crate::addr::PhysAddr::default(), geometry.isa_end);
        if let Some(base) = machine.memblock.find_in_range(window, geometry.trampoline_bytes, geometry.page_bytes()) {
            machine.take_memory(PhysRange::new(base, base.saturating_add(geometry.trampoline_bytes)), "TRAMPOLINE");
        }
    }
    machine.boot = boot;
    if machine.rules.is_some() {
        machine.map_before = Some(machine.read_map());
        machine.reserved_before = machine.memblock.reserved_bytes();
    }
    machine.records.push(Record::Bounds {
        max_pfn: machine.facts.max_pfn,
        max_low_pfn: machine.facts.max_low_pfn,
        max_pfn_mapped: machine.facts.max_pfn_mapped,
    });
    Ok(())
}

fn reserve_what_is_in_use(machine: &mut Machine<'_>, builder_frames: BuilderFrames, identity_tables: u64) {
    let layout = machine.layout;
    let geometry = layout.geometry;
    machine.take_memory(layout.kernel, "TEXT DATA BSS");
    layout.reserved_before_the_build().for_each(|made| machine.take_memory(made.range, &made.name));
    let Some(xen) = layout.xen.filter(|_| layout.backend == Backend::Xen) else { return };
    let frames = |first: u64, end: u64| {
        let at = |n: u64| xen.pt_base.saturating_add(n << geometry.page_shift);
        PhysRange::new(at(first), at(end))
    };
    let kept_from = match builder_frames {
        BuilderFrames::Kept => 0,
        BuilderFrames::GivenBack => 3,
    };
    machine.take_memory(PhysRange::new(xen.mfn_list, xen.pt_base), "XEN START INFO");
    machine.take_memory(frames(kept_from, xen.pt_frames), "XEN PAGETABLES");
    let brk_end = layout.brk.saturating_add(identity_tables << geometry.page_shift);
    machine.take_memory(PhysRange::new(layout.brk, brk_end), "BRK");
}

/// Maps range after range until the strategy has no more.
pub(super) fn map_all(machine: &mut Machine<'_>, decider: &mut dyn Decider) -> Result<(), Halt> {
    while machine.facts.ranges_done < MOST_RANGES {
        machine.range = machine.facts.ranges_done + 1;
        machine.enter(Stage::Plan);
        match machine.ask(|cx| decider.plan(cx))? {
            Plan::Done => {
                machine.range = 0;
                return Ok(());
            }
            Plan::Map(range) => map_range(machine, decider, &range)?,
        }
    }
    machine.enter(Stage::Plan);
    Err(machine.fault(format!("no end of the plan after {MOST_RANGES} ranges")))
}

fn map_range(machine: &mut Machine<'_>, decider: &mut dyn Decider, range: &Range) -> Result<(), Halt> {
    check_range(machine, range)?;
    machine.note(|| Event::RangeChosen(range.pages));
    machine.enter(Stage::TableSpace);
    let answer = machine.ask(|cx| decider.table_space(cx, range))?;
    machine.note(|| Event::SpaceChosen(answer.clone()));
    let space = match &answer {
        TableSpace::Panic(text) => {
            progress(machine, range, &answer);
            return Err(Halt::panic(text.clone()));
        }
        TableSpace::Buffer(pages) => {
            let most = machine.layout.geometry.pfn_up(machine.layout.e820.end()).get();
            let end_of_map = machine.layout.geometry.end_of_map();
            if pages.end < pages.start || end_of_map < pages.end || most < pages.len() {
                return Err(
                    machine.fault(format!("the buffer [{:x}, {:x}) is no range of pages", pages.start, pages.end))
                );
            }
            machine.facts.buf = PgtBuf::unused(*pages);
            machine.largest_request = machine.largest_request.max(pages.len());
            if let Some(rules) = &mut machine.rules {
                rules.promise(*pages);
            }
            Space::Buffer
        }
        TableSpace::PageByPage { uses_pool, window } => {
            machine.largest_request = machine.largest_request.max(1);
            Space::PageByPage { uses_pool: *uses_pool, window: *window }
        }
    };
    progress(machine, range, &answer);
    let last_mapped = Fill::new(machine, decider, range, space).run()?;
    let buf = match space {
        Space::Buffer => machine.facts.buf,
        Space::PageByPage { .. } => PgtBuf::default(),
    };
    machine.enter(Stage::RangeDone);
    machine.ask(|cx| decider.range_done(cx, &RangeDone { pages: range.pages, buf, last_mapped }))?;
    machine.note(|| Event::RangeDone { pages: range.pages, last_mapped });
    let moment = machine.moment();
    if let Some(rules) = &mut machine.rules {
        rules.range_done(moment, buf.spare(), &machine.memblock, &machine.mmu);
    }
    if machine.layout.switches.memtest && machine.boot.memtest == Memtest::PerRange {
        consume::memtest(machine, range.pages)?;
    }
    let space = match space {
        Space::Buffer => CallSpace::Buffer(machine.facts.buf),
        Space::PageByPage { window, .. } => CallSpace::PageByPage {
            brk_end: machine.facts.pool.next,
            min_pfn_mapped: window.start,
            max_pfn_mapped: machine.facts.max_pfn_mapped,
        },
    };
    let bytes = machine.layout.geometry.bytes(range.pages);
    machine.records.push(Record::Call { number: machine.range, range: bytes, space, last_mapped });
    machine.facts.ranges_done += 1;
    machine.facts.last = LastRange { pages: range.pages, last_mapped };
    Ok(())
}

fn check_range(machine: &Machine<'_>, range: &Range) -> Result<(), Halt> {
    let end_of_map = machine.layout.geometry.end_of_map();
    if MOST_PIECES < range.pieces.len() {
        return Err(machine.fault(format!("a range of more than {MOST_PIECES} pieces")));
    }
    let mut at = range.pages.start;
    for Piece { pages, .. } in &range.pieces {
        if pages.is_empty() || pages.start < at || range.pages.end < pages.end || end_of_map < pages.end {
            let (start, end) = (pages.start, pages.end);
            return Err(machine.fault(format!(
                "the piece [{start:x}, {end:x}) of range [{:x}, {:x}) is empty, out of order or outside",
                range.pages.start, range.pages.end
            )));
        }
        at = pages.end;
    }
    Ok(())
}

/// The Progress rule: what the fill will link against what the answer makes available.
fn progress(machine: &mut Machine<'_>, range: &Range, answer: &TableSpace) {
    let Some(mut rules) = machine.rules.take() else { return };
    let need = need::tables_needed(&machine.mmu, &machine.layout.e820, range);
    let have = match answer {
        TableSpace::Buffer(pages) => pages.len(),
        TableSpace::Panic(_) => 0,
        TableSpace::PageByPage { uses_pool, window } => {
            let pool = if *uses_pool { machine.facts.pool.rest().len() } else { 0 };
            let is_mapped = rules.is_mapped_on_demand;
            pool + need::mapped_free_pages(machine, *window, range.pages, is_mapped, need.saturating_sub(pool))
        }
    };
    rules.start_range(machine.moment(), range.pages.start, need, have);
    machine.rules = Some(rules);
}

/// Reserves what the kernel reserves between the build and the first consumer. No measure of the build sees it.
pub(super) fn reserve_after_the_build(machine: &mut Machine<'_>) {
    let layout = machine.layout;
    layout.reserved_after_the_build().for_each(|made| machine.take_memory(made.range, &made.name));
}

/// The last stage of the build, and the ACPI table that is looked at before NUMA is set up.
pub(super) fn build_done(machine: &mut Machine<'_>, decider: &mut dyn Decider) -> Result<(), Halt> {
    machine.enter(Stage::BuildDone);
    machine.ask(|cx| decider.build_done(cx))?;
    if let Some(rules) = &mut machine.rules {
        rules.is_mapped_on_demand = false;
    }
    if machine.layout.switches.memtest && machine.boot.memtest == Memtest::Once {
        let mapped = PfnRange::new(Pfn::default(), machine.facts.max_pfn_mapped);
        consume::memtest(machine, mapped)?;
    }
    if let Some(addr) = machine.layout.acpi {
        let page = machine.layout.geometry.pfn_down(addr);
        let pages = PfnRange::new(page, page.saturating_add(1));
        super::fill::ask_write(machine, decider, pages, true)?;
        machine.mmu.ops.done(|| Act::Fixmap { frame: page, access: FixmapAccess::Io });
        machine.mmu.ops.done(|| Act::Unfixmap(page));
        machine.note(|| Event::AcpiMapped(page));
    }
    machine.enter(Stage::BuildDone);
    Ok(())
}
