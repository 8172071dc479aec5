// SPDX-License-Identifier: MIT OR Apache-2.0
//! Declares an option whose default is no value of its kind.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{OptionSpec, Strategy};

#[derive(Default)]
struct Fixture;

impl Strategy for Fixture {}

export_strategy!(
    Fixture,
    summary = "has an option that cannot be",
    options = [OptionSpec::number("n_pages", "many", "how many pages")],
);
