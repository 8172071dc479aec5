// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's side: a plugin's strategy as a [`Decider`], and the builder's context as [`RawServices`].

use super::budget::{Budget, sixteenth, tables};
use super::far;
use super::interface::{RawServices, RawServices_TO, ServicesMut, StrategyBox, StrategyModuleRef};
use super::numbers::FaultKind;
use super::odd::{Odd, OddServices};
use super::raw::{AccessQuestion, RawE820Entry, RawFacts, RawFault, RawNode, RawRange, Span, Wire, as_spans};
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::decide::{Decider, StrategyFault};
use crate::geometry::Geometry;
use crate::layout::Switches;
use crate::strategy::{
    Access, Boot, Context, Facts, LastRange, LeafQuestion, Options, Page, PageQuestion, PgtBuf, Plan, Pool, Range,
    RangeDone, Stage, Strategy, TableSpace, WriteQuestion,
};
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::sabi_types::RMut;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// What went wrong in a plugin, outside any stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PluginFault(String);

/// A strategy that lives in a plugin, for one boot.
pub struct PluginStrategy {
    raw: StrategyBox,
    /// The number that is wrong in all that it is asked, if one is.
    odd: Option<Odd>,
    budget: Budget,
}

impl fmt::Debug for PluginStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginStrategy").finish_non_exhaustive()
    }
}

impl PluginStrategy {
    /// Makes the strategy of one boot, whose steps are counted without an end.
    ///
    /// # Errors
    /// Its `Default` panicked.
    pub fn create(module: StrategyModuleRef) -> Result<Self, PluginFault> {
        Self::created(module.create()())
    }

    /// Makes the strategy of one boot from a type of this program: what a plugin of that type is, behind the
    /// same border.
    ///
    /// # Errors
    /// Its `Default` panicked.
    pub fn of<S: Strategy + Default + 'static>() -> Result<Self, PluginFault> {
        Self::created(far::create_here::<S>())
    }

    fn created(created: RResult<StrategyBox, RawFault>) -> Result<Self, PluginFault> {
        match created {
            RResult::ROk(raw) => Ok(Self { raw, odd: None, budget: Budget::default() }),
            RResult::RErr(fault) => Err(PluginFault(describe(&fault))),
        }
    }

    /// The same, asked from now on with a number that nobody has defined, as a host of another making might.
    #[must_use]
    pub fn with(self, odd: Odd) -> Self {
        Self { odd: Some(odd), ..self }
    }

    /// Gives it so many steps and no more.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// How many steps it has taken.
    #[must_use]
    pub const fn n_steps(&self) -> u64 {
        self.budget.n_taken()
    }

    /// Gives it the values of all the options it declares, before any stage.
    ///
    /// # Errors
    /// Its `configure` panicked.
    pub fn configure(&mut self, options: &Options) -> Result<(), PluginFault> {
        let texts: RVec<RString> = options.iter().flat_map(|(key, value)| [key.into(), value.into()]).collect();
        if texts.is_empty() {
            return Ok(());
        }
        self.raw.configure(texts).into_result().map_err(|fault| PluginFault(describe(&fault)))
    }

    /// Drops the author's value.
    ///
    /// # Errors
    /// Its `Drop` panicked.
    pub fn finish(mut self) -> Result<(), PluginFault> {
        self.raw.finish().into_result().map_err(|fault| PluginFault(describe(&fault)))
    }

    #[inline]
    fn ask<T: Wire>(
        &mut self,
        stage: Stage,
        link: Link<'_, '_>,
        question: impl FnOnce(&mut StrategyBox, ServicesMut<'_>) -> RResult<T::Raw, RawFault>,
    ) -> Result<T, StrategyFault> {
        self.budget.take(stage, 0);
        let mut near = Near { link, panic: Cell::new(None), stage, budget: &self.budget };
        let answer = match self.odd {
            None => question(&mut self.raw, RawServices_TO::from_ptr(RMut::new(&mut near), TD_Opaque)),
            Some(odd) => {
                let mut near = OddServices { near: &mut near, odd };
                question(&mut self.raw, RawServices_TO::from_ptr(RMut::new(&mut near), TD_Opaque))
            }
        };
        if let Some(payload) = near.panic.take() {
            // Ours, from inside a service: it goes on where it would have gone without a border.
            panic::resume_unwind(payload);
        }
        match answer {
            RResult::ROk(raw) => T::from_raw(raw)
                .map_err(|unknown| StrategyFault { stage, text: format!("the answer makes no sense: {unknown}") }),
            RResult::RErr(fault) => Err(StrategyFault { stage, text: describe(&fault) }),
        }
    }
}

fn describe(fault: &RawFault) -> String {
    match FaultKind::from_raw(fault.kind) {
        Ok(FaultKind::Panicked) if fault.place.is_empty() => format!("the plugin panicked: {}", fault.text),
        Ok(FaultKind::Panicked) => format!("the plugin panicked: {} at {}", fault.text, fault.place),
        Ok(FaultKind::AfterPanic) => "the plugin was asked again after it had panicked".to_owned(),
        Ok(FaultKind::Finished) => "the plugin was asked again after it had finished".to_owned(),
        Err(unknown) => format!("the plugin failed in a way of its own ({unknown}): {}", fault.text),
    }
}

impl Decider for PluginStrategy {
    fn boot(&mut self, cx: &mut Context<'_>) -> Result<Boot, StrategyFault> {
        self.ask(Stage::Boot, Link::Acts(cx), |raw, services| raw.boot(services))
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Result<Plan, StrategyFault> {
        let end_of_map = cx.facts().geometry.end_of_map();
        let plan: Plan = self.ask(Stage::Plan, Link::Acts(cx), |raw, services| raw.plan(services))?;
        if let Plan::Map(range) = &plan {
            // What lies past the end of the map is refused, and costs nothing.
            let mapped = range.pieces.iter().map(|piece| piece.pages).filter(|pages| pages.end <= end_of_map);
            let n_tables = mapped.map(|pages| tables(pages.len())).fold(0, u64::saturating_add);
            self.budget.take(Stage::Plan, n_tables.saturating_add(range.pieces.len() as u64));
        }
        Ok(plan)
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> Result<TableSpace, StrategyFault> {
        let mut range = range.to_raw();
        if let Some(odd) = self.odd {
            odd.spoil(&mut range);
        }
        self.ask(Stage::TableSpace, Link::Acts(cx), |raw, services| raw.table_space(services, range))
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Result<Page, StrategyFault> {
        self.ask(Stage::Page, Link::Acts(cx), |raw, services| raw.page(services, question.to_raw()))
    }

    fn access(&mut self, cx: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Result<Access, StrategyFault> {
        let question = AccessQuestion { table, is_new, buf: *buf }.to_raw();
        self.ask(Stage::Access, Link::Looks(cx), |raw, services| raw.access(services, question))
    }

    fn leaf(&mut self, cx: &Context<'_>, question: &LeafQuestion) -> Result<Option<PfnRange>, StrategyFault> {
        self.ask(Stage::Leaf, Link::Looks(cx), |raw, services| raw.leaf(services, question.to_raw()))
    }

    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) -> Result<(), StrategyFault> {
        self.ask(Stage::Write, Link::Acts(cx), |raw, services| raw.write(services, question.to_raw()))
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) -> Result<(), StrategyFault> {
        self.ask(Stage::RangeDone, Link::Acts(cx), |raw, services| raw.range_done(services, done.to_raw()))
    }

    fn build_done(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        self.ask(Stage::BuildDone, Link::Acts(cx), |raw, services| raw.build_done(services))
    }

    fn allocator_up(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        self.ask(Stage::AllocatorUp, Link::Acts(cx), |raw, services| raw.allocator_up(services))
    }
}

/// The context of the question that is being asked.
pub(super) enum Link<'a, 'b> {
    /// At a stage that only looks.
    Looks(&'a Context<'b>),
    /// At a stage that may act.
    Acts(&'a mut Context<'b>),
}

/// The builder's context as a plugin reaches it.
pub(super) struct Near<'a, 'b> {
    link: Link<'a, 'b>,
    /// A panic of the builder's inside a service, kept until the plugin has returned.
    panic: Cell<Option<Box<dyn Any + Send>>>,
    stage: Stage,
    budget: &'a Budget,
}

impl<'b> Near<'_, 'b> {
    /// Runs a service that only looks. After a panic of ours the plugin gets `otherwise`, until it returns.
    #[inline]
    fn look<'s, T>(&'s self, otherwise: T, service: impl FnOnce(&'s Context<'_>) -> T) -> T {
        self.budget.take(self.stage, 0);
        let cx = self.cx();
        match panic::catch_unwind(AssertUnwindSafe(|| service(cx))) {
            Ok(answer) => answer,
            Err(payload) => {
                self.panic.set(Some(payload));
                otherwise
            }
        }
    }

    fn cx(&self) -> &Context<'b> {
        match &self.link {
            Link::Looks(cx) => cx,
            Link::Acts(cx) => cx,
        }
    }

    /// Takes steps for a list that was handed over.
    fn count<T>(&self, list: RVec<T>) -> RVec<T> {
        self.budget.take(self.stage, sixteenth(list.len()));
        list
    }

    /// Takes the steps of a search in memblock.
    fn search(&self) {
        self.budget.take(self.stage, sixteenth(self.cx().memory().len() + self.cx().reserved().len()));
    }

    /// Takes the steps of a text.
    fn read(&self, text: RStr<'_>) {
        self.budget.take(self.stage, sixteenth(text.len()));
    }

    /// Runs a service that acts. Safe code cannot ask for one at a stage that only looks; there it does
    /// nothing.
    #[inline]
    fn act(&mut self, service: impl FnOnce(&mut Context<'_>)) {
        self.budget.take(self.stage, 0);
        if let Link::Acts(cx) = &mut self.link
            && let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| service(cx)))
        {
            self.panic.set(Some(payload));
        }
    }
}

/// What a plugin is told of the machine after a panic of ours.
const NO_FACTS: Facts = Facts {
    geometry: Geometry::X86_64,
    switches: Switches::DEFAULT,
    kernel: PhysRange::from_numbers(0, 0),
    brk: PhysAddr::new(0),
    max_pfn: Pfn::new(0),
    max_low_pfn: Pfn::new(0),
    max_pfn_mapped: Pfn::new(0),
    buf: PgtBuf { start: Pfn::new(0), end: Pfn::new(0), top: Pfn::new(0) },
    pool: Pool { start: Pfn::new(0), next: Pfn::new(0), end: Pfn::new(0) },
    ranges_done: 0,
    last: LastRange { pages: PfnRange::from_numbers(0, 0), last_mapped: Pfn::new(0) },
};

fn bytes(span: Span) -> PhysRange {
    PhysRange::from_numbers(span.start, span.end)
}

fn pages(span: Span) -> PfnRange {
    PfnRange::from_numbers(span.start, span.end)
}

impl RawServices for Near<'_, '_> {
    fn facts(&self) -> RawFacts {
        self.look(None, |cx| Some(cx.facts())).unwrap_or(&NO_FACTS).to_raw()
    }

    fn backend(&self) -> u32 {
        self.look(crate::layout::Backend::Native, |cx| cx.backend()).to_raw()
    }

    fn memory(&self) -> RSlice<'_, Span> {
        as_spans(self.look(&[], |cx| cx.memory())).into()
    }

    fn reserved(&self) -> RSlice<'_, Span> {
        as_spans(self.look(&[], |cx| cx.reserved())).into()
    }

    fn e820(&self) -> RVec<RawE820Entry> {
        self.count(self.look(RVec::new(), |cx| cx.e820().iter().map(Wire::to_raw).collect()))
    }

    fn nodes(&self) -> RVec<RawNode> {
        self.count(self.look(RVec::new(), |cx| cx.nodes().iter().map(Wire::to_raw).collect()))
    }

    fn mapped(&self) -> RVec<Span> {
        self.count(self.look(RVec::new(), |cx| cx.mapped().iter().map(Wire::to_raw).collect()))
    }

    fn find_in_range(&self, window: Span, n_bytes: u64, align: u64) -> ROption<u64> {
        self.search();
        self.look(None, |cx| cx.find_in_range(bytes(window), n_bytes, align)).map(PhysAddr::get).into()
    }

    fn next_free(&self, start: u64, align: u64) -> ROption<Span> {
        self.search();
        self.look(None, |cx| cx.next_free(PhysAddr::new(start), align)).map(|range| range.to_raw()).into()
    }

    fn tables_needed(&self, range: RawRange) -> u64 {
        match Range::from_raw(range) {
            Ok(range) => {
                let n_pages = range.pages.len().min(self.cx().facts().max_pfn.get());
                self.budget.take(self.stage, tables(n_pages));
                self.look(0, |cx| cx.tables_needed(&range))
            }
            Err(_) => 0,
        }
    }

    fn decline(&self, stage: u32) {
        if let Some(stage) = Stage::from_number(stage) {
            self.look((), |cx| cx.decline(stage));
        }
    }

    fn printk(&mut self, text: RStr<'_>) {
        self.read(text);
        self.act(|cx| cx.printk(text.as_str()));
    }

    fn reserve(&mut self, range: Span, name: RStr<'_>) {
        self.read(name);
        self.act(|cx| cx.reserve(bytes(range), name.as_str()));
    }

    fn free(&mut self, range: Span) {
        self.act(|cx| cx.free(bytes(range)));
    }

    fn set_rw(&mut self, span: Span) {
        self.act(|cx| cx.set_rw(pages(span)));
    }

    fn set_ro(&mut self, span: Span) {
        self.act(|cx| cx.set_ro(pages(span)));
    }

    fn set_max_pfn_mapped(&mut self, pfn: u64) {
        self.act(|cx| cx.set_max_pfn_mapped(Pfn::new(pfn)));
    }
}
