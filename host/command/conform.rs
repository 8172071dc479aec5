// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab conform`: a built plugin held to the conformance kit.

use super::{CommandError, DONE, jobs, limits, output, progress};
use crate::cli::{Conform, Global, RecordFormat};
use crate::conform::{Kit, typed};
use crate::discover;
use crate::report::json;

/// The plugin falls short.
const FALLS_SHORT: u8 = 1;

pub(super) fn conform(global: &Global, asked: &Conform) -> Result<u8, CommandError> {
    let plugin = discover::plugin_file(&asked.plugin)?;
    let kit = Kit {
        typed: typed(&asked.plugin, &plugin),
        plugin,
        layouts: asked.layouts.clone(),
        limits: limits(global),
        jobs: jobs(global),
    };
    let bar = progress::bar(0, "boots", global.quiet);
    let report = kit.examine(&|n, of| {
        bar.set_length(of);
        bar.set_position(n);
    })?;
    bar.finish_and_clear();
    match asked.format {
        RecordFormat::Text => output::print(&format!("conform {}\n\n{report}", kit.typed))?,
        RecordFormat::Json => output::print(&json::render_checks(&report)?)?,
    }
    Ok(if report.falls_short() { FALLS_SHORT } else { DONE })
}
