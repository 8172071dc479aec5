// SPDX-License-Identifier: MIT OR Apache-2.0
//! The permission map as the text of Linux's `/sys/kernel/debug/page_tables/kernel`, byte for byte.
//!
//! Follows `note_page` and `printk_prot` of arch/x86/mm/dump_pagetables.c (Linux 4.11 to 5.6, the last
//! versions with level names from `pgd` to `pte` on their own): a line ends where the entries' bits, what
//! the walk grants, or the level changes. Columns for bits that the model does not have (PWT, PCD, PAT)
//! stay blank, as they do for ordinary memory. `text` reads and writes the lines; [`Dump`] is what stands
//! in them.

mod text;

pub use text::{Columns, Dump, DumpError, DumpErrorKind, DumpLevel, DumpLine, DumpRange, size_text};

use crate::addr::{Pfn, VirtAddr};
use crate::entry::{EntryFlags, Grants};
use crate::geometry::{Geometry, Level};
use crate::layout::Layout;
use crate::permission::PermissionMap;

/// Where the direct map starts: `PAGE_OFFSET` of 64-bit Linux up to 4.19.
pub const BASE: VirtAddr = VirtAddr::new(0xffff_8800_0000_0000);

/// The name of the area that the direct map is.
pub const MARKER: &str = "Low Kernel Mapping";

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
    dump(layout, map, physical).render()
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

/// The direct map as a dump; see [`render`].
#[must_use]
pub fn dump(layout: &Layout, map: &PermissionMap, physical: bool) -> Dump {
    let ranges =
        lines(map, physical).into_iter().map(|line| DumpLine::Range(line.shown_as(&layout.geometry, physical)));
    Dump { lines: std::iter::once(DumpLine::Marker(MARKER.to_owned())).chain(ranges).collect() }
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

    fn shown_as(&self, geometry: &Geometry, physical: bool) -> DumpRange {
        let address = |pfn| BASE.saturating_add(geometry.addr(pfn).get());
        let Shown { level, flags, .. } = self.shown;
        let columns = [
            (Columns::USR, flags.contains(EntryFlags::USER)),
            (Columns::RW, flags.contains(EntryFlags::WRITABLE)),
            (Columns::PSE, Level::L1 < level && flags.contains(EntryFlags::LARGE)),
            (Columns::GLB, flags.contains(EntryFlags::GLOBAL)),
            (Columns::NX, flags.contains(EntryFlags::NO_EXECUTE)),
        ];
        let set = columns.iter().filter(|(_, is_set)| *is_set).map(|(column, _)| *column).collect();
        DumpRange {
            start: address(self.start),
            end: address(self.end),
            columns: flags.contains(EntryFlags::PRESENT).then_some(set),
            level: level_of(level),
            phys: self.frame.filter(|_| physical).map(|frame| geometry.addr(Pfn::new(frame))),
        }
    }
}

/// The level's name in the dump. Four levels are all that x86-64 had when this format was the kernel's.
const fn level_of(level: Level) -> DumpLevel {
    match level.get() {
        1 => DumpLevel::Pte,
        2 => DumpLevel::Pmd,
        3 => DumpLevel::Pud,
        _ => DumpLevel::Pgd,
    }
}
