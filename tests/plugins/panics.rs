// SPDX-License-Identifier: MIT OR Apache-2.0
//! Panics, where the layout's name says so.

use pgtlab_core::addr::PfnRange;
use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, LeafQuestion, Strategy};

#[derive(Default)]
struct Panics;

impl Strategy for Panics {
    fn leaf(&mut self, _: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        panic!("no leaf for {:x}", question.pages.start);
    }
}

export_strategy!(Panics, summary = "panics at the first leaf", aliases = ["panicker", "\"quoted\""]);
