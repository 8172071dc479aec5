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
pub(super) struct Call {
    pub(super) number: u64,
    pub(super) pages: PfnRange,
    /// Its table space, if that is one buffer.
    pub(super) buffer: Option<PfnRange>,
    /// Where among the events its last stage had returned.
    pub(super) done_at: Option<usize>,
}

/// Leaves that were written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaves {
    /// Where among the events.
    pub(super) at: usize,
    pub(super) call: u64,
    pub(super) pages: PfnRange,
}

/// The write that died.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) by: Consumer,
    pub(super) page: Pfn,
}

/// A boot and what its events say.
#[derive(Debug)]
pub(super) struct Story<'b> {
    pub(super) layout: &'b Layout,
    pub(super) built: &'b Built,
    pub(super) calls: Vec<Call>,
    /// Where among the events each page was handed out last, and in which call.
    taken: BTreeMap<Pfn, (usize, u64)>,
}

impl<'b> Story<'b> {
    pub(super) fn new(layout: &'b Layout, built: &'b Built) -> Self {
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
    pub(super) fn map(&self) -> Option<&'b PermissionMap> {
        self.built.map.as_ref().or(self.built.map_at_death.as_ref())
    }

    /// The write that the boot died of.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.built.events.iter().enumerate().rev().find_map(|(at, noted)| match noted.event {
            Event::Written { by, fault: Some(page), .. } => Some(Fault { at, by, page }),
            _ => None,
        })
    }

    /// The last call whose buffer holds the page.
    pub(super) fn promise_of(&self, page: Pfn) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.buffer.is_some_and(|buffer| buffer.contains(page)))
    }

    /// The last call whose range holds the page.
    pub(super) fn covering(&self, page: Pfn) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.pages.contains(page))
    }

    pub(super) fn is_taken(&self, page: Pfn) -> bool {
        self.taken.contains_key(&page)
    }

    /// Where among the events the page was handed out, and in which call.
    pub(super) fn taken(&self, page: Pfn) -> Option<(usize, u64)> {
        self.taken.get(&page).copied()
    }

    /// The last leaves before an event that map the page.
    pub(super) fn last_leaves(&self, page: Pfn, before: usize) -> Option<Leaves> {
        self.leaves(before).find(|(leaves, _)| leaves.pages.contains(page)).map(|(leaves, _)| leaves)
    }

    /// The last leaves that map the page writable.
    pub(super) fn writable_leaves(&self, page: Pfn) -> Option<Leaves> {
        let mut all = self.leaves(self.built.events.len());
        all.find(|(leaves, is_writable)| leaves.pages.contains(page) && is_writable(page)).map(|(leaves, _)| leaves)
    }

    /// Leaves written before an event, the last first, and for each whether it maps a page writable.
    fn leaves(&self, before: usize) -> impl Iterator<Item = (Leaves, impl Fn(Pfn) -> bool)> {
        self.built.events[..before].iter().enumerate().rev().filter_map(|(at, noted)| match &noted.event {
            Event::LeavesWritten { pages, flags, read_only, .. } => {
                let (flags, read_only) = (*flags, *read_only);
                let is_writable = move |page| {
                    flags.contains(EntryFlags::WRITABLE) && !read_only.is_some_and(|masked| masked.contains(page))
                };
                Some((Leaves { at, call: noted.range, pages: *pages }, is_writable))
            }
            _ => None,
        })
    }

    /// The pages of a call's buffer that never became tables and are mapped read-only, from the first to
    /// the last of them.
    pub(super) fn unused_read_only(&self, call: &Call) -> Option<PfnRange> {
        let buffer = call.buffer?;
        let used_end = self.taken.range(buffer.start..buffer.end).next_back().map(|(page, _)| page.saturating_add(1));
        let spare = PfnRange::new(used_end.unwrap_or(buffer.start), buffer.end);
        let mut read_only = self.map()?.pages_where(spare, |mapping| !mapping.is_writable());
        let first = read_only.next()?;
        Some(PfnRange::new(first.start, read_only.last().unwrap_or(first).end))
    }
}
