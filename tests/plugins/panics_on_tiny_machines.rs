// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes for granted that a table has 512 entries.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Plan, Strategy, next_range};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {
    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        assert_eq!(cx.facts().geometry.entries(), 512, "a table has 512 entries");
        next_range(cx).map_or(Plan::Done, Plan::Map)
    }
}

export_strategy!(Fixture, summary = "panics where tables are small");
