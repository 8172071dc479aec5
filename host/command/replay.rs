// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab replay`: a boot log's own lines beside the predicted ones.

use super::{CommandError, DIFFERENT, DONE, output};
use crate::cli::{Global, RecordFormat, Replay};
use crate::{corpus, replay as report};
use pgtlab_core::replay as model;

pub(super) fn replay(global: &Global, asked: &Replay) -> Result<u8, CommandError> {
    let (name, text) = corpus::log_text(&asked.log)?;
    let replayed = model::replay(&text).map_err(|fault| CommandError::Replay { place: name.clone(), fault })?;
    let report = match asked.format {
        RecordFormat::Text => report::text(&name, &replayed, global.quiet),
        RecordFormat::Json => report::json(&name, &replayed)?,
    };
    output::print(&report)?;
    Ok(if replayed.n_differing() == 0 { DONE } else { DIFFERENT })
}
