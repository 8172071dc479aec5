// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plugin's side: an author's [`Strategy`] behind [`RawStrategy`], and the host's services as a
//! [`Context`].
#![expect(unsafe_code, reason = "the header's constructor and the type it erases")]

use super::interface::{RawStrategy, RawStrategy_TO, ServicesMut, StrategyBox, StrategyModule, StrategyModuleRef};
use super::numbers::FaultKind;
use super::raw::{
    AccessQuestion, RawAccess, RawAccessQuestion, RawBoot, RawFault, RawLeafQuestion, RawPage, RawPageQuestion,
    RawPlan, RawRange, RawRangeDone, RawTableSpace, RawWriteQuestion, Span, UnknownNumber, Wire, as_ranges,
};
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::e820::E820Entry;
use crate::layout::{Backend, Node};
use crate::strategy::{
    Context, Facts, LeafQuestion, Options, PageQuestion, Range, RangeDone, Services, Stage, Strategy, WriteQuestion,
};
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{ROption, RResult, RString, RVec};
use std::cell::{OnceCell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

/// The header that a plugin exports under [`super::HEADER_SYMBOL`]; called by [`crate::export_strategy`].
#[must_use]
pub const fn header<S: Strategy + Default + 'static>() -> LibHeader {
    // SAFETY: `root` returns a `StrategyModuleRef` and nothing else as an erased prefix.
    unsafe { LibHeader::from_constructor::<StrategyModuleRef>(root::<S>, CheckTypeLayout::Yes) }
}

extern "C" fn root<S: Strategy + Default + 'static>() -> RootModuleResult {
    let module = StrategyModule { create: create::<S> }.leak_into_prefix();
    // SAFETY: only the type is erased; the host casts back after it has checked the layout.
    RResult::ROk(unsafe { module.to_prefix_ref().cast() })
}

extern "C" fn create<S: Strategy + Default + 'static>() -> RResult<StrategyBox, RawFault> {
    keep_places_of_panics();
    create_here::<S>()
}

/// A strategy behind the border without a library around it: the hook for panics is left to the program.
pub(super) fn create_here<S: Strategy + Default + 'static>() -> RResult<StrategyBox, RawFault> {
    match guard(S::default) {
        Ok(strategy) => {
            let adapter = Adapter { strategy: Some(strategy), is_poisoned: false };
            RResult::ROk(RawStrategy_TO::from_value(adapter, TD_Opaque))
        }
        Err(fault) => RResult::RErr(fault),
    }
}

thread_local! {
    /// Where this thread panicked last.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A shared library has its own std and so its own panic hook: this one keeps the place, and prints too,
/// since in a plugin built with `panic = "abort"` nothing else is left of a panic.
fn keep_places_of_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
            let place = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
            eprintln!("the strategy panicked at {place}: {}", info.payload_as_str().unwrap_or(NO_TEXT));
            PLACE.with(|kept| {
                if let Ok(mut kept) = kept.try_borrow_mut() {
                    *kept = place;
                }
            });
        }));
    });
}

const NO_TEXT: &str = "(a panic without text)";

/// Runs the author's code; a panic becomes a fault.
#[inline]
fn guard<T>(run: impl FnOnce() -> T) -> Result<T, RawFault> {
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        // The payload is the author's too, and its own `Drop` may panic.
        std::mem::forget(payload);
        let place = PLACE.with(RefCell::take);
        RawFault::new(FaultKind::Panicked, text.unwrap_or_else(|| NO_TEXT.to_owned()), place)
    })
}

/// A question that the digest of meanings should have kept away; the panic goes no further than [`guard`].
fn read<T: Wire>(raw: T::Raw) -> T {
    match T::from_raw(raw) {
        Ok(value) => value,
        Err(UnknownNumber { of, number }) => panic!("the host asked with number {number}, which is no {of}"),
    }
}

/// An author's strategy as the host sees it.
struct Adapter<S> {
    /// `None` once it has been finished.
    strategy: Option<S>,
    /// After a panic its state means nothing, and it is not asked again.
    is_poisoned: bool,
}

impl<S: Strategy> Adapter<S> {
    #[inline]
    fn ask<T: Wire>(
        &mut self,
        services: ServicesMut<'_>,
        question: impl FnOnce(&mut S, &mut Context<'_>) -> T,
    ) -> RResult<T::Raw, RawFault> {
        if self.is_poisoned {
            return RResult::RErr(RawFault::new(FaultKind::AfterPanic, String::new(), String::new()));
        }
        let Some(strategy) = &mut self.strategy else {
            return RResult::RErr(RawFault::new(FaultKind::Finished, String::new(), String::new()));
        };
        let mut far = Far::new(services);
        match guard(|| question(strategy, &mut Context::new(&mut far)).to_raw()) {
            Ok(answer) => RResult::ROk(answer),
            Err(fault) => {
                self.is_poisoned = true;
                RResult::RErr(fault)
            }
        }
    }
}

impl<S: Strategy> RawStrategy for Adapter<S> {
    fn boot(&mut self, services: ServicesMut<'_>) -> RResult<RawBoot, RawFault> {
        self.ask(services, |strategy, cx| strategy.boot(cx))
    }

    fn plan(&mut self, services: ServicesMut<'_>) -> RResult<RawPlan, RawFault> {
        self.ask(services, |strategy, cx| strategy.plan(cx))
    }

    fn table_space(&mut self, services: ServicesMut<'_>, range: RawRange) -> RResult<RawTableSpace, RawFault> {
        self.ask(services, |strategy, cx| strategy.table_space(cx, &read::<Range>(range)))
    }

    fn page(&mut self, services: ServicesMut<'_>, question: RawPageQuestion) -> RResult<RawPage, RawFault> {
        self.ask(services, |strategy, cx| strategy.page(cx, &read::<PageQuestion>(question)))
    }

    fn access(&mut self, services: ServicesMut<'_>, question: RawAccessQuestion) -> RResult<RawAccess, RawFault> {
        self.ask(services, |strategy, cx| {
            let AccessQuestion { table, is_new, buf } = read(question);
            strategy.access(cx, table, is_new, &buf)
        })
    }

    fn leaf(&mut self, services: ServicesMut<'_>, question: RawLeafQuestion) -> RResult<ROption<Span>, RawFault> {
        self.ask(services, |strategy, cx| strategy.leaf(cx, &read::<LeafQuestion>(question)))
    }

    fn write(&mut self, services: ServicesMut<'_>, question: RawWriteQuestion) -> RResult<(), RawFault> {
        self.ask(services, |strategy, cx| strategy.write(cx, &read::<WriteQuestion>(question)))
    }

    fn range_done(&mut self, services: ServicesMut<'_>, done: RawRangeDone) -> RResult<(), RawFault> {
        self.ask(services, |strategy, cx| strategy.range_done(cx, &read::<RangeDone>(done)))
    }

    fn build_done(&mut self, services: ServicesMut<'_>) -> RResult<(), RawFault> {
        self.ask(services, |strategy, cx| strategy.build_done(cx))
    }

    fn allocator_up(&mut self, services: ServicesMut<'_>) -> RResult<(), RawFault> {
        self.ask(services, |strategy, cx| strategy.allocator_up(cx))
    }

    fn finish(&mut self) -> RResult<(), RawFault> {
        let strategy = self.strategy.take();
        guard(|| drop(strategy)).into()
    }

    fn configure(&mut self, options: RVec<RString>) -> RResult<(), RawFault> {
        let Some(strategy) = &mut self.strategy else { return RResult::ROk(()) };
        let mut texts = options.into_iter().map(RString::into_string);
        let mut values = Vec::new();
        while let (Some(key), Some(value)) = (texts.next(), texts.next()) {
            values.push((key, value));
        }
        let configured = guard(|| strategy.configure(&Options::new(values)));
        self.is_poisoned = configured.is_err();
        configured.into()
    }
}

impl<S> Drop for Adapter<S> {
    /// For a host that did not ask to finish: a panic must not cross here either, and nobody is told.
    fn drop(&mut self) {
        let strategy = self.strategy.take();
        if strategy.is_some() {
            drop(guard(|| drop(strategy)));
        }
    }
}

/// The host's services in the plugin: what is asked for often is fetched once a question, and only when it
/// is asked for.
struct Far<'a> {
    raw: ServicesMut<'a>,
    facts: OnceCell<Facts>,
    e820: OnceCell<Vec<E820Entry>>,
    nodes: OnceCell<Vec<Node>>,
}

impl<'a> Far<'a> {
    #[inline]
    const fn new(raw: ServicesMut<'a>) -> Self {
        Self { raw, facts: OnceCell::new(), e820: OnceCell::new(), nodes: OnceCell::new() }
    }

    /// The services, to be told something that may change the facts.
    fn tell(&mut self) -> &mut ServicesMut<'a> {
        self.facts.take();
        &mut self.raw
    }
}

fn list<T: Wire>(raw: RVec<T::Raw>) -> Vec<T> {
    raw.into_iter().map(read).collect()
}

impl Services for Far<'_> {
    fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| read(self.raw.facts()))
    }

    fn backend(&self) -> Backend {
        read(self.raw.backend())
    }

    fn memory(&self) -> &[PhysRange] {
        as_ranges(self.raw.memory().as_slice())
    }

    fn reserved(&self) -> &[PhysRange] {
        as_ranges(self.raw.reserved().as_slice())
    }

    fn e820(&self) -> &[E820Entry] {
        self.e820.get_or_init(|| list(self.raw.e820()))
    }

    fn nodes(&self) -> &[Node] {
        self.nodes.get_or_init(|| list(self.raw.nodes()))
    }

    fn mapped(&self) -> Vec<PfnRange> {
        list(self.raw.mapped())
    }

    fn find_in_range(&self, window: PhysRange, bytes: u64, align: u64) -> Option<PhysAddr> {
        self.raw.find_in_range(window.to_raw(), bytes, align).into_option().map(PhysAddr::new)
    }

    fn next_free(&self, start: PhysAddr, align: u64) -> Option<PhysRange> {
        self.raw.next_free(start.get(), align).into_option().map(read)
    }

    fn tables_needed(&self, range: &Range) -> u64 {
        self.raw.tables_needed(range.to_raw())
    }

    fn decline(&self, stage: Stage) {
        self.raw.decline(stage.number());
    }

    fn printk(&mut self, text: &str) {
        self.tell().printk(text.into());
    }

    fn reserve(&mut self, range: PhysRange, name: &str) {
        self.tell().reserve(range.to_raw(), name.into());
    }

    fn free(&mut self, range: PhysRange) {
        self.tell().free(range.to_raw());
    }

    fn set_rw(&mut self, pages: PfnRange) {
        self.tell().set_rw(pages.to_raw());
    }

    fn set_ro(&mut self, pages: PfnRange) {
        self.tell().set_ro(pages.to_raw());
    }

    fn set_max_pfn_mapped(&mut self, pfn: Pfn) {
        self.tell().set_max_pfn_mapped(pfn.get());
    }
}

/// An answer that is nothing but having returned.
impl Wire for () {
    type Raw = ();

    fn to_raw(&self) {}

    fn from_raw((): ()) -> Result<(), UnknownNumber> {
        Ok(())
    }
}

impl Wire for Option<PfnRange> {
    type Raw = ROption<Span>;

    #[inline]
    fn to_raw(&self) -> ROption<Span> {
        self.map(|pages| pages.to_raw()).into()
    }

    #[inline]
    fn from_raw(raw: ROption<Span>) -> Result<Self, UnknownNumber> {
        raw.into_option().map(PfnRange::from_raw).transpose()
    }
}
