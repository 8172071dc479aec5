// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bar on a terminal while cells run.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};

/// A bar for this many cells; nothing is drawn unless standard error is a terminal.
pub(super) fn bar(n_cells: usize, is_quiet: bool) -> ProgressBar {
    if is_quiet || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(n_cells as u64), ProgressDrawTarget::stderr_with_hz(10));
    match ProgressStyle::with_template("{bar:40} {pos} of {len} cells") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
