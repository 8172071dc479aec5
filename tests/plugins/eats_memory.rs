// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes memory without end at stage table space.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Range, Strategy, TableSpace};

/// 64 MiB at a time, and touched.
const BLOCK: usize = 64 << 20;

#[derive(Default)]
struct Eats(Vec<Vec<u8>>);

impl Strategy for Eats {
    fn table_space(&mut self, _: &mut Context<'_>, _: &Range) -> TableSpace {
        loop {
            self.0.push(vec![1; BLOCK]);
        }
    }
}

export_strategy!(Eats, summary = "takes all memory");
