// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab new`: a strategy's crate, in the workspace one stands in or as a repository of its own.

use super::{CommandError, DONE, output};
use crate::scaffold::{find_workspace, new_repository, new_strategy};
use std::path::Path;

pub(super) fn new(name: &str, out: Option<&Path>, like: Option<&str>) -> Result<u8, CommandError> {
    let report = if let Some(out) = out {
        new_repository(name, out, like)?
    } else {
        let here = std::env::current_dir().map_err(CommandError::NoFolder)?;
        new_strategy(name, &find_workspace(&here)?, like)?
    };
    output::print(&format!("{report}\n"))?;
    Ok(DONE)
}
