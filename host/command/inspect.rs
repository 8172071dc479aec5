// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab inspect`: what a plugin's file says.

use super::{CommandError, DONE, output};
use crate::discover::{self, DiscoverError};
use crate::inspect::Inspection;

/// It can be read and cannot be loaded.
const FALLS_SHORT: u8 = 1;

pub(super) fn inspect(typed: &str) -> Result<u8, CommandError> {
    let path = discover::plugin_file(typed)?;
    let found = Inspection::of(&path).map_err(DiscoverError::from)?;
    output::print(&found.to_string())?;
    Ok(if found.refusal.is_none() { DONE } else { FALLS_SHORT })
}
