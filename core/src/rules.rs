// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of building page tables, checked while a strategy runs.
//!
//! | rule | holds when |
//! |---|---|
//! | Reach | a page is mapped by live tables when it is taken to become a table |
//! | Guard | (Xen) its only writable mapping is then its live direct-map leaf, and none once it is linked |
//! | Claim | it is free memory, taken once, and reserved before anything else happens |
//! | Return | what was promised and not taken is writable and free once the range is done |
//! | Cover | in the end all memory is mapped, and above 1 MiB nothing else |
//! | Progress | a range starts only with room for all tables its fill will link |
//! | Least | what was promised or taken is linked in the end |
//!
//! A broken rule is latent: the verdict says whether this boot met it.
//!
//! # Why each is needed
//!
//! * **Reach.** 2.6.39-rc1 moved the table buffer above what is mapped (4b239f458c22). Xen wants a table
//!   read-only before it is linked; a page that is not mapped cannot be made so, and the leaf that maps it later
//!   is writable. Every other fault of the thread follows from this one.
//! * **Guard.** rc5 makes leaves read-only for the tables taken so far. A page taken a moment after its leaf was
//!   written, in a table that is not attached yet, keeps a writable leaf that nobody finds: Xen refuses to pin it.
//! * **Claim.** Up to 3.8 tables are reserved when their range is done. Until then memblock would hand them out
//!   again; only the order of the boot keeps anybody from asking. 3.9 reserves each page as it is taken.
//! * **Return.** To stop the refusals rc6 made the whole buffer read-only, its spare part too, and gave that part
//!   back as free memory. NODE_DATA goes there and faults (golden 05); memtest meets it at once (15).
//! * **Cover.** 3.9 splits a leaf of 1 GiB and maps only its own range anew: memory that is free and not
//!   mapped, in which NODE_DATA faults (17). Up to 3.8 the opposite: holes are mapped, and with them whatever
//!   a device keeps there.
//! * **Progress.** A range that is begun without room for its tables ends in a panic with half of it mapped:
//!   2.6.38, the revert and 3.8 where low memory is small (18), 3.8 where its count falls short (19), 3.9 where a
//!   step outgrows what was mapped before it (12, 13).
//! * **Least.** Nothing dies of a page too many. But what is never set aside need not be given back: without a
//!   spare part there is nothing that Return could break, and 3.9 has no hook because it has none.
//!
//! # Why together they suffice
//!
//! A boot dies in the build because there is no room for a table, which Progress excludes; because a table cannot
//! be written, which Reach and Claim exclude: its page is mapped, and nobody else's; or because Xen refuses it,
//! which it does only for a writable mapping, and that is Guard. After the build a consumer dies when free memory
//! is absent or read-only. Cover excludes the first. Read-only is only what was made so for tables: those that
//! became tables are reserved (Claim) and never handed out, those that did not are writable again (Return).
//!
//! `pgtlab prove` holds this against every machine of a small family.
//!
//! # Which version breaks which
//!
#![doc = include_str!("rules/versions.md")]

use crate::addr::{Pfn, PfnRange};
use crate::entry::Grants;
use crate::frame_map::FrameMap;
use crate::geometry::Level;
use crate::memblock::Memblock;
use crate::mmu::Mmu;
use crate::strategy::Stage;
use crate::table::TableId;
use crate::walk::{visit_leaves, walk};
use std::fmt;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Mapped when taken.
    Reach,
    /// Guarded from then on.
    Guard,
    /// Owned when taken.
    Claim,
    /// Given back when not taken.
    Return,
    /// All memory mapped, nothing else.
    Cover,
    /// Room before work.
    Progress,
    /// Nothing taken in vain.
    Least,
}

impl Rule {
    /// Every rule, in their order.
    pub const ALL: [Self; 7] =
        [Self::Reach, Self::Guard, Self::Claim, Self::Return, Self::Cover, Self::Progress, Self::Least];

    /// Its name in reports and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Guard => "guard",
            Self::Claim => "claim",
            Self::Return => "return",
            Self::Cover => "cover",
            Self::Progress => "progress",
            Self::Least => "least",
        }
    }
}

/// One thing that is wrong: one per rule and range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// The range during which it broke, counted from 1; 0 where it is no range's.
    pub range: u64,
    /// The stage at which it broke.
    pub stage: Stage,
    /// The first page it broke for.
    pub page: Pfn,
    /// For how many pages.
    pub n_pages: u64,
    /// What the rule expects of the first page.
    pub expected: String,
    /// What was found there.
    pub got: String,
    /// How many events had been noted when it broke first.
    pub n_events: u64,
}

impl Finding {
    /// Where: the first page, how many there are, and the range.
    #[must_use]
    pub fn place(&self) -> String {
        let mut place = format!("pfn {:x}", self.page);
        if 1 < self.n_pages {
            place += &format!(" and {} more", self.n_pages - 1);
        }
        if 0 < self.range {
            place += &format!(", range {}", self.range);
        }
        place
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, stage, expected, got, .. } = self;
        write!(f, "{}: {}: {got}; expected {expected}; stage {}", rule.name(), self.place(), stage.name())
    }
}

/// Where a check stands in the boot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) range: u64,
    pub(crate) stage: Stage,
    pub(crate) n_events: u64,
}

/// What a page is to the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct PageState {
    is_taken: bool,
    is_linked: bool,
    /// Set aside for tables by the strategy, which may therefore have reserved it.
    is_promised: bool,
}

/// The rules of one boot, with what they must remember.
#[derive(Debug)]
pub(crate) struct Rules {
    findings: Vec<Finding>,
    /// A page that is followed, and what was broken for it.
    followed: Option<Pfn>,
    on_followed: Vec<Finding>,
    pages: FrameMap<PageState>,
    promises: Vec<PfnRange>,
    taken: Vec<Pfn>,
    /// The page taken last, until the next event shows whether it was reserved in time.
    unclaimed: Option<Pfn>,
    /// Memory counts as mapped until the build is done (native, filled on demand).
    pub(crate) is_mapped_on_demand: bool,
    is_guarded: bool,
}

impl Rules {
    pub(crate) fn new(is_guarded: bool, followed: Option<Pfn>) -> Self {
        Self {
            findings: Vec::new(),
            followed,
            on_followed: Vec::new(),
            pages: FrameMap::new(),
            promises: Vec::new(),
            taken: Vec::new(),
            unclaimed: None,
            is_mapped_on_demand: false,
            is_guarded,
        }
    }

    /// The findings, those of one rule together, the first broken first; and those for the page that was
    /// followed, as they came.
    pub(crate) fn into_findings(mut self) -> (Vec<Finding>, Vec<Finding>) {
        self.findings.sort_by_key(|finding| finding.rule);
        (self.findings, self.on_followed)
    }

    /// Adds a page to the finding of this rule and range, or makes one.
    fn broken(&mut self, rule: Rule, moment: Moment, page: Pfn, n_pages: u64, texts: impl Fn() -> (String, String)) {
        let found = |page, n_pages| {
            let (expected, got) = texts();
            let Moment { range, stage, n_events } = moment;
            Finding { rule, range, stage, page, n_pages, expected, got, n_events }
        };
        // Progress names where a range starts: it is broken for the range, not for a page of it.
        if let Some(followed) = self.followed
            && rule != Rule::Progress
            && PfnRange::new(page, page.saturating_add(n_pages)).contains(followed)
        {
            self.on_followed.push(found(followed, 1));
        }
        let same = self.findings.iter_mut().rev().find(|finding| finding.rule == rule && finding.range == moment.range);
        if let Some(finding) = same {
            finding.n_pages += n_pages;
            return;
        }
        self.findings.push(found(page, n_pages));
    }

    fn update(&mut self, pages: PfnRange, change: impl Fn(&mut PageState)) {
        let updated = self.pages.try_update(pages, |mut state| {
            change(&mut state);
            Ok::<_, ()>(state)
        });
        debug_assert!(updated.is_ok(), "the change never fails");
    }

    /// Tables that stand before the build are linked.
    pub(crate) fn boot_table(&mut self, page: Pfn) {
        let state = self.pages.get(page);
        self.pages.set(page, PageState { is_linked: true, ..state });
    }

    /// A buffer or a pool was set aside.
    pub(crate) fn promise(&mut self, pages: PfnRange) {
        self.promises.push(pages);
        self.update(pages, |state| state.is_promised = true);
    }

    /// The strategy reserved the pages itself: they are its own table space.
    pub(crate) fn own(&mut self, pages: PfnRange) {
        self.update(pages, |state| state.is_promised = true);
    }

    /// A range starts with `have` pages at hand for the `need` tables it will link.
    pub(crate) fn start_range(&mut self, moment: Moment, first: Pfn, need: u64, have: u64) {
        if have < need {
            self.broken(Rule::Progress, moment, first, need - have, || {
                (format!("room for the {need} tables this range will link"), format!("room for {have}"))
            });
        }
    }

    /// Any event: the page taken last must be reserved by now.
    #[inline]
    pub(crate) fn event(&mut self, moment: Moment, memblock: &Memblock, mmu: &Mmu<'_>) {
        let Some(page) = self.unclaimed.take() else { return };
        if !memblock.is_reserved(bytes_of(mmu, page)) {
            self.broken(Rule::Claim, moment, page, 1, || {
                ("reserved before anything else happens".to_owned(), "taken as a table and still free".to_owned())
            });
        }
    }

    /// A page is handed out to become a table. `unattached` are the tables under construction that no
    /// live table links yet.
    pub(crate) fn take(
        &mut self,
        moment: Moment,
        page: Pfn,
        memblock: &Memblock,
        mmu: &Mmu<'_>,
        unattached: &[TableId],
    ) {
        self.event(moment, memblock, mmu);
        let live = mmu.walk(page);
        let is_ram = memblock.is_memory(bytes_of(mmu, page));
        if !(live.entry.is_present() || self.is_mapped_on_demand && is_ram) {
            self.broken(Rule::Reach, moment, page, 1, || {
                ("mapped by live tables when taken".to_owned(), "not mapped".to_owned())
            });
        }
        if self.is_guarded && is_writable_below(mmu, unattached, page) {
            self.broken(Rule::Guard, moment, page, 1, || {
                (
                    "no writable mapping but the live direct map's".to_owned(),
                    "mapped writable by a table that is not attached yet".to_owned(),
                )
            });
        }
        let state = self.pages.get(page);
        if !is_ram || state.is_taken || (!state.is_promised && memblock.is_any_reserved(bytes_of(mmu, page))) {
            let got = if !is_ram {
                "not memory"
            } else if state.is_taken {
                "taken before"
            } else {
                "reserved by somebody else"
            };
            self.broken(Rule::Claim, moment, page, 1, || ("free memory".to_owned(), got.to_owned()));
        }
        self.pages.set(page, PageState { is_taken: true, ..state });
        self.taken.push(page);
        self.unclaimed = Some(page);
    }

    /// Pages became live tables.
    pub(crate) fn link(&mut self, moment: Moment, pages: &[Pfn], mmu: &Mmu<'_>, unattached: &[TableId]) {
        for &page in pages {
            let state = self.pages.get(page);
            self.pages.set(page, PageState { is_linked: true, ..state });
            if !self.is_guarded {
                continue;
            }
            let is_live = mmu.walk(page).entry.is_writable();
            let is_hidden = is_writable_below(mmu, unattached, page);
            if is_live || is_hidden || mmu.is_writable_in_fixmap(page) {
                self.linked_page_is_writable(moment, page);
            }
        }
    }

    fn linked_page_is_writable(&mut self, moment: Moment, page: Pfn) {
        self.broken(Rule::Guard, moment, page, 1, || {
            ("a live table, mapped read-only everywhere".to_owned(), "mapped writable".to_owned())
        });
    }

    /// Writable leaves were made for these pages, or the pages were made writable, in any table or in the
    /// fixmap.
    pub(crate) fn made_writable(&mut self, moment: Moment, pages: PfnRange) {
        if !self.is_guarded {
            return;
        }
        let mut from = pages.start;
        while let Some(page) = self.pages.find(PfnRange::new(from, pages.end), |state| state.is_linked) {
            self.linked_page_is_writable(moment, page);
            from = page.saturating_add(1);
        }
    }

    /// The reserve stage of a range has returned: the spare part of its buffer must be ordinary memory.
    pub(crate) fn range_done(&mut self, moment: Moment, spare: PfnRange, memblock: &Memblock, mmu: &Mmu<'_>) {
        let mut left: Vec<(PfnRange, &str)> = Vec::new();
        visit_leaves(&mmu.tables, mmu.root, spare, &mut |leaves| {
            if !leaves.grants.contains(Grants::WRITE) {
                left.push((leaves.pages.intersect(spare), "left read-only"));
            }
            true
        });
        let geometry = mmu.tables.geometry();
        for block in memblock.reserved() {
            left.push((geometry.touched_pages(*block).intersect(spare), "still reserved"));
        }
        left.sort_unstable();
        let mut from = spare.start;
        for (pages, got) in left {
            // A page that is both counts once, and one taken from elsewhere meanwhile is a table.
            let mut page = pages.start.max(from);
            while let Some(found) = self.pages.find(PfnRange::new(page, pages.end), |state| !state.is_taken) {
                self.broken(Rule::Return, moment, found, 1, || {
                    ("writable and free, as it was promised and not taken".to_owned(), got.to_owned())
                });
                page = found.saturating_add(1);
            }
            from = from.max(pages.end);
        }
    }

    /// Memory that no live table maps, or something else that one does.
    pub(crate) fn cover(&mut self, moment: Moment, pages: PfnRange, is_memory: bool) {
        self.broken(Rule::Cover, moment, pages.start, pages.len(), || {
            if is_memory {
                ("mapped, as it is memory".to_owned(), "not mapped".to_owned())
            } else {
                ("not mapped, as it is no memory".to_owned(), "mapped".to_owned())
            }
        });
    }

    /// The pages that were promised or taken and are no live tables, ascending and merged; and how many
    /// were taken and are.
    pub(crate) fn tally(&self) -> (Vec<PfnRange>, u64) {
        let mut spare: Vec<PfnRange> = Vec::new();
        let mut promised: Vec<PfnRange> =
            self.promises.iter().copied().chain(self.taken.iter().map(|&page| one(page))).collect();
        promised.sort_unstable();
        let mut from = Pfn::default();
        for pages in promised {
            let is_linked = |state: PageState| state.is_taken && state.is_linked;
            let mut at = pages.start.max(from);
            while let Some(start) = self.pages.find(PfnRange::new(at, pages.end), |state| !is_linked(state)) {
                let rest = PfnRange::new(start, pages.end);
                let end = self.pages.find(rest, is_linked).unwrap_or(pages.end);
                match spare.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => spare.push(PfnRange::new(start, end)),
                }
                at = end;
            }
            from = from.max(pages.end);
        }
        let mut linked: Vec<Pfn> = self.taken.iter().copied().filter(|&page| self.pages.get(page).is_linked).collect();
        linked.sort_unstable();
        linked.dedup();
        (spare, linked.len() as u64)
    }

    /// All ranges are done: what was promised or taken must be linked.
    pub(crate) fn build_done(&mut self, moment: Moment, spare: &[PfnRange]) {
        for pages in spare {
            self.broken(Rule::Least, moment, pages.start, pages.len(), || {
                ("linked in the end, as it was set aside for tables".to_owned(), "never linked".to_owned())
            });
        }
    }

    /// Whether the page is a live table.
    pub(crate) fn is_table(&self, page: Pfn) -> bool {
        self.pages.get(page).is_linked
    }
}

const fn one(page: Pfn) -> PfnRange {
    PfnRange::new(page, page.saturating_add(1))
}

fn bytes_of(mmu: &Mmu<'_>, page: Pfn) -> crate::addr::PhysRange {
    mmu.tables.geometry().bytes(one(page))
}

/// Whether a table under construction maps the page writable. Such a table knows its level but not its
/// place, so the frame tells whether the leaf found is the page's.
fn is_writable_below(mmu: &Mmu<'_>, unattached: &[TableId], page: Pfn) -> bool {
    unattached.iter().any(|&top| {
        let found = walk(&mmu.tables, top, page);
        found.level == Level::L1 && found.entry.is_writable() && found.entry.frame() == page.get()
    })
}
