// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a strategy asks for and does during a boot, seen between it and the builder.
//!
//! [`Audited`] stands around a decider. Each question goes to the strategy through services that write down
//! what it does with them; where it may act it is also put to the defaults, whose acts go nowhere, so that the
//! stages which a strategy answers by itself are known.

use super::checks::{Check, Stages};
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::decide::{Decider, StrategyFault};
use crate::e820::E820Entry;
use crate::layout::{Backend, Node};
use crate::memblock::Memblock;
use crate::strategy::{
    Access, Boot, Context, Facts, LeafQuestion, Page, PageQuestion, PgtBuf, Plan, Range, RangeDone, Services, Stage,
    Strategy, TableSpace, WriteQuestion,
};

/// Something that a strategy asks the machine to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    Printk(String),
    Reserve(PhysRange),
    Free(PhysRange),
    SetRw(PfnRange),
    SetRo(PfnRange),
    SetMaxPfnMapped(Pfn),
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The stages it was asked at.
    pub(super) asked: Stages,
    /// The stages at which it once answered, or acted, otherwise than the defaults.
    pub(super) own: Stages,
    /// How often it was asked for a range.
    pub(super) n_plans: u64,
    /// What it must not have done: the check, and what it was. The first of each kind at a stage.
    pub(super) strays: Vec<(Check, String)>,
    /// The bytes that it reserved, promised or took.
    owned: Memblock,
}

impl Ledger {
    fn new() -> Self {
        Self {
            asked: Stages::default(),
            own: Stages::default(),
            n_plans: 0,
            strays: Vec::new(),
            owned: Memblock::new(1),
        }
    }

    fn own_pages(&mut self, cx: &Context<'_>, pages: PfnRange) {
        self.owned.reserve(cx.facts().geometry.bytes(pages));
    }

    fn stray(&mut self, check: Check, stage: Stage, what: &str, place: &str) {
        let text = format!("{what}{place}, at stage {}", stage.name());
        // One of a kind is enough to find it.
        if !self.strays.iter().any(|(known, said)| *known == check && said.starts_with(what)) {
            self.strays.push((check, text));
        }
    }

    /// Looks at an act before it is done.
    fn audit(&mut self, stage: Stage, cx: &Context<'_>, act: &Act) {
        let bytes = |range: PhysRange| format!("[{:x}, {:x})", range.start, range.end);
        match act {
            Act::Printk(text) => {
                if let Some(wrong) = text.chars().find(|c| c.is_control()) {
                    self.stray(Check::Log, stage, "prints a control character", &format!(" ({wrong:?}) in {text:?}"));
                }
            }
            Act::Reserve(range) => self.own_new(cx, *range),
            Act::Free(range) => {
                if !range.is_empty() && !self.owned.is_reserved(*range) {
                    self.stray(Check::Ownership, stage, "frees bytes that are not its own: ", &bytes(*range));
                }
            }
            Act::SetRw(pages) | Act::SetRo(pages) => {
                let what = match act {
                    Act::SetRw(_) => "makes pages writable that are not its own: ",
                    _ => "makes pages read-only that are not its own: ",
                };
                if !pages.is_empty() && !self.owned.is_reserved(cx.facts().geometry.bytes(*pages)) {
                    let place = format!("pages [{:x}, {:x})", pages.start, pages.end);
                    self.stray(Check::Ownership, stage, what, &place);
                }
            }
            Act::SetMaxPfnMapped(_) => {}
        }
    }

    /// What it reserves becomes its own as far as nobody else had reserved it.
    fn own_new(&mut self, cx: &Context<'_>, range: PhysRange) {
        let mut at = range.start;
        for other in cx.reserved().iter().filter(|other| other.overlaps(range)) {
            self.owned.reserve(PhysRange::new(at, other.start));
            at = at.max(other.end);
        }
        self.owned.reserve(PhysRange::new(at, range.end));
    }
}

/// A decider whose every question and act is written down.
#[derive(Debug)]
pub(super) struct Audited<D> {
    pub(super) decider: D,
    pub(super) ledger: Ledger,
}

/// Answers nothing by itself.
struct Defaults;

impl Strategy for Defaults {}

impl<D: Decider> Audited<D> {
    pub(super) fn new(decider: D) -> Self {
        Self { decider, ledger: Ledger::new() }
    }

    fn begin(&mut self, stage: Stage) {
        self.ledger.asked.insert(stage);
    }

    /// Puts a question at which a strategy may act.
    fn ask<T: PartialEq>(
        &mut self,
        stage: Stage,
        cx: &mut Context<'_>,
        default: impl FnOnce(&mut Context<'_>) -> T,
        question: impl FnOnce(&mut D, &mut Context<'_>) -> Result<T, StrategyFault>,
    ) -> Result<T, StrategyFault> {
        self.begin(stage);
        let expected = (!self.ledger.own.contains(stage)).then(|| {
            let mut dry = Desk::new(cx, stage, None);
            let answer = default(&mut Context::new(&mut dry));
            (answer, dry.acts)
        });
        let pool = cx.facts().pool.pages();
        self.ledger.own_pages(cx, pool);
        let mut desk = Desk::new(cx, stage, Some(&mut self.ledger));
        let answer = question(&mut self.decider, &mut Context::new(&mut desk));
        let acts = desk.acts;
        let differs = |(default, expected)| answer.as_ref().is_ok_and(|answer| default != *answer) || expected != acts;
        if answer.is_err() || expected.is_some_and(differs) {
            self.ledger.own.insert(stage);
        }
        answer
    }
}

impl<D: Decider> Decider for Audited<D> {
    fn boot(&mut self, cx: &mut Context<'_>) -> Result<Boot, StrategyFault> {
        self.ask(Stage::Boot, cx, |cx| Strategy::boot(&mut Defaults, cx), |decider, cx| decider.boot(cx))
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Result<Plan, StrategyFault> {
        self.ledger.n_plans += 1;
        self.ask(Stage::Plan, cx, |cx| Strategy::plan(&mut Defaults, cx), |decider, cx| decider.plan(cx))
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> Result<TableSpace, StrategyFault> {
        let default = |cx: &mut Context<'_>| Strategy::table_space(&mut Defaults, cx, range);
        let answer = self.ask(Stage::TableSpace, cx, default, |decider, cx| decider.table_space(cx, range))?;
        if let TableSpace::Buffer(pages) = &answer {
            self.ledger.own_pages(cx, *pages);
        }
        Ok(answer)
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Result<Page, StrategyFault> {
        let default = |cx: &mut Context<'_>| Strategy::page(&mut Defaults, cx, question);
        let answer = self.ask(Stage::Page, cx, default, |decider, cx| decider.page(cx, question))?;
        if let Page::Take(page) | Page::TakeAndReserve(page) = &answer {
            self.ledger.own_pages(cx, PfnRange::new(*page, page.saturating_add(1)));
        }
        Ok(answer)
    }

    fn access(&mut self, cx: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Result<Access, StrategyFault> {
        self.begin(Stage::Access);
        let answer = self.decider.access(cx, table, is_new, buf)?;
        if answer != Access::DEFAULT {
            self.ledger.own.insert(Stage::Access);
        }
        Ok(answer)
    }

    fn leaf(&mut self, cx: &Context<'_>, question: &LeafQuestion) -> Result<Option<PfnRange>, StrategyFault> {
        self.begin(Stage::Leaf);
        let answer = self.decider.leaf(cx, question)?;
        if answer.is_some() {
            self.ledger.own.insert(Stage::Leaf);
        }
        Ok(answer)
    }

    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) -> Result<(), StrategyFault> {
        let default = |cx: &mut Context<'_>| Strategy::write(&mut Defaults, cx, question);
        self.ask(Stage::Write, cx, default, |decider, cx| decider.write(cx, question))
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) -> Result<(), StrategyFault> {
        let default = |cx: &mut Context<'_>| Strategy::range_done(&mut Defaults, cx, done);
        self.ask(Stage::RangeDone, cx, default, |decider, cx| decider.range_done(cx, done))
    }

    fn build_done(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        let default = |cx: &mut Context<'_>| Strategy::build_done(&mut Defaults, cx);
        self.ask(Stage::BuildDone, cx, default, |decider, cx| decider.build_done(cx))
    }

    fn allocator_up(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        let default = |cx: &mut Context<'_>| Strategy::allocator_up(&mut Defaults, cx);
        self.ask(Stage::AllocatorUp, cx, default, |decider, cx| decider.allocator_up(cx))
    }
}

/// The services of a question: those that look go through; those that act go through to the builder if there
/// is a ledger to write them in, else nowhere.
struct Desk<'a, 'b, 'l> {
    cx: &'a mut Context<'b>,
    stage: Stage,
    ledger: Option<&'l mut Ledger>,
    acts: Vec<Act>,
}

impl<'a, 'b, 'l> Desk<'a, 'b, 'l> {
    const fn new(cx: &'a mut Context<'b>, stage: Stage, ledger: Option<&'l mut Ledger>) -> Self {
        Self { cx, stage, ledger, acts: Vec::new() }
    }

    fn act(&mut self, act: Act, does: impl FnOnce(&mut Context<'b>)) {
        if let Some(ledger) = &mut self.ledger {
            ledger.audit(self.stage, self.cx, &act);
            does(self.cx);
        }
        self.acts.push(act);
    }
}

impl Services for Desk<'_, '_, '_> {
    fn facts(&self) -> &Facts {
        self.cx.facts()
    }

    fn backend(&self) -> Backend {
        self.cx.backend()
    }

    fn memory(&self) -> &[PhysRange] {
        self.cx.memory()
    }

    fn reserved(&self) -> &[PhysRange] {
        self.cx.reserved()
    }

    fn e820(&self) -> &[E820Entry] {
        self.cx.e820()
    }

    fn nodes(&self) -> &[Node] {
        self.cx.nodes()
    }

    fn mapped(&self) -> Vec<PfnRange> {
        self.cx.mapped()
    }

    fn find_in_range(&self, window: PhysRange, bytes: u64, align: u64) -> Option<PhysAddr> {
        self.cx.find_in_range(window, bytes, align)
    }

    fn next_free(&self, start: PhysAddr, align: u64) -> Option<PhysRange> {
        self.cx.next_free(start, align)
    }

    fn tables_needed(&self, range: &Range) -> u64 {
        self.cx.tables_needed(range)
    }

    fn decline(&self, stage: Stage) {
        if self.ledger.is_some() {
            self.cx.decline(stage);
        }
    }

    fn printk(&mut self, text: &str) {
        self.act(Act::Printk(text.to_owned()), |cx| cx.printk(text));
    }

    fn reserve(&mut self, range: PhysRange, name: &str) {
        self.act(Act::Reserve(range), |cx| cx.reserve(range, name));
    }

    fn free(&mut self, range: PhysRange) {
        self.act(Act::Free(range), |cx| cx.free(range));
    }

    fn set_rw(&mut self, pages: PfnRange) {
        self.act(Act::SetRw(pages), |cx| cx.set_rw(pages));
    }

    fn set_ro(&mut self, pages: PfnRange) {
        self.act(Act::SetRo(pages), |cx| cx.set_ro(pages));
    }

    fn set_max_pfn_mapped(&mut self, pfn: Pfn) {
        self.act(Act::SetMaxPfnMapped(pfn), |cx| cx.set_max_pfn_mapped(pfn));
    }
}
