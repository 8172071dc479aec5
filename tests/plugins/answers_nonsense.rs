// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers with a range that ends before it starts, beyond all that tables can map.

use pgtlab_core::addr::PfnRange;
use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, PageSizes, Piece, Plan, Range, Strategy};

#[derive(Default)]
struct Nonsense;

impl Strategy for Nonsense {
    fn plan(&mut self, _: &mut Context<'_>) -> Plan {
        let pages = PfnRange::from_numbers(u64::MAX, 5);
        Plan::Map(Range::new(pages, vec![Piece { pages, sizes: PageSizes::all() }]))
    }
}

export_strategy!(Nonsense, summary = "answers nonsense");
