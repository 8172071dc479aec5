// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strategies that are not of this tree: from `PGTLAB_STRATEGY_PATH`, then from the user's data folder.
//!
//! What somebody named himself must be right: a file or folder of the variable that is not there, or a file of
//! it that is no plugin, is an error. A library in one of the folders that is no plugin is left out and told
//! of: one plugin that is too old is no reason to run none.

use super::{DiscoverError, Strategy, describe, is_same_file};
use crate::load::LoadError;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The variable: folders and files, separated by colons.
pub const VARIABLE: &str = "PGTLAB_STRATEGY_PATH";

/// The folder in the user's data folder.
const IN_DATA_FOLDER: &str = "pgtlab/strategies";

/// Where a strategy was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// It was built, or installed, with this program.
    #[default]
    Tree,
    /// Its path was typed.
    Typed,
    /// `PGTLAB_STRATEGY_PATH`.
    Variable,
    /// The user's data folder.
    User,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tree => "this pgtlab",
            Self::Typed => "the command line",
            Self::Variable => VARIABLE,
            Self::User => "your data folder",
        })
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Search {
    /// The strategies, in the order of the places and within a folder by file name.
    pub strategies: Vec<Strategy>,
    /// The libraries in the folders that cannot be used.
    pub left_out: Vec<LoadError>,
}

/// Looks in all places.
///
/// # Errors
/// What was named in the variable is not there or no plugin; a folder cannot be read.
pub fn search() -> Result<Search, DiscoverError> {
    search_in(env::var_os(VARIABLE).as_deref(), data_folder().as_deref())
}

/// As the XDG Base Directory Specification has it: a relative `XDG_DATA_HOME` is none.
fn data_folder() -> Option<PathBuf> {
    let set = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    set.or_else(|| Some(env::home_dir()?.join(".local/share")))
}

fn search_in(variable: Option<&OsStr>, data_folder: Option<&Path>) -> Result<Search, DiscoverError> {
    let mut search = Search::default();
    for place in variable.iter().flat_map(env::split_paths).filter(|place| !place.as_os_str().is_empty()) {
        let metadata = fs::metadata(&place).map_err(failed(&place, VARIABLE))?;
        if metadata.is_dir() {
            search.look_into(&place, Origin::Variable, VARIABLE)?;
        } else {
            search.add(Strategy { origin: Origin::Variable, ..describe(place)? });
        }
    }
    if let Some(folder) = data_folder.map(|folder| folder.join(IN_DATA_FOLDER)).filter(|folder| folder.exists()) {
        search.look_into(&folder, Origin::User, "your data folder")?;
    }
    Ok(search)
}

fn failed(path: &Path, place: &'static str) -> impl Fn(io::Error) -> DiscoverError {
    let path = path.to_owned();
    move |source| DiscoverError::Place { path: path.clone(), place, source }
}

impl Search {
    fn look_into(&mut self, folder: &Path, origin: Origin, place: &'static str) -> Result<(), DiscoverError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder, place))? {
            files.push(entry.map_err(failed(folder, place))?.path());
        }
        files.sort();
        for file in files.into_iter().filter(|file| file.extension() == Some(OsStr::new("so"))) {
            match describe(file) {
                Ok(strategy) => self.add(Strategy { origin, ..strategy }),
                Err(error) => self.left_out.push(error),
            }
        }
        Ok(())
    }

    /// One file may be found in two ways.
    fn add(&mut self, strategy: Strategy) {
        if !self.strategies.iter().any(|other| is_same_file(&other.plugin, &strategy.plugin)) {
            self.strategies.push(strategy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_must_be_there_and_what_is_not_named_need_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let none = folder.path().join("none");
        assert!(search_in(None, Some(&none)).is_ok_and(|found| found.strategies.is_empty()));
        assert!(search_in(Some(OsStr::new("::")), None).is_ok_and(|found| found.strategies.is_empty()));
        let error = search_in(Some(none.as_os_str()), None).map(|_| ()).map_err(|error| error.to_string());
        let expected =
            format!("cannot read {} of PGTLAB_STRATEGY_PATH: No such file or directory (os error 2)", none.display());
        assert_eq!(error, Err(expected));
    }

    #[test]
    fn a_library_in_a_folder_that_is_no_plugin_is_left_out_and_a_named_one_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let strategies = folder.path().join(IN_DATA_FOLDER);
        fs::create_dir_all(&strategies).expect("a folder");
        for file in ["libb.so", "liba.so", "notes.txt"] {
            fs::write(strategies.join(file), "no plugin").expect("a file");
        }
        let found = search_in(None, Some(folder.path())).expect("found");
        let left_out: Vec<_> = found.left_out.iter().map(|error| error.path.file_name()).collect();
        assert_eq!(left_out, [Some(OsStr::new("liba.so")), Some(OsStr::new("libb.so"))]);
        let named = search_in(Some(strategies.join("liba.so").as_os_str()), None);
        assert!(named.is_err_and(|error| error.to_string().contains("liba.so: is no shared library")));
    }
}
