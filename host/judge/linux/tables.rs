// SPDX-License-Identifier: MIT OR Apache-2.0
//! The direct map of a running kernel, read from its own tables entry by entry: [`DirectMap::read`].
//!
//! Where Xen is below, entries name the machine's frames; the list that Linux was given ([`Frames`]) says which of its
//! own each is.

use super::gdb::{Gdb, GdbError, Space};
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::entry::{Entry, EntryFlags};
use pgtlab_core::geometry::{Geometry, Level};
use pgtlab_core::permission::size_name;
use std::collections::HashMap;

/// Where the direct map begins when its address is not random (`__PAGE_OFFSET_BASE_L4`).
const PAGE_OFFSET: u64 = 0xffff_8880_0000_0000;
const GEOMETRY: Geometry = Geometry::X86_64;
/// What the p2m list sets in the number of a frame that is not ordinary memory (`IDENTITY_FRAME_BIT` and
/// `FOREIGN_FRAME_BIT`).
const NOT_ORDINARY: u64 = 3 << 62;

/// Which frame of the machine stands behind one of the kernel's.
#[derive(Clone, Debug, Default)]
pub enum Frames {
    /// The same.
    #[default]
    Same,
    /// The one on the list.
    Listed {
        /// By the kernel's frame.
        p2m: Vec<u64>,
        /// And back.
        m2p: HashMap<u64, u64>,
    },
}

impl Frames {
    /// From the words of the p2m list.
    #[must_use]
    pub fn of_list(p2m: Vec<u64>) -> Self {
        let ordinary = p2m.iter().enumerate().filter(|(_, mfn)| **mfn & NOT_ORDINARY == 0);
        let m2p = ordinary.map(|(pfn, mfn)| (*mfn, pfn as u64)).collect();
        Self::Listed { p2m, m2p }
    }

    /// The machine's frame behind the kernel's.
    fn machine(&self, pfn: u64) -> u64 {
        match self {
            Self::Same => pfn,
            Self::Listed { p2m, .. } => {
                let listed = usize::try_from(pfn).ok().and_then(|at| p2m.get(at).copied());
                // Beyond the list lies nothing of the guest's: what is there is the machine's own.
                listed.map_or(pfn, |mfn| mfn & !NOT_ORDINARY)
            }
        }
    }

    /// The kernel's frame of a machine's.
    fn own(&self, mfn: u64) -> u64 {
        match self {
            Self::Same => mfn,
            Self::Listed { m2p, .. } => m2p.get(&mfn).copied().unwrap_or(mfn),
        }
    }

    const fn is_same(&self) -> bool {
        matches!(self, Self::Same)
    }
}

/// Pages that are mapped alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The pages.
    pub pages: PfnRange,
    /// Size and permission, as a trace's `map` lines have them: `2M RW NX G`.
    pub text: String,
}

/// Adds a run behind those that are there; one that is mapped alike and follows at once becomes longer.
pub fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.pages.end == run.pages.start && last.text == run.text => last.pages.end = run.pages.end,
        _ => runs.push(run),
    }
}

/// Pages of one kind each; neighbours of one kind are one.
pub fn joined<K: PartialEq>(pages: impl IntoIterator<Item = (PfnRange, K)>) -> Vec<(PfnRange, K)> {
    let mut joined: Vec<(PfnRange, K)> = Vec::new();
    for (pages, kind) in pages {
        match joined.last_mut() {
            Some((last, of)) if last.end == pages.start && *of == kind => last.end = pages.end,
            _ => joined.push((pages, kind)),
        }
    }
    joined
}

/// The direct map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectMap {
    /// What is mapped, ascending; neighbours that are mapped alike are one.
    pub runs: Vec<Run>,
    /// The tables below the root, in the kernel's frames, ascending.
    pub tables: Vec<(Pfn, Level)>,
    /// The first page that is mapped to another frame than its own, and that frame.
    pub astray: Option<(Pfn, u64)>,
}

impl DirectMap {
    /// Reads the tables below the root that lies at this address of the machine's, for the pages `[0, end)`.
    ///
    /// # Errors
    /// The guest's memory cannot be read.
    pub fn read(gdb: &mut Gdb, root: u64, end: Pfn, frames: &Frames) -> Result<Self, GdbError> {
        Self::of(root, end, frames, |frame| {
            gdb.words(Space::Physical, frame << GEOMETRY.page_shift, GEOMETRY.entries())
        })
    }

    /// The same, from whatever gives the entries of a table.
    fn of<E>(root: u64, end: Pfn, frames: &Frames, table: impl FnMut(u64) -> Result<Vec<u64>, E>) -> Result<Self, E> {
        let mut map = Self::default();
        let first = PAGE_OFFSET >> GEOMETRY.page_shift & (GEOMETRY.end_of_map().get() - 1);
        let mut walk = Walk { map: &mut map, end, first, frames, table };
        walk.visit(root >> GEOMETRY.page_shift, GEOMETRY.root_level(), 0)?;
        map.tables.sort_unstable();
        Ok(map)
    }
}

struct Walk<'w, T> {
    map: &'w mut DirectMap,
    end: Pfn,
    /// The page of the whole address space where the direct map begins.
    first: u64,
    frames: &'w Frames,
    table: T,
}

impl<E, T: FnMut(u64) -> Result<Vec<u64>, E>> Walk<'_, T> {
    /// Visits a table whose first entry covers this page of the whole address space.
    fn visit(&mut self, frame: u64, level: Level, base: u64) -> Result<(), E> {
        let span = GEOMETRY.pages_per_entry(level);
        for (slot, bits) in (0..).zip((self.table)(frame)?) {
            let entry = Entry::from_bits(bits);
            let at = base + slot * span;
            let is_inside = self.first <= at && at < self.first + self.end.get();
            if !entry.is_present() || !is_inside {
                continue;
            }
            match level.below() {
                Some(below) if !entry.is_large() => {
                    self.map.tables.push((Pfn::new(self.frames.own(entry.frame())), below));
                    self.visit(entry.frame(), below, at)?;
                }
                _ => self.leaf(Pfn::new(at - self.first), span, level, entry),
            }
        }
        Ok(())
    }

    fn leaf(&mut self, page: Pfn, span: u64, level: Level, entry: Entry) {
        // Bit 12 of a large leaf tells how it is cached.
        let frame = entry.frame() & !(span - 1);
        if self.map.astray.is_none() && frame != self.frames.machine(page.get()) {
            self.map.astray = Some((page, frame));
        }
        let flags = entry.flags();
        let mut text = size_name(&GEOMETRY, level);
        text += if flags.contains(EntryFlags::WRITABLE) { " RW" } else { " RO" };
        text += if flags.contains(EntryFlags::NO_EXECUTE) { " NX" } else { " X" };
        // Xen sets user and global bits of its own accord.
        if self.frames.is_same() && flags.contains(EntryFlags::GLOBAL) {
            text += " G";
        }
        push(&mut self.map.runs, Run { pages: PfnRange::new(page, page.saturating_add(span)), text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Tables by frame, of which each entry that is named is set.
    fn read(tables: &[(u64, &[(usize, u64)])], frames: &Frames) -> DirectMap {
        let table = |frame: u64| -> Result<Vec<u64>, Infallible> {
            let mut words = vec![0; 512];
            for (_, entries) in tables.iter().filter(|(at, _)| *at == frame) {
                entries.iter().for_each(|(slot, bits)| words[*slot] = *bits);
            }
            Ok(words)
        };
        match DirectMap::of(0x1000, Pfn::new(1 << 20), frames, table) {
            Ok(map) => map,
            Err(never) => match never {},
        }
    }

    const NX: u64 = 1 << 63;

    #[test]
    fn leaves_of_every_size_are_read_and_neighbours_joined() {
        let map = read(
            &[
                // The direct map begins at slot 0x111; another slot is the kernel's own.
                (1, &[(0x111, 0x2067), (0x1ff, 0x9067)]),
                (2, &[(0, 0x3067), (1, 0x4000_01e3 | NX)]),
                (3, &[(0, 0x4067), (1, 0x20_01e3 | NX), (2, 0x40_11e3 | NX)]),
                (4, &[(0, 0x163), (1, 0x1163 | NX), (2, 0x2161 | NX), (7, 0x8163 | NX)]),
            ],
            &Frames::Same,
        );
        let runs: Vec<(u64, u64, &str)> =
            map.runs.iter().map(|run| (run.pages.start.get(), run.pages.end.get(), &*run.text)).collect();
        let expected = [
            (0, 1, "4K RW X G"),
            (1, 2, "4K RW NX G"),
            (2, 3, "4K RO NX G"),
            (7, 8, "4K RW NX G"),
            (0x200, 0x600, "2M RW NX G"),
            (0x40000, 0x80000, "1G RW NX G"),
        ];
        assert_eq!(runs, expected);
        assert_eq!(map.tables, [(Pfn::new(2), Level::L3), (Pfn::new(3), Level::L2), (Pfn::new(4), Level::L1)]);
        assert_eq!(map.astray, Some((Pfn::new(7), 8)), "a leaf that maps another frame is told");
    }

    #[test]
    fn under_xen_frames_are_the_machines_and_tables_the_guests() {
        // The guest's frames 0..6 are the machine's 0x10.., its frame 3 is the machine's own.
        let frames = Frames::of_list(vec![0x10, 0x11, 0x12, 3 | 1 << 62, 0x14, 0x15]);
        let map = read(
            &[
                (1, &[(0x111, 0x1_2067)]),
                (0x12, &[(0, 0x1_4067)]),
                (0x14, &[(0, 0x1_5067)]),
                (0x15, &[(0, 0x1_0067 | NX), (1, 0x1_1065 | NX), (3, 0x3067 | NX)]),
            ],
            &frames,
        );
        let texts: Vec<&str> = map.runs.iter().map(|run| &*run.text).collect();
        assert_eq!(texts, ["4K RW NX", "4K RO NX", "4K RW NX"]);
        assert_eq!(map.tables, [(Pfn::new(2), Level::L3), (Pfn::new(4), Level::L2), (Pfn::new(5), Level::L1)]);
        assert_eq!(map.astray, None);
    }
}
