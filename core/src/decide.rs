// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who answers the builder: a strategy in this process, or one behind a plugin's interface.
//!
//! The builder asks a [`Decider`]; every [`Strategy`] is one whose answers never fail.

use crate::addr::{Pfn, PfnRange};
use crate::strategy::{
    Access, Boot, Context, LeafQuestion, Page, PageQuestion, PgtBuf, Plan, Range, RangeDone, Stage, Strategy,
    TableSpace, WriteQuestion,
};

/// A strategy's failure, as opposed to a failure of its fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at stage {}: {text}", stage.name())]
pub struct StrategyFault {
    /// The stage at which it failed.
    pub stage: Stage,
    /// What happened.
    pub text: String,
}

/// Answers that may fail.
#[expect(clippy::missing_errors_doc, reason = "every method fails in the one way the type names")]
pub trait Decider {
    /// See [`Strategy::boot`].
    fn boot(&mut self, cx: &mut Context<'_>) -> Result<Boot, StrategyFault>;
    /// See [`Strategy::plan`].
    fn plan(&mut self, cx: &mut Context<'_>) -> Result<Plan, StrategyFault>;
    /// See [`Strategy::table_space`].
    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> Result<TableSpace, StrategyFault>;
    /// See [`Strategy::page`].
    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Result<Page, StrategyFault>;
    /// See [`Strategy::access`].
    fn access(&mut self, cx: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Result<Access, StrategyFault>;
    /// See [`Strategy::leaf`].
    fn leaf(&mut self, cx: &Context<'_>, question: &LeafQuestion) -> Result<Option<PfnRange>, StrategyFault>;
    /// See [`Strategy::write`].
    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) -> Result<(), StrategyFault>;
    /// See [`Strategy::range_done`].
    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) -> Result<(), StrategyFault>;
    /// See [`Strategy::build_done`].
    fn build_done(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault>;
    /// See [`Strategy::allocator_up`].
    fn allocator_up(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault>;
}

impl<S: Strategy> Decider for S {
    fn boot(&mut self, cx: &mut Context<'_>) -> Result<Boot, StrategyFault> {
        Ok(Strategy::boot(self, cx))
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Result<Plan, StrategyFault> {
        Ok(Strategy::plan(self, cx))
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> Result<TableSpace, StrategyFault> {
        Ok(Strategy::table_space(self, cx, range))
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Result<Page, StrategyFault> {
        Ok(Strategy::page(self, cx, question))
    }

    fn access(&mut self, cx: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Result<Access, StrategyFault> {
        Ok(Strategy::access(self, cx, table, is_new, buf))
    }

    fn leaf(&mut self, cx: &Context<'_>, question: &LeafQuestion) -> Result<Option<PfnRange>, StrategyFault> {
        Ok(Strategy::leaf(self, cx, question))
    }

    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) -> Result<(), StrategyFault> {
        Strategy::write(self, cx, question);
        Ok(())
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) -> Result<(), StrategyFault> {
        Strategy::range_done(self, cx, done);
        Ok(())
    }

    fn build_done(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        Strategy::build_done(self, cx);
        Ok(())
    }

    fn allocator_up(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        Strategy::allocator_up(self, cx);
        Ok(())
    }
}
