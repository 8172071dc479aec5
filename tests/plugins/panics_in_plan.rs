// SPDX-License-Identifier: MIT OR Apache-2.0
//! Panics at stage plan.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Plan, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn plan(&mut self, _: &mut Context<'_>) -> Plan {
        panic!("no plan")
    }
}

export_strategy!(Fixture, summary = "panics at plan");
