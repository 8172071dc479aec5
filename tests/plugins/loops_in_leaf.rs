// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has no end at stage leaf.

use pgtlab_core::addr::PfnRange;
use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, LeafQuestion, Strategy};

#[derive(Default)]
struct Loops;

impl Strategy for Loops {
    fn leaf(&mut self, cx: &Context<'_>, _: &LeafQuestion) -> Option<PfnRange> {
        loop {
            std::hint::black_box(cx.reserved());
        }
    }
}

export_strategy!(Loops, summary = "loops at leaf");
