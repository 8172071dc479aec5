// SPDX-License-Identifier: MIT OR Apache-2.0
//! The permission map as the text of Linux's `/sys/kernel/debug/page_tables/kernel`, byte for byte.
//!
//! Follows `note_page` and `printk_prot` of arch/x86/mm/dump_pagetables.c (Linux 4.11 to 5.6, the last
//! versions with level names from `pgd` to `pte` on their own): a line ends where the entries' bits, what
//! the walk grants, or the level changes. Columns for bits that the model does not have (PWT, PCD, PAT)
//! stay blank, as they do for ordinary memory.

use crate::addr::{Pfn, VirtAddr};
use crate::entry::{EntryFlags, Grants};
use crate::geometry::{Geometry, Level};
use crate::layout::Layout;
use crate::permission::PermissionMap;
use std::fmt::{self, Write};

/// Where the direct map starts: `PAGE_OFFSET` of 64-bit Linux up to 4.19.
pub const BASE: VirtAddr = VirtAddr::new(0xffff_8800_0000_0000);

/// The line that opens the direct map.
const MARKER: &str = "---[ Low Kernel Mapping ]---";

const UNITS: [char; 7] = ['B', 'K', 'M', 'G', 'T', 'P', 'E'];

/// What a line shows, and what ends it when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    level: Level,
    flags: EntryFlags,
    grants: Grants,
}

/// Entries that are shown as one line.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: Pfn,
    end: Pfn,
    shown: Shown,
    /// The frame of the first page; `None` for absent entries.
    frame: Option<u64>,
}

/// Renders the direct map from its first page to the map's end, which is the end of the trace's `map`
/// lines too. With `physical`, each present line ends in
/// the address of its first frame (a machine address under Xen), and lines also end where frames do not
/// follow one another.
#[must_use]
pub fn render(layout: &Layout, map: &PermissionMap, physical: bool) -> String {
    let mut out = String::new();
    let written = write_dump(&mut out, layout, map, physical);
    debug_assert!(written.is_ok(), "writing to a string never fails");
    out
}

/// The verdict the kernel prints when it has looked for memory that is both writable and executable
/// (`ptdump_walk_pgd_level_checkwx`).
#[must_use]
pub fn wx_verdict(map: &PermissionMap) -> String {
    match map.writable_and_executable_pages() {
        0 => "x86/mm: Checked W+X mappings: passed, no W+X pages found.".to_owned(),
        n => format!("x86/mm: Checked W+X mappings: FAILED, {n} W+X pages found."),
    }
}

fn write_dump(out: &mut String, layout: &Layout, map: &PermissionMap, physical: bool) -> fmt::Result {
    writeln!(out, "{MARKER}")?;
    for line in lines(map, physical) {
        write_line(out, &layout.geometry, &line, physical)?;
    }
    Ok(())
}

fn lines(map: &PermissionMap, physical: bool) -> Vec<Line> {
    let absent = |level| Shown { level, flags: EntryFlags::empty(), grants: Grants::empty() };
    let present = map.mappings().iter().map(|mapping| Line {
        start: mapping.pages.start,
        end: mapping.pages.end,
        shown: Shown { level: mapping.level, flags: mapping.flags, grants: mapping.grants },
        frame: Some(mapping.frame),
    });
    let missing = map.absent().iter().map(|run| Line {
        start: run.pages.start,
        end: run.pages.end,
        shown: absent(run.level),
        frame: None,
    });
    let mut pieces: Vec<Line> = present.chain(missing).filter(|line| line.start < map.end()).collect();
    pieces.sort_unstable_by_key(|line| line.start);
    let mut lines: Vec<Line> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let piece = Line { end: piece.end.min(map.end()), ..piece };
        match lines.last_mut() {
            Some(last) if last.is_followed_by(&piece, physical) => last.end = piece.end,
            _ => lines.push(piece),
        }
    }
    lines
}

impl Line {
    fn is_followed_by(&self, next: &Self, physical: bool) -> bool {
        let n_pages = self.end.offset_from(self.start);
        let do_frames_follow = self.frame.map(|frame| frame + n_pages) == next.frame;
        self.end == next.start && self.shown == next.shown && (!physical || do_frames_follow)
    }
}

fn write_line(out: &mut String, geometry: &Geometry, line: &Line, physical: bool) -> fmt::Result {
    let address = |pfn| BASE.saturating_add(geometry.addr(pfn).get());
    let (mut size, mut unit) = (geometry.addr(line.end).offset_from(geometry.addr(line.start)), 0);
    while size.is_multiple_of(1024) && unit + 1 < UNITS.len() {
        size >>= 10;
        unit += 1;
    }
    write!(out, "0x{:016x}-0x{:016x}   {size:>9}{} ", address(line.start), address(line.end), UNITS[unit])?;
    let Shown { level, flags, .. } = line.shown;
    if flags.contains(EntryFlags::PRESENT) {
        let columns = [
            (flags.contains(EntryFlags::USER), "USR ", "    "),
            (flags.contains(EntryFlags::WRITABLE), "RW ", "ro "),
            (false, "PWT ", "    "),
            (false, "PCD ", "    "),
            (Level::L1 < level && flags.contains(EntryFlags::LARGE), "PSE ", "    "),
            (false, "PAT ", "    "),
            (flags.contains(EntryFlags::GLOBAL), "GLB ", "    "),
            (flags.contains(EntryFlags::NO_EXECUTE), "NX ", "x  "),
        ];
        columns.iter().for_each(|(is_set, set, unset)| out.push_str(if *is_set { set } else { unset }));
    } else {
        write!(out, "{:30}", "")?;
    }
    out.push_str(level_name(level));
    if let (true, Some(frame)) = (physical, line.frame) {
        write!(out, "  0x{:016x}", geometry.addr(Pfn::new(frame)))?;
    }
    out.push('\n');
    Ok(())
}

/// The level's name in the dump. Four levels are all that x86-64 had when this format was the kernel's.
const fn level_name(level: Level) -> &'static str {
    match level.get() {
        1 => "pte",
        2 => "pmd",
        3 => "pud",
        _ => "pgd",
    }
}
