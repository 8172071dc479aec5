// SPDX-License-Identifier: MIT OR Apache-2.0
//! All defaults: what an author's crate looks like at the least.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::Strategy;

#[derive(Default)]
struct Sample;

impl Strategy for Sample {}

export_strategy!(
    Sample,
    summary = "answers every question with the default",
    aliases = ["least", "\"quoted\""],
    stages = []
);
