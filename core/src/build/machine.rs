// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine during a boot: all that a strategy may see, and all that happens to it.

use super::{Built, Death, End, LayoutConflict, Record, Watch, boot_tables, need};
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::decide::StrategyFault;
use crate::e820::E820Entry;
use crate::event::{Event, Noted};
use crate::follow::{Follow, Step};
use crate::layout::{Backend, Layout, Node};
use crate::measure::{self, Measures, XenTotals};
use crate::memblock::Memblock;
use crate::mmu::{Bug, Mmu};
use crate::ops::{Act, Recorder};
use crate::permission::PermissionMap;
use crate::rules::{Moment, Rules};
use crate::strategy::{Boot, Context, Facts, LastRange, NativeMap, PgtBuf, Pool, Range, Services, Stage};
use crate::table::TableId;
use crate::trace;
use crate::walk::{steps, visit_leaves};
use std::cell::Cell;

/// The part of the boot that the builder is.
const BUILD: &str = "init_memory_mapping";

/// Why a boot ends early; one pointer, as it is on the way of every answer.
#[derive(Clone, Debug)]
pub(crate) struct Halt(Box<HaltReason>);

#[derive(Clone, Debug)]
struct HaltReason {
    kind: HaltKind,
    /// The part of the boot.
    stage: &'static str,
}

#[derive(Clone, Debug)]
enum HaltKind {
    Died(Death, String),
    StrategyFailed(StrategyFault),
}

impl Halt {
    fn new(kind: HaltKind, stage: &'static str) -> Self {
        Self(Box::new(HaltReason { kind, stage }))
    }

    pub(crate) fn panic(text: impl Into<String>) -> Self {
        Self::new(HaltKind::Died(Death::Panic, text.into()), BUILD)
    }

    pub(crate) fn crash(text: impl Into<String>) -> Self {
        Self::new(HaltKind::Died(Death::Crash, text.into()), BUILD)
    }

    pub(crate) fn crash_at(stage: &'static str, text: impl Into<String>) -> Self {
        Self::new(HaltKind::Died(Death::Crash, text.into()), stage)
    }
}

impl From<Bug> for Halt {
    fn from(bug: Bug) -> Self {
        Self::new(HaltKind::Died(Death::Bug, bug.to_string()), BUILD)
    }
}

impl From<StrategyFault> for Halt {
    fn from(fault: StrategyFault) -> Self {
        Self::new(HaltKind::StrategyFailed(fault), BUILD)
    }
}

/// All state of one boot.
#[derive(Debug)]
pub(crate) struct Machine<'l> {
    pub(crate) layout: &'l Layout,
    pub(crate) facts: Facts,
    pub(crate) memblock: Memblock,
    pub(crate) mmu: Mmu<'l>,
    pub(crate) boot: Boot,
    pub(crate) records: Vec<Record>,
    pub(crate) rules: Option<Rules>,
    events: Option<Vec<Noted>>,
    /// How many events there were, whether they are kept or not.
    n_events: u64,
    /// The page to follow, and what was seen of it since the boot tables stand.
    page: Option<Pfn>,
    follow: Option<Follow>,
    fault: Vec<Step>,
    pub(crate) stage: Stage,
    /// The range being mapped, counted from 1; 0 outside the ranges.
    pub(crate) range: u64,
    declined: Cell<u32>,
    asked_backend: Cell<bool>,
    /// A request of the strategy's that ended the boot, until the stage it was made in has returned.
    halt: Option<Halt>,
    /// The direct map before the build; kept for the measures.
    pub(crate) map_before: Option<PermissionMap>,
    pub(crate) reserved_before: u64,
    pub(crate) largest_request: u64,
    reads_map: bool,
    /// What makes the layout impossible, if its boot tables cannot be laid out.
    pub(crate) conflict: Option<LayoutConflict>,
    built: Option<AtBuildDone>,
}

#[derive(Debug)]
struct AtBuildDone {
    map: PermissionMap,
    measures: Option<Measures>,
    reserved: Vec<PhysRange>,
    xen_totals: Option<XenTotals>,
}

impl<'l> Machine<'l> {
    pub(crate) fn new(layout: &'l Layout, watch: Watch) -> Result<Self, LayoutConflict> {
        let is_guarded = layout.backend == Backend::Xen;
        let facts = Facts {
            geometry: layout.geometry,
            switches: layout.features(),
            kernel: layout.kernel,
            brk: layout.brk,
            max_pfn: layout.max_pfn(),
            max_low_pfn: layout.max_low_pfn(),
            max_pfn_mapped: Pfn::default(),
            buf: PgtBuf::default(),
            pool: Pool::default(),
            ranges_done: 0,
            last: LastRange::default(),
        };
        let mut mmu = boot_tables::root(layout)?;
        mmu.tracks_links = watch.rules;
        if watch.ops {
            mmu.ops = Recorder::on();
            mmu.ops.begin(&mmu.tables, mmu.root, &[], Vec::new());
        }
        Ok(Self {
            layout,
            memblock: Memblock::new(layout.geometry.page_bytes()),
            mmu,
            boot: Boot::new(&facts),
            facts,
            records: Vec::new(),
            rules: watch.rules.then(|| Rules::new(is_guarded, watch.page)),
            events: watch.events.then(Vec::new),
            n_events: 0,
            page: watch.page,
            follow: None,
            fault: Vec::new(),
            stage: Stage::Boot,
            range: 0,
            declined: Cell::new(0),
            asked_backend: Cell::new(false),
            halt: None,
            map_before: None,
            reserved_before: 0,
            largest_request: 0,
            reads_map: watch.map || watch.rules,
            conflict: None,
            built: None,
        })
    }

    /// Enters a stage: what happens from now on is attributed to it.
    pub(crate) const fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Whether memory counts as mapped because the early page-fault handler maps what is touched.
    pub(crate) fn is_mapped_on_demand(&self, page: Pfn) -> bool {
        let is_on_demand = !self.mmu.is_guarded() && self.boot.native_map == NativeMap::OnDemand;
        is_on_demand && self.memblock.is_memory(self.layout.geometry.bytes(PfnRange::new(page, page.saturating_add(1))))
    }

    pub(crate) const fn moment(&self) -> Moment {
        Moment { range: self.range, stage: self.stage, n_events: self.n_events }
    }

    /// Notes an event, if anybody listens.
    #[inline]
    pub(crate) fn note(&mut self, event: impl FnOnce() -> Event) {
        let moment = self.moment();
        if let Some(rules) = &mut self.rules {
            rules.event(moment, &self.memblock, &self.mmu);
        }
        self.n_events += 1;
        if self.follow.is_none() && self.events.is_none() {
            return;
        }
        let event = event();
        self.look(Some(&event));
        if let Event::Written { fault: Some(page), .. } = event {
            self.fault = steps(&self.mmu.tables, self.mmu.root, page);
        }
        if let Some(events) = &mut self.events {
            events.push(Noted { range: moment.range, stage: moment.stage, event });
        }
    }

    /// Follows a page from now on, if one is to be followed.
    pub(crate) fn start_following(&mut self) {
        self.follow = self.page.map(Follow::new);
        self.look(None);
    }

    /// Looks at the page that is followed, if one is.
    fn look(&mut self, event: Option<&Event>) {
        if let Some(follow) = &mut self.follow {
            follow.look(self.n_events, event, &self.mmu, &self.memblock);
        }
    }

    /// Reserves memory for what is there before the strategy acts.
    pub(crate) fn take_memory(&mut self, range: PhysRange, name: &str) {
        self.memblock.reserve(range);
        if !range.is_empty() {
            self.note(|| Event::Reserved { range, name: name.to_owned() });
        }
    }

    /// Whether this stage is asked at all.
    #[inline]
    pub(crate) fn asks(&self, stage: Stage) -> bool {
        self.declined.get() & bit(stage) == 0
    }

    /// Puts a question to the strategy, and acts on what it asked the machine to do meanwhile.
    pub(crate) fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Context<'_>) -> Result<T, StrategyFault>,
    ) -> Result<T, Halt> {
        let answer = question(&mut Context::new(self))?;
        match self.halt.take() {
            Some(halt) => Err(halt),
            None => Ok(answer),
        }
    }

    /// All pages the firmware's map speaks of: nothing a strategy names can matter beyond them.
    fn pages(&self) -> PfnRange {
        PfnRange::new(Pfn::default(), self.layout.geometry.pfn_up(self.layout.e820.end()))
    }

    pub(crate) fn fault(&self, text: impl Into<String>) -> Halt {
        StrategyFault { stage: self.stage, text: text.into() }.into()
    }

    /// Tells the rules which tables became live.
    pub(crate) fn links_made(&mut self, unattached: &[TableId]) {
        let moment = self.moment();
        if let Some(rules) = &mut self.rules {
            let linked = std::mem::take(&mut self.mmu.newly_linked);
            rules.link(moment, &linked, &self.mmu, unattached);
            self.mmu.newly_linked = linked;
            self.mmu.newly_linked.clear();
        }
    }

    pub(crate) fn read_map(&self) -> PermissionMap {
        PermissionMap::read(&self.mmu.tables, self.mmu.root, trace::map_end(self.layout))
    }

    /// Takes the map, the measures and the last findings when the build is done.
    pub(crate) fn measure(&mut self) {
        self.mmu.ops.done(|| Act::Built);
        if !self.reads_map {
            return;
        }
        let map = self.read_map();
        let moment = Moment { range: 0, stage: Stage::BuildDone, n_events: self.n_events };
        let mut measures = None;
        if let Some(mut rules) = self.rules.take() {
            measure::cover(self, &mut rules, moment, &map);
            let (spare, n_tables) = rules.tally();
            rules.build_done(moment, &spare);
            measures = Some(measure::measures(self, &rules, &map, &spare, n_tables));
            self.rules = Some(rules);
        }
        let xen_totals = measure::xen_totals(self, &map);
        let reserved = self.memblock.reserved().to_vec();
        self.built = Some(AtBuildDone { map, measures, reserved, xen_totals });
        self.records.push(Record::Built);
    }

    /// The direct map as it stood when the build was done.
    pub(crate) fn built_map(&self) -> Option<&PermissionMap> {
        self.built.as_ref().map(|built| &built.map)
    }

    pub(crate) fn die(&mut self, halt: Halt) -> End {
        let HaltReason { kind, stage } = *halt.0;
        match kind {
            HaltKind::Died(death, text) => {
                self.note(|| Event::Died(text.clone()));
                if stage == BUILD && self.built.is_none() {
                    let Pool { start, next, end } = self.facts.pool;
                    let pool = PgtBuf { start, end: next, top: end };
                    let buf = if self.facts.buf == PgtBuf::default() { pool } else { self.facts.buf };
                    self.records.push(Record::AtCrash(buf));
                }
                End::Died { death, stage, text }
            }
            HaltKind::StrategyFailed(fault) => End::StrategyFailed(fault),
        }
    }

    pub(crate) fn into_built(self, end: End) -> Built {
        let map_at_death = (self.reads_map && self.built.is_none()).then(|| self.read_map());
        let declined = Stage::ALL.into_iter().filter(|stage| !self.asks(*stage)).collect();
        let (map, measures, reserved, xen_totals) = match self.built {
            Some(built) => (Some(built.map), built.measures, built.reserved, built.xen_totals),
            None => (None, None, Vec::new(), None),
        };
        let (findings, findings_on_page) = self.rules.map_or_else(Default::default, Rules::into_findings);
        Built {
            end,
            boot: self.boot,
            records: self.records,
            findings,
            findings_on_page,
            measures,
            map_before: self.map_before,
            map,
            map_at_death,
            max_pfn_mapped: self.facts.max_pfn_mapped,
            reserved,
            xen_totals,
            events: self.events.unwrap_or_default(),
            ops: self.mmu.ops.into_recorded(),
            fault: self.fault,
            seen: self.follow.map_or_else(Vec::new, Follow::into_seen),
            declined,
            asked_backend: self.asked_backend.get(),
        }
    }
}

const fn bit(stage: Stage) -> u32 {
    1 << (stage.number() / 10)
}

impl Services for Machine<'_> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn backend(&self) -> Backend {
        self.asked_backend.set(true);
        self.layout.backend
    }

    fn memory(&self) -> &[PhysRange] {
        self.memblock.memory()
    }

    fn reserved(&self) -> &[PhysRange] {
        self.memblock.reserved()
    }

    fn e820(&self) -> &[E820Entry] {
        self.layout.e820.entries()
    }

    fn nodes(&self) -> &[Node] {
        &self.layout.nodes
    }

    fn mapped(&self) -> Vec<PfnRange> {
        let mut mapped: Vec<PfnRange> = Vec::new();
        let all = PfnRange::new(Pfn::default(), self.layout.geometry.end_of_map());
        visit_leaves(&self.mmu.tables, self.mmu.root, all, &mut |leaves| {
            match mapped.last_mut() {
                Some(last) if last.end == leaves.pages.start => last.end = leaves.pages.end,
                _ => mapped.push(leaves.pages),
            }
            true
        });
        mapped
    }

    fn find_in_range(&self, window: PhysRange, bytes: u64, align: u64) -> Option<PhysAddr> {
        if bytes == 0 || !align.is_power_of_two() {
            return None;
        }
        self.memblock.find_in_range(window, bytes, align)
    }

    fn next_free(&self, start: PhysAddr, align: u64) -> Option<PhysRange> {
        if align.is_power_of_two() { self.memblock.next_free(start, align) } else { None }
    }

    fn tables_needed(&self, range: &Range) -> u64 {
        need::tables_needed(&self.mmu, &self.layout.e820, range)
    }

    fn decline(&self, stage: Stage) {
        self.declined.set(self.declined.get() | bit(stage));
    }

    fn printk(&mut self, text: &str) {
        // A log line is one line, whatever a strategy prints.
        let text = text.replace(|c: char| c.is_control(), " ");
        self.note(|| Event::Printk(text.clone()));
        // The allocator comes up after all that a trace shows.
        if self.stage != Stage::AllocatorUp {
            self.records.push(Record::Printk(text));
        }
    }

    fn reserve(&mut self, range: PhysRange, name: &str) {
        if range.is_empty() {
            return;
        }
        self.memblock.reserve(range);
        let pages = self.layout.geometry.touched_pages(range).intersect(self.pages());
        if let Some(rules) = &mut self.rules
            && matches!(self.stage, Stage::Boot | Stage::Plan | Stage::TableSpace | Stage::Page)
        {
            rules.own(pages);
        }
        let pool = &mut self.facts.pool;
        if pages.start == pool.next && pages.end <= pool.end {
            pool.next = pages.end;
        }
        self.note(|| Event::Reserved { range, name: name.to_owned() });
    }

    fn free(&mut self, range: PhysRange) {
        self.memblock.free(range);
        self.note(|| Event::Freed(range));
    }

    fn set_rw(&mut self, pages: PfnRange) {
        if !self.mmu.is_guarded() {
            return;
        }
        let pages = pages.intersect(self.pages());
        let mut n_changed = 0;
        let mut page = pages.start;
        while page < pages.end && self.halt.is_none() {
            match self.mmu.set_writable(page) {
                Ok(changed) => n_changed += u64::from(changed),
                Err(bug) => self.halt = Some(bug.into()),
            }
            page = page.saturating_add(1);
        }
        self.note(|| Event::Protected { pages, is_writable: true, n_changed });
        let moment = self.moment();
        if let Some(rules) = &mut self.rules {
            rules.made_writable(moment, pages);
        }
    }

    fn set_ro(&mut self, pages: PfnRange) {
        let pages = pages.intersect(self.pages());
        let mut n_changed = 0;
        let mut page = pages.start;
        while page < pages.end && self.mmu.is_guarded() {
            n_changed += u64::from(self.mmu.set_read_only(page));
            page = page.saturating_add(1);
        }
        self.note(|| Event::Protected { pages, is_writable: false, n_changed });
    }

    fn set_max_pfn_mapped(&mut self, pfn: Pfn) {
        self.facts.max_pfn_mapped = pfn;
        self.memblock.set_current_limit(self.layout.geometry.addr(pfn));
    }
}
