// SPDX-License-Identifier: MIT OR Apache-2.0
//! One page followed through a boot: after every event its way through the tables is read again, and kept
//! where it changed.
//!
//! A [`Glimpse`] is what the tables say, never what the builder meant. `build` takes them if
//! [`crate::build::Watch::page`] names a page.

use crate::addr::Pfn;
use crate::entry::{Entry, Grants};
use crate::event::Event;
use crate::geometry::Level;
use crate::memblock::Memblock;
use crate::mmu::Mmu;
use crate::table::TableId;
use crate::walk::steps;

/// One entry on the way to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The level of the table the entry stands in.
    pub level: Level,
    /// That table's page.
    pub table: Pfn,
    /// The entry's slot.
    pub slot: u64,
    /// The entry.
    pub entry: Entry,
}

/// How a page stood at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// How many events had been noted by then.
    pub n_events: u64,
    /// The walk for its direct-map address in the live tables, the root's entry first. The last one is a leaf
    /// or absent.
    pub chain: Vec<Step>,
    /// Leaves for it in tables that this walk does not reach: nobody links them yet, or nobody does any more.
    pub hidden: Vec<Step>,
    /// Whether a slot of the fixmap maps it, and then whether it may be written through.
    pub fixmap: Option<bool>,
    /// Whether memblock has it reserved.
    pub is_reserved: bool,
}

impl Glimpse {
    /// The leaf of the walk, if it ends in one.
    #[must_use]
    pub fn leaf(&self) -> Option<&Step> {
        self.chain.last().filter(|step| step.entry.is_present())
    }

    /// What the walk grants; nothing where the page is not mapped.
    #[must_use]
    pub fn grants(&self) -> Grants {
        self.chain.iter().fold(Grants::all(), |grants, step| grants & step.entry.grants())
    }

    fn is_same(&self, other: &Self) -> bool {
        let Self { n_events: _, chain, hidden, fixmap, is_reserved } = self;
        (chain, hidden, fixmap, is_reserved) == (&other.chain, &other.hidden, &other.fixmap, &other.is_reserved)
    }
}

/// A page that is followed, and what was seen of it.
#[derive(Debug)]
pub(crate) struct Follow {
    page: Pfn,
    /// Tables to which a leaf for the page was written.
    tables: Vec<Pfn>,
    seen: Vec<Glimpse>,
}

impl Follow {
    pub(crate) const fn new(page: Pfn) -> Self {
        Self { page, tables: Vec::new(), seen: Vec::new() }
    }

    pub(crate) fn into_seen(self) -> Vec<Glimpse> {
        self.seen
    }

    /// Looks at the page again after an event.
    pub(crate) fn look(&mut self, n_events: u64, event: Option<&Event>, mmu: &Mmu<'_>, memblock: &Memblock) {
        if let Some(Event::LeavesWritten { table, pages, .. }) = event
            && pages.contains(self.page)
            && !self.tables.contains(table)
        {
            self.tables.push(*table);
        }
        let chain = steps(&mmu.tables, mmu.root, self.page);
        let is_on_chain = |table: Pfn| chain.iter().any(|step| step.table == table);
        let candidates = self.tables.iter().filter(|table| !is_on_chain(**table));
        let hidden = candidates.filter_map(|table| self.leaf_in(mmu, mmu.tables.at(*table)?)).collect();
        let one = crate::addr::PfnRange::new(self.page, self.page.saturating_add(1));
        let glimpse = Glimpse {
            n_events,
            hidden,
            fixmap: mmu.fixmap_of(self.page),
            is_reserved: memblock.is_any_reserved(mmu.tables.geometry().bytes(one)),
            chain,
        };
        if self.seen.last().is_none_or(|last| !last.is_same(&glimpse)) {
            self.seen.push(glimpse);
        }
    }

    fn leaf_in(&self, mmu: &Mmu<'_>, id: TableId) -> Option<Step> {
        let table = mmu.tables.get(id);
        let slot = mmu.tables.geometry().slot(table.level(), self.page);
        let entry = table.entry(slot);
        let is_leaf = entry.is_present() && (table.level() == Level::L1 || entry.is_large());
        is_leaf.then_some(Step { level: table.level(), table: table.pfn(), slot, entry })
    }
}
