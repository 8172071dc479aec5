// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab install`: the program and its strategies under a prefix.

use super::{CommandError, DONE, output};
use crate::install::{Installed, install as place};
use std::path::Path;

pub(super) fn install(prefix: &Path) -> Result<u8, CommandError> {
    let Installed { program, folder, n_strategies } = place(prefix)?;
    let mut said = format!("{}\n{}: {n_strategies} strategies\n", program.display(), folder.display());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bin = program.parent().unwrap_or(prefix);
    if !std::env::split_paths(&path).any(|folder| folder == bin) {
        said += &format!("{} is not in PATH\n", bin.display());
    }
    output::print(&said)?;
    Ok(DONE)
}
