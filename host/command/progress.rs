// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bar on a terminal while cells, or machines, are run.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};

/// A bar for so many of `what`; nothing is drawn unless standard error is a terminal.
pub(super) fn bar(n: u64, what: &str, is_quiet: bool) -> ProgressBar {
    if is_quiet || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(n), ProgressDrawTarget::stderr_with_hz(10));
    match ProgressStyle::with_template(&format!("{{bar:40}} {{human_pos}} of {{human_len}} {what}")) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
