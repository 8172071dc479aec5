// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab completions` and `pgtlab man`.

use super::{CommandError, DONE, output};
use crate::cli::Cli;
use clap::CommandFactory;
use clap_complete::Shell;

pub(super) fn completions(shell: Shell) -> Result<u8, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pgtlab", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(DONE)
}

pub(super) fn manual_page() -> Result<u8, CommandError> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|source| CommandError::Output { place: "the manual page".to_owned(), source })?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(DONE)
}
