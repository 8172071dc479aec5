// SPDX-License-Identifier: MIT OR Apache-2.0
//! Panics before it is a value.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::Strategy;

struct Panics;

impl Default for Panics {
    fn default() -> Self {
        panic!("not today");
    }
}

impl Strategy for Panics {}

export_strategy!(Panics, summary = "panics in Default");
