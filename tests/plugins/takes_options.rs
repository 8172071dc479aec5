// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints the values of its options at boot.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Boot, Context, OptionSpec, Options, Strategy};

#[derive(Default)]
struct TakesOptions {
    said: String,
}

impl Strategy for TakesOptions {
    fn configure(&mut self, options: &Options) {
        self.said = format!("n_pages {:x}, is_low {}", options.number("n_pages"), options.flag("is_low"));
    }

    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        cx.printk(&self.said);
        Boot::new(cx.facts())
    }
}

export_strategy!(
    TakesOptions,
    summary = "prints the values of its options",
    stages = [Boot],
    options = [
        OptionSpec::number("n_pages", "0x20", "how many pages it says"),
        OptionSpec::flag("is_low", "false", "whether it says low"),
    ],
);
