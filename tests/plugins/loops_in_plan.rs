// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has no end at stage plan.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Plan, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn plan(&mut self, _: &mut Context<'_>) -> Plan {
        loop {
            std::hint::spin_loop();
        }
    }
}

export_strategy!(Fixture, summary = "loops at plan");
