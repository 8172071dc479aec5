// SPDX-License-Identifier: MIT OR Apache-2.0
//! Leaves two processes behind that hold every descriptor open: one in the worker's group, one in a session
//! of its own. Answers well.

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, Strategy};
use std::process::Command;

#[derive(Default)]
struct Forks;

impl Strategy for Forks {
    fn build_done(&mut self, cx: &mut Context<'_>) {
        for (program, arguments) in [("/bin/sleep", ["1000"].as_slice()), ("/usr/bin/setsid", &["/bin/sleep", "1000"])]
        {
            if Command::new(program).args(arguments).spawn().is_err() {
                cx.printk("no child");
            }
        }
    }
}

export_strategy!(Forks, summary = "leaves processes behind");
