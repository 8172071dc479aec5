// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab judge`: cells before judges that are not ours.

mod linux;
mod mmu;
mod xen;

use super::{CommandError, DIFFERENT, DONE, FAILED, UNAVAILABLE, warn};
use crate::cli::judge::{Cells, Judge};
use crate::cli::{Global, RecordFormat};
use crate::command::output::Output;
use crate::corpus::{self, Source};
use crate::judge::engine::{Unavailable, unless_required};
use crate::matrix::{self, Contestant, Place};
use crate::options;
use pgtlab_core::layout::Backend;

pub(super) fn judge(global: &Global, asked: &Judge) -> Result<u8, CommandError> {
    match asked {
        Judge::Mmu(asked) => mmu::mmu(global, asked),
        Judge::Xen(asked) => xen::xen(global, asked),
        Judge::Linux(asked) => linux::linux(global, asked),
    }
}

/// The cells that were typed: strategies, and machines where they are put.
struct Typed {
    contestants: Vec<Contestant>,
    sources: Vec<Source>,
    places: Vec<Place>,
}

impl Typed {
    /// On one back end, or each on its own.
    fn new(asked: &Cells, backend: Option<Backend>) -> Result<Self, CommandError> {
        let (strategies, layouts) = asked.named();
        let contestants = matrix::contestants(&strategies, &options::chosen(&asked.settings, &strategies)?)?;
        let sources = corpus::select(&layouts)?;
        let places = matrix::places(&sources, backend, &asked.what_if);
        Ok(Self { contestants, sources, places })
    }

    /// What came of them, if there is any on this back end.
    fn begin(&self, global: &Global, backend: Option<Backend>) -> Result<(), CommandError> {
        if let (true, Some(backend)) = (self.places.is_empty(), backend) {
            return Err(CommandError::NoCells { n_layouts: self.sources.len(), backend: backend.name() });
        }
        warn(global, &self.sources);
        Ok(())
    }
}

/// What a judge runs on, or nothing if it is missing and may be.
fn found<E>(engine: Result<E, Unavailable>, name: &str) -> Result<Option<E>, CommandError> {
    Ok(unless_required(engine, name, told)?)
}

fn told(missing: &Unavailable) {
    anstream::eprintln!("{missing}");
}

/// Writes a report, and gives the exit status.
fn conclude(
    output: Output,
    format: RecordFormat,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> Result<String, serde_json::Error>,
    agrees: Option<bool>,
) -> Result<u8, CommandError> {
    output.write(&match format {
        RecordFormat::Text => text(),
        RecordFormat::Json => json()?,
    })?;
    Ok(match agrees {
        Some(true) => DONE,
        Some(false) => DIFFERENT,
        None => FAILED,
    })
}
