// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives memory back that was never its own.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn build_done(&mut self, cx: &mut Context<'_>) {
        let kernel = cx.facts().kernel;
        cx.free(kernel);
    }
}

export_strategy!(Fixture, summary = "frees the kernel's image");
