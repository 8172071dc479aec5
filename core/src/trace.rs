// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trace of a boot as text: one event a line, in the order things happened.

use crate::addr::{Pfn, PhysRange};
use crate::build::{Built, CallSpace, End, Record};
use crate::entry::EntryFlags;
use crate::geometry::Level;
use crate::layout::Layout;
use crate::permission::{Mapping, PermissionMap, size_name};
use crate::strategy::PgtBuf;
use std::fmt::{self, Write};

/// Renders the trace of a boot.
#[must_use]
pub fn render(strategy: &str, layout: &Layout, built: &Built) -> String {
    let mut out = String::new();
    let written = write_trace(&mut out, strategy, layout, built);
    debug_assert!(written.is_ok(), "writing to a string never fails");
    out
}

fn write_trace(out: &mut String, strategy: &str, layout: &Layout, built: &Built) -> fmt::Result {
    writeln!(out, "strategy {strategy}\nlayout {}", layout.name)?;
    for record in &built.records {
        match record {
            Record::Printk(text) => writeln!(out, "dmesg: {text}")?,
            Record::Bounds { max_pfn, max_low_pfn, max_pfn_mapped } => writeln!(
                out,
                "max_pfn {max_pfn:x} max_low_pfn {max_low_pfn:x} max_pfn_mapped_before {max_pfn_mapped:x}"
            )?,
            Record::Call { number, range, space, last_mapped } => {
                write!(out, "call {number} range {} ", start_end(*range))?;
                match space {
                    CallSpace::Buffer(buf) => write!(out, "{}", globals(buf))?,
                    CallSpace::PageByPage { brk_end, min_pfn_mapped, max_pfn_mapped } => write!(
                        out,
                        "brk_end {brk_end:x} min_pfn_mapped {min_pfn_mapped:x} max_pfn_mapped {max_pfn_mapped:x}"
                    )?,
                }
                writeln!(out, " ret_pfn {last_mapped:x}")?;
            }
            Record::Built => write_built(out, layout, built)?,
            Record::NodeData { node, range } => writeln!(out, "node_data {node} {}", start_end(*range))?,
            Record::RangeArray(range) => writeln!(out, "range_array {}", start_end(*range))?,
            Record::AtCrash(buf) => writeln!(out, "at_crash {}", globals(buf))?,
        }
    }
    match &built.end {
        End::Completed => writeln!(out, "result OK")?,
        End::Died { death, stage, text } => writeln!(out, "result FAIL stage {stage}: {}: {text}", death.word())?,
        // No kernel ended: there is no line for it.
        End::StrategyFailed(_) => {}
    }
    if let (End::Completed, Some(xen)) = (&built.end, built.xen_totals) {
        let (tables, others) = (xen.table_pages, xen.ro_non_table_pages);
        write!(out, "xen table_pages {tables} ro_non_table_pages {others}")?;
        writeln!(out, " first {:x} last {:x}", xen.first, xen.last)?;
    }
    Ok(())
}

fn start_end(range: PhysRange) -> String {
    format!("{:x} {:x}", range.start, range.end)
}

fn globals(buf: &PgtBuf) -> String {
    format!("pgt_buf_start {:x} pgt_buf_end {:x} pgt_buf_top {:x}", buf.start, buf.end, buf.top)
}

fn write_built(out: &mut String, layout: &Layout, built: &Built) -> fmt::Result {
    writeln!(out, "max_pfn_mapped {:x}", built.max_pfn_mapped)?;
    for range in &built.reserved {
        writeln!(out, "reserved {}", start_end(*range))?;
    }
    if let Some(map) = &built.map {
        for line in map_lines(layout, map) {
            writeln!(out, "map {line}")?;
        }
    }
    Ok(())
}

/// How far a trace and a dump look at the direct map: to the largest end of any firmware entry, at
/// least 4 GiB, in whole large pages of level 3.
#[must_use]
pub fn map_end(layout: &Layout) -> Pfn {
    let geometry = &layout.geometry;
    let end = geometry.pfn_up(layout.e820.end().max(geometry.low_end));
    end.align_up(geometry.pages_per_entry(Level::L3)).min(geometry.end_of_map())
}

/// The direct map, one line a run: `PFN PFN SIZE PERM ..`, from page 0 to the map's end.
#[must_use]
pub fn map_lines(layout: &Layout, map: &PermissionMap) -> Vec<String> {
    let end = map.end();
    let mut runs: Vec<(Pfn, Pfn, String)> = Vec::new();
    let mut push = |start: Pfn, end: Pfn, text: String| match runs.last_mut() {
        Some((_, last_end, last)) if *last == text && *last_end == start => *last_end = end,
        _ if start < end => runs.push((start, end, text)),
        _ => {}
    };
    let mut at = Pfn::default();
    for mapping in map.mappings() {
        push(at, mapping.pages.start.min(end), "- absent".to_owned());
        push(mapping.pages.start, mapping.pages.end.min(end), shown(layout, mapping));
        at = mapping.pages.end;
    }
    push(at, end, "- absent".to_owned());
    runs.into_iter().map(|(start, end, text)| format!("{start:x} {end:x} {text}")).collect()
}

fn shown(layout: &Layout, mapping: &Mapping) -> String {
    let mut text = size_name(&layout.geometry, mapping.level);
    let flags = mapping.flags;
    text += if flags.contains(EntryFlags::WRITABLE) { " RW" } else { " RO" };
    text += if flags.contains(EntryFlags::NO_EXECUTE) { " NX" } else { " X" };
    for (flag, word) in [(EntryFlags::GLOBAL, " G"), (EntryFlags::IO, " IO"), (EntryFlags::USER, " U")] {
        if flags.contains(flag) {
            text += word;
        }
    }
    text
}
