// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab doctor`: what holds plugins in here, and what the machine lacks.

use super::{CommandError, DONE, limits, output};
use crate::cli::Global;
use crate::doctor;

pub(super) fn doctor(global: &Global) -> Result<u8, CommandError> {
    output::print(&doctor::report(&limits(global))?.to_string())?;
    Ok(DONE)
}
