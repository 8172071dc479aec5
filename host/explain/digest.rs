// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one mapping call came to: its events, added up.

use pgtlab_core::addr::{Pfn, PfnRange, PhysRange};
use pgtlab_core::entry::EntryFlags;
use pgtlab_core::event::{Consumer, Event, Noted};
use pgtlab_core::geometry::{Geometry, Level};
use pgtlab_core::strategy::TableSpace;

/// Pages whose permission was changed, many requests for neighbours as one.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) pages: PfnRange,
    pub(super) is_writable: bool,
    pub(super) n_changed: u64,
    /// The event at which it happened: the `set_pte` that comes next, or none if it was asked for elsewhere.
    pub(super) at: Option<Event>,
}

/// A mapping call.
#[derive(Clone, Debug, Default)]
pub(super) struct Digest {
    pub(super) number: u64,
    pub(super) pages: Option<PfnRange>,
    pub(super) space: Option<TableSpace>,
    /// The tables it took, and how many of them were reserved at once.
    pub(super) taken: Vec<Pfn>,
    pub(super) n_reserved_at_once: usize,
    pub(super) n_linked: usize,
    /// Whether tables were filled through the fixmap.
    pub(super) uses_fixmap: bool,
    /// What was mapped, and what of it read-only.
    pub(super) mapped: Vec<PfnRange>,
    pub(super) read_only: Vec<PfnRange>,
    pub(super) has_large: bool,
    pub(super) has_small: bool,
    pub(super) n_cleared: u64,
    pub(super) changes: Vec<Change>,
    pub(super) reserved: Vec<(PhysRange, String)>,
    pub(super) freed: Vec<PhysRange>,
    pub(super) memtest: Vec<PhysRange>,
    pub(super) is_done: bool,
}

impl Digest {
    /// Of the events of one call, which follow one another.
    pub(super) fn new(number: u64, events: &[Noted]) -> Self {
        let mut call = Self { number, ..Self::default() };
        for (at, noted) in events.iter().enumerate() {
            call.add(&noted.event, &events[at + 1..]);
        }
        call.mapped = merged(&call.mapped);
        call.read_only = merged(&call.read_only);
        call
    }

    fn add(&mut self, event: &Event, later: &[Noted]) {
        match event {
            Event::RangeChosen(pages) => self.pages = Some(*pages),
            Event::SpaceChosen(space) => self.space = Some(space.clone()),
            Event::Taken { page, is_reserved, .. } => {
                self.taken.push(*page);
                self.n_reserved_at_once += usize::from(*is_reserved);
            }
            Event::FixmapMapped { .. } => self.uses_fixmap = true,
            Event::LeavesWritten { pages, flags, read_only, .. } => {
                self.mapped.push(*pages);
                self.read_only.extend(*read_only);
                let is_large = flags.contains(EntryFlags::LARGE);
                self.has_large |= is_large;
                self.has_small |= !is_large;
            }
            Event::EntriesCleared { n_changed, .. } => self.n_cleared += n_changed,
            Event::Attached { .. } => self.n_linked += 1,
            Event::Protected { pages, is_writable, n_changed } => {
                self.changes.extend(change(*pages, *is_writable, *n_changed, later));
            }
            Event::Reserved { range, name } => match self.reserved.last_mut() {
                Some((last, same)) if last.end == range.start && same == name => last.end = range.end,
                _ => self.reserved.push((*range, name.clone())),
            },
            Event::Freed(range) => self.freed.push(*range),
            Event::RangeDone { .. } => self.is_done = true,
            Event::Written { by: Consumer::Memtest, range, .. } => self.memtest.push(*range),
            Event::Printk(_)
            | Event::FixmapUnmapped(_)
            | Event::AcpiMapped(_)
            | Event::Written { .. }
            | Event::Died(_) => {}
        }
    }

    /// The page sizes of its leaves.
    pub(super) fn sizes(&self, geometry: &Geometry) -> String {
        let large = pgtlab_core::permission::size_name(geometry, Level::L2);
        let small = pgtlab_core::permission::size_name(geometry, Level::L1);
        match (self.has_small, self.has_large) {
            (true, true) => format!("{small} pages and larger"),
            (false, true) => format!("pages of {large} or more"),
            _ => format!("{small} pages"),
        }
    }
}

/// A change of permission that changed something.
pub(super) fn change(pages: PfnRange, is_writable: bool, n_changed: u64, later: &[Noted]) -> Option<Change> {
    let next = later.iter().map(|noted| &noted.event).find(|event| !matches!(event, Event::Protected { .. }));
    let at = next.filter(|event| crate::why::sets_entry(event)).cloned();
    (0 < n_changed).then_some(Change { pages, is_writable, n_changed, at })
}

/// Ranges ascending, neighbours joined.
pub(super) fn merged(ranges: &[PfnRange]) -> Vec<PfnRange> {
    let mut sorted: Vec<PfnRange> = ranges.iter().copied().filter(|range| !range.is_empty()).collect();
    sorted.sort_unstable();
    let mut merged: Vec<PfnRange> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
