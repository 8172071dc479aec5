// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers everything, and panics when it is dropped.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::Strategy;

#[derive(Default)]
struct Panics;

impl Strategy for Panics {}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("not without a fight");
    }
}

export_strategy!(Panics, summary = "panics in Drop");
