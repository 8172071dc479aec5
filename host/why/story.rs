// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot's events, looked up by page and by call.

use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::build::Built;
use pgtlab_core::entry::EntryFlags;
use pgtlab_core::event::{Consumer, Event};
use pgtlab_core::layout::Layout;
use pgtlab_core::permission::PermissionMap;
use pgtlab_core::strategy::TableSpace;
use std::collections::BTreeMap;

/// One mapping call: a range and its table space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) pages: PfnRange,
    /// Its table space, if that is one buffer.
    pub(crate) buffer: Option<PfnRange>,
    /// Where among the events its last stage had returned.
    pub(crate) done_at: Option<usize>,
}

/// Leaves that were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaves {
    /// Where among the events.
    pub(crate) at: usize,
    pub(crate) call: u64,
    pub(crate) pages: PfnRange,
    /// The table's page, and the first slot.
    pub(crate) table: Pfn,
    pub(crate) slot: u64,
}

/// The write that died.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) by: Consumer,
    pub(crate) page: Pfn,
}

/// A boot and what its events say.
#[derive(Debug)]
pub(crate) struct Story<'b> {
    pub(crate) layout: &'b Layout,
    pub(crate) built: &'b Built,
    pub(crate) calls: Vec<Call>,
    /// Where among the events each page was handed out last, and in which call.
    taken: BTreeMap<Pfn, (usize, u64)>,
}

impl<'b> Story<'b> {
    pub(crate) fn new(layout: &'b Layout, built: &'b Built) -> Self {
        let mut story = Self { layout, built, calls: Vec::new(), taken: BTreeMap::new() };
        for (at, noted) in built.events.iter().enumerate() {
            match &noted.event {
                Event::RangeChosen(pages) => {
                    story.calls.push(Call { number: noted.range, pages: *pages, buffer: None, done_at: None });
                }
                Event::SpaceChosen(TableSpace::Buffer(pages)) => {
                    if let Some(call) = story.calls.last_mut() {
                        call.buffer = Some(*pages);
                    }
                }
                Event::RangeDone { .. } => {
                    if let Some(call) = story.calls.last_mut() {
                        call.done_at = Some(at);
                    }
                }
                Event::Taken { page, .. } => {
                    story.taken.insert(*page, (at, noted.range));
                }
                _ => {}
            }
        }
        story
    }

    /// The direct map when the build was done, or when the boot died in it.
    pub(crate) fn map(&self) -> Option<&'b PermissionMap> {
        self.built.map.as_ref().or(self.built.map_at_death.as_ref())
    }

    /// The write that the boot died of.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.built.events.iter().enumerate().rev().find_map(|(at, noted)| match noted.event {
            Event::Written { by, fault: Some(page), .. } => Some(Fault { at, by, page }),
            _ => None,
        })
    }

    /// The last call whose buffer holds the page.
    pub(crate) fn promise_of(&self, page: Pfn) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.buffer.is_some_and(|buffer| buffer.contains(page)))
    }

    /// The last call whose range holds the page.
    pub(crate) fn covering(&self, page: Pfn) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.pages.contains(page))
    }

    /// Whether the page is a table that another one links.
    pub(crate) fn is_linked(&self, page: Pfn) -> bool {
        self.built.events.iter().any(|noted| matches!(noted.event, Event::Attached { child, .. } if child == page))
    }

    pub(crate) fn is_taken(&self, page: Pfn) -> bool {
        self.taken.contains_key(&page)
    }

    /// The part of a call's buffer that became tables, from its first page on.
    pub(crate) fn used(&self, call: &Call) -> Option<PfnRange> {
        let buffer = call.buffer?;
        let last = self.taken.range(buffer.start..buffer.end).next_back()?;
        Some(PfnRange::new(buffer.start, last.0.saturating_add(1)))
    }

    /// The ACPI table whose mapping after the build made pages writable, and those pages.
    pub(crate) fn mended_by_acpi(&self) -> Option<(Pfn, PfnRange)> {
        let mut made = None;
        for noted in self.built.events.iter().skip_while(|noted| noted.range == 0).filter(|noted| noted.range == 0) {
            match noted.event {
                Event::Protected { pages, is_writable: true, n_changed } if 0 < n_changed => made = Some(pages),
                Event::AcpiMapped(page) => return made.map(|pages| (page, pages)),
                Event::Written { .. } => return None,
                _ => {}
            }
        }
        None
    }

    /// Where among the events the page was handed out, and in which call.
    pub(crate) fn taken(&self, page: Pfn) -> Option<(usize, u64)> {
        self.taken.get(&page).copied()
    }

    /// The last leaves before an event that map the page.
    pub(crate) fn last_leaves(&self, page: Pfn, before: usize) -> Option<Leaves> {
        self.leaves(before).find(|(leaves, _)| leaves.pages.contains(page)).map(|(leaves, _)| leaves)
    }

    /// The table that was put in the place of a page's leaf, and the call that did so.
    pub(crate) fn replaced(&self, page: Pfn, leaves: &Leaves) -> Option<(u64, Pfn)> {
        let geometry = &self.layout.geometry;
        self.built.events[leaves.at..].iter().find_map(|noted| match noted.event {
            Event::Attached { parent, slot, child, level } if parent == leaves.table => {
                let per_entry = geometry.pages_per_table(level);
                let of_page = leaves.slot + page.offset_from(leaves.pages.start) / per_entry;
                (slot == of_page).then_some((noted.range, child))
            }
            _ => None,
        })
    }

    /// The last leaves that map the page writable.
    pub(crate) fn writable_leaves(&self, page: Pfn) -> Option<Leaves> {
        let mut all = self.leaves(self.built.events.len());
        all.find(|(leaves, is_writable)| leaves.pages.contains(page) && is_writable(page)).map(|(leaves, _)| leaves)
    }

    /// Leaves written before an event, the last first, and for each whether it maps a page writable.
    fn leaves(&self, before: usize) -> impl Iterator<Item = (Leaves, impl Fn(Pfn) -> bool)> {
        self.built.events[..before].iter().enumerate().rev().filter_map(|(at, noted)| match &noted.event {
            Event::LeavesWritten { table, slot, pages, flags, read_only } => {
                let (flags, read_only) = (*flags, *read_only);
                let is_writable = move |page| {
                    flags.contains(EntryFlags::WRITABLE) && !read_only.is_some_and(|masked| masked.contains(page))
                };
                Some((Leaves { at, call: noted.range, pages: *pages, table: *table, slot: *slot }, is_writable))
            }
            _ => None,
        })
    }

    /// The part of a call's buffer behind its last table.
    pub(crate) fn spare(&self, call: &Call) -> Option<PfnRange> {
        let buffer = call.buffer?;
        let start = self.used(call).map_or(buffer.start, |used| used.end);
        Some(PfnRange::new(start, buffer.end))
    }

    /// The pages of a call's buffer that never became tables and are mapped read-only, from the first to
    /// the last of them.
    pub(crate) fn unused_read_only(&self, call: &Call) -> Option<PfnRange> {
        let spare = self.spare(call)?;
        let mut read_only = self.map()?.pages_where(spare, |mapping| !mapping.is_writable());
        let first = read_only.next()?;
        Some(PfnRange::new(first.start, read_only.last().unwrap_or(first).end))
    }
}
