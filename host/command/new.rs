// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab new`: a strategy's crate in the workspace one stands in.

use super::{CommandError, DONE, output};
use crate::scaffold::{find_workspace, new_strategy};

pub(super) fn new(name: &str) -> Result<u8, CommandError> {
    let here = std::env::current_dir().map_err(CommandError::NoFolder)?;
    let report = new_strategy(name, &find_workspace(&here)?)?;
    output::print(&format!("{report}\n"))?;
    Ok(DONE)
}
