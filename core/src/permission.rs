// SPDX-License-Identifier: MIT OR Apache-2.0
//! The permission map: who may do what to which page of the direct map, read from the tables alone.

use crate::addr::{Pfn, PfnRange};
use crate::entry::{EntryFlags, Grants};
use crate::geometry::{Geometry, Level};
use crate::table::{TableId, TableStore};
use crate::walk::{AbsentRun, LeafRun, Visited, visit_entries, walk};

/// Pages that are mapped alike, one after the other, to frames one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The pages of the direct map.
    pub pages: PfnRange,
    /// The frame of the first one.
    pub frame: u64,
    /// The level of the tables the leaves stand in: 1 for 4K, 2 for 2M, 3 for 1G.
    pub level: Level,
    /// What the walk to them grants.
    pub grants: Grants,
    /// The leaves' own bits.
    pub flags: EntryFlags,
}

impl Mapping {
    /// Whether the kernel may write to it.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.grants.contains(Grants::WRITE)
    }

    /// Whether the kernel may both write to it and fetch instructions from it.
    #[must_use]
    pub const fn is_writable_and_executable(&self) -> bool {
        self.grants.contains(Grants::WRITE.union(Grants::EXECUTE))
    }

    /// Whether it maps a frame of the machine rather than one of the guest's own.
    #[must_use]
    pub const fn is_io(&self) -> bool {
        self.flags.contains(EntryFlags::IO)
    }
}

/// The direct map as runs, ascending; what no run covers is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionMap {
    mappings: Vec<Mapping>,
    absent: Vec<AbsentRun>,
    end: Pfn,
}

impl PermissionMap {
    /// Walks the tables below `root` for the pages `[0, end)`; where the root itself has no entry for the
    /// last of them, up to the end of that entry.
    #[must_use]
    pub fn read(tables: &TableStore, root: TableId, end: Pfn) -> Self {
        let root_level = tables.get(root).level();
        let is_open = walk(tables, root, end.saturating_sub(1)).level == root_level;
        let end = if is_open { end.align_up(tables.geometry().pages_per_entry(root_level)) } else { end };
        let mut map = Self { end, ..Self::default() };
        visit_entries(tables, root, PfnRange::new(Pfn::default(), end), &mut |visited| {
            match visited {
                Visited::Leaves(leaves) => map.push(leaves),
                Visited::Absent(run) => map.push_absent(run),
            }
            true
        });
        map
    }

    fn push_absent(&mut self, run: AbsentRun) {
        match self.absent.last_mut() {
            Some(last) if last.pages.end == run.pages.start && last.level == run.level => {
                last.pages.end = run.pages.end;
            }
            _ => self.absent.push(run),
        }
    }

    fn push(&mut self, leaves: LeafRun) {
        // Accessed and dirty bits are the processor's notes, not permissions.
        let flags = leaves.flags.difference(EntryFlags::ACCESSED.union(EntryFlags::DIRTY));
        if let Some(last) = self.mappings.last_mut() {
            let follows = last.pages.end == leaves.pages.start && last.frame + last.pages.len() == leaves.frame;
            if follows && last.level == leaves.level && last.flags == flags && last.grants == leaves.grants {
                last.pages.end = leaves.pages.end;
                return;
            }
        }
        let LeafRun { pages, frame, level, grants, .. } = leaves;
        self.mappings.push(Mapping { pages, frame, level, grants, flags });
    }

    /// The page behind the last one that was looked at.
    #[must_use]
    pub const fn end(&self) -> Pfn {
        self.end
    }

    /// The runs, ascending.
    #[must_use]
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The absent entries as runs, ascending; neighbours of one level are joined. The last one may reach
    /// past the end of what was read.
    #[must_use]
    pub fn absent(&self) -> &[AbsentRun] {
        &self.absent
    }

    /// The run that maps the page.
    #[must_use]
    pub fn at(&self, pfn: Pfn) -> Option<&Mapping> {
        let next = self.mappings.partition_point(|mapping| mapping.pages.end <= pfn);
        self.mappings.get(next).filter(|mapping| mapping.pages.start <= pfn)
    }

    /// The runs that touch the pages, ascending.
    pub fn touching(&self, pages: PfnRange) -> impl Iterator<Item = &Mapping> {
        let first = self.mappings.partition_point(|mapping| mapping.pages.end <= pages.start);
        self.mappings[first..].iter().take_while(move |mapping| mapping.pages.start < pages.end)
    }

    /// The pages of `pages` that are mapped and for which `wanted` holds, as runs.
    pub fn pages_where<'a>(
        &'a self,
        pages: PfnRange,
        wanted: impl Fn(&Mapping) -> bool + 'a,
    ) -> impl Iterator<Item = PfnRange> + 'a {
        self.touching(pages).filter(move |mapping| wanted(mapping)).map(move |mapping| mapping.pages.intersect(pages))
    }

    /// The first of the pages that the kernel may not write to, absent or read-only.
    #[must_use]
    pub fn first_not_writable(&self, pages: PfnRange) -> Option<Pfn> {
        let mut pfn = pages.start;
        for mapping in self.touching(pages) {
            if pfn < mapping.pages.start || !mapping.is_writable() {
                break;
            }
            pfn = mapping.pages.end;
        }
        (pfn < pages.end).then_some(pfn)
    }

    /// How many 4K pages are mapped writable and executable.
    #[must_use]
    pub fn writable_and_executable_pages(&self) -> u64 {
        let both = self.mappings.iter().filter(|mapping| mapping.is_writable_and_executable());
        both.map(|mapping| mapping.pages.len()).sum()
    }
}

/// How a page size is called: `4K`, `2M`, `1G` on x86-64.
#[must_use]
pub fn size_name(geometry: &Geometry, level: Level) -> String {
    let bytes = geometry.pages_per_entry(level) * geometry.page_bytes();
    match bytes.ilog2() / 10 {
        0 => format!("{bytes}B"),
        1 => format!("{}K", bytes >> 10),
        2 => format!("{}M", bytes >> 20),
        _ => format!("{}G", bytes >> 30),
    }
}
