// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers otherwise in every process, and always alike in one.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Boot, Context, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        cx.printk(&format!("process {}", std::process::id()));
        Boot::new(cx.facts())
    }
}

export_strategy!(Fixture, summary = "prints the number of its process");
