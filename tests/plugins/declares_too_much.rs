// SPDX-License-Identifier: MIT OR Apache-2.0
//! Declares a stage that it leaves at its default, and does not declare the one that it answers.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn build_done(&mut self, cx: &mut Context<'_>) {
        cx.printk("done");
    }
}

export_strategy!(Fixture, summary = "declares another stage than it answers", stages = [Plan]);
