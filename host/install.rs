// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts this program and the strategies it was built with under a prefix, from where it finds them itself.
//!
//! Each file is written aside and renamed into its place, so that a program that runs, or a strategy that a
//! worker has open, stays whole.

use crate::discover::{self, DiscoverError};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The program.
    pub program: PathBuf,
    /// The folder of the strategies.
    pub folder: PathBuf,
    /// How many there are.
    pub n_strategies: usize,
}

/// Why nothing, or not all, was installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The strategies are not there.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// A file cannot be written.
    #[error("failed to install {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Installs under `prefix`: the strategies first, then the program that expects them.
///
/// # Errors
/// A strategy that was not built; files that cannot be written.
pub fn install(prefix: &Path) -> Result<Installed, InstallError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Io { path, source }
    };
    let found = discover::in_tree()?;
    let this = std::env::current_exe().map_err(DiscoverError::NoFolder)?;
    let bin = prefix.join("bin");
    let folder = prefix.join("lib/pgtlab");
    for folder in [&bin, &folder] {
        fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    for strategy in &found {
        let to = folder.join(strategy.plugin.file_name().unwrap_or_default());
        copy(&strategy.plugin, &to, 0o644).map_err(failed(&to))?;
    }
    let program = bin.join("pgtlab");
    copy(&this, &program, 0o755).map_err(failed(&program))?;
    Ok(Installed { program, folder, n_strategies: found.len() })
}

fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let folder = to.parent().unwrap_or_else(|| Path::new("."));
    let mut beside =
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(mode)).prefix(".new-").tempfile_in(folder)?;
    io::copy(&mut File::open(from)?, &mut beside)?;
    beside.persist(to)?;
    Ok(())
}
