// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waits for ever, without using the processor.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Plan, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn plan(&mut self, _: &mut Context<'_>) -> Plan {
        loop {
            std::thread::park();
        }
    }
}

export_strategy!(Fixture, summary = "sleeps at plan");
