// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints 64 MiB to each of standard output and standard error, and answers well.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Strategy};
use std::io::Write;

#[derive(Default)]
struct Floods;

impl Strategy for Floods {
    fn build_done(&mut self, _: &mut Context<'_>) {
        let line = [b'x'; 1 << 16];
        for _ in 0..1 << 10 {
            drop(std::io::stdout().write_all(&line));
            drop(std::io::stderr().write_all(&line));
        }
    }
}

export_strategy!(Floods, summary = "prints without measure");
