// SPDX-License-Identifier: MIT OR Apache-2.0
//! Aborts at stage plan.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Plan, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn plan(&mut self, _: &mut Context<'_>) -> Plan {
        std::process::abort()
    }
}

export_strategy!(Fixture, summary = "aborts");
