// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding strategies: those of this tree by the list the build recorded, others by path, from
//! `PGTLAB_STRATEGY_PATH` and from the user's data folder (`search`).
//!
//! The folder of this tree's plugins is never searched: a strategy that was removed leaves its library in the
//! target folder for ever. A file that the list names and that is not there is an error, not a shorter table.

mod nearest;
mod search;

pub(crate) use nearest::{did_you_mean, nearest};
pub use search::{Origin, Search, VARIABLE, search};

use crate::load::{self, Description, LoadError};
use globset::GlobBuilder;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The plugins of this tree: package and file name, ascending.
const IN_TREE: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/strategies.rs"));

/// Where plugins are installed, seen from the program's folder.
const INSTALLED: &str = "../lib/pgtlab";

/// A plugin of this tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its package.
    pub package: &'static str,
    /// Its file.
    pub plugin: PathBuf,
}

/// A strategy that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// Its name: its crate's.
    pub name: String,
    /// The plugin's file.
    pub plugin: PathBuf,
    /// What the plugin says of itself.
    pub description: Description,
    /// Where it was found.
    pub origin: Origin,
}

/// Why strategies cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// This program's own file is not known.
    #[error("failed to find this program's folder: {0}")]
    NoFolder(std::io::Error),
    /// A plugin of this tree is not there.
    #[error("the plugin of strategy {package} is missing: no {file} in {}\nbuild it: cargo build", list(folders))]
    Missing {
        /// Its package.
        package: &'static str,
        /// Its file's name.
        file: &'static str,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// A place where strategies are looked for cannot be read.
    #[error("cannot read {} of {place}: {source}", path.display())]
    Place {
        /// The file or folder.
        path: PathBuf,
        /// What names it.
        place: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is no plugin.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Two plugins answer to one name.
    #[error("two strategies are called {name}: {} and {}", one.display(), other.display())]
    Ambiguous {
        /// The name.
        name: String,
        /// The one file.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// Nobody answers to this name.
    #[error(
        "no strategy is called {name}{}; there are {known}{}",
        did_you_mean(suggestion.as_deref()),
        left_out.iter().map(|error| format!("\nleft out: {error}")).collect::<String>()
    )]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name that is there.
        suggestion: Option<String>,
        /// All names.
        known: String,
        /// Libraries that cannot be used; it may be one of them.
        left_out: Vec<LoadError>,
    },
    /// No name matches.
    #[error("no strategy matches {pattern}; there are {known}")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// All names.
        known: String,
    },
    /// A pattern is none.
    #[error("{0}")]
    BadPattern(globset::Error),
}

fn list(folders: &[PathBuf]) -> String {
    let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    shown.join(", ")
}

/// The plugins of this tree, ascending by package.
///
/// # Errors
/// [`DiscoverError::Missing`] for the first that is not there.
pub fn in_tree() -> Result<Vec<Found>, DiscoverError> {
    let this = std::env::current_exe().map_err(DiscoverError::NoFolder)?;
    let folders = folders(this.parent().unwrap_or_else(|| Path::new(".")));
    let find = |&(package, file): &(&'static str, &'static str)| {
        let mut paths = folders.iter().map(|folder| folder.join(file));
        match paths.find(|path| path.is_file()) {
            Some(plugin) => Ok(Found { package, plugin }),
            None => Err(DiscoverError::Missing { package, file, folders: folders.clone() }),
        }
    };
    IN_TREE.iter().map(find).collect()
}

/// Where the plugins of this tree may lie, the likeliest first. Cargo builds them into `deps` and links
/// only some of them beside the program; a test or a bench lies in `deps` itself.
fn folders(of_program: &Path) -> Vec<PathBuf> {
    let deps = of_program.join("deps");
    let is_test = of_program.ends_with("deps");
    let mut folders = Vec::new();
    if !is_test && deps.is_dir() {
        folders.push(deps);
    }
    folders.push(of_program.to_owned());
    if !is_test {
        folders.push(of_program.join(INSTALLED));
    }
    folders
}

/// The strategies of this tree.
///
/// # Errors
/// One is not there, or no plugin.
pub fn of_tree() -> Result<Vec<Strategy>, DiscoverError> {
    in_tree()?.into_iter().map(|found| Ok(describe(found.plugin)?)).collect()
}

/// The strategies that are meant: each pattern is a name, an alias, a glob over both, or the path of a
/// plugin (it has a `/` or ends in `.so`). No pattern means all of this tree and those that [`search`] finds. In
/// the order of the patterns, and within a glob by name; what is named twice comes once. Where only paths are
/// typed nothing is searched.
///
/// # Errors
/// A pattern that means nothing, a file that is no plugin, two strategies of one name.
pub fn resolve(patterns: &[String]) -> Result<Vec<Strategy>, DiscoverError> {
    let mut resolved = resolve_usable(patterns)?;
    match resolved.refused.is_empty() {
        true => Ok(resolved.strategies),
        false => Err(resolved.refused.remove(0).into()),
    }
}

/// What patterns mean, where files that are no plugins do not stand in the way of the rest.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The strategies that can be run.
    pub strategies: Vec<Strategy>,
    /// Why the others cannot: one for each path that was typed and is none of a plugin.
    pub refused: Vec<LoadError>,
}

/// The same as [`resolve`], with the files that were typed and are no plugins beside the strategies.
///
/// # Errors
/// A pattern that means nothing, two strategies of one name.
pub fn resolve_usable(patterns: &[String]) -> Result<Resolved, DiscoverError> {
    let mut refused = Vec::new();
    let mut known = Vec::new();
    let mut left_out = Vec::new();
    if is_searched(patterns) {
        known = of_tree()?;
        let found = search()?;
        left_out = found.left_out;
        known.extend(found.strategies);
    }
    let n_named = known.len();
    for path in patterns.iter().filter(|pattern| is_path(pattern)) {
        let strategy = match describe(PathBuf::from(path)) {
            Ok(strategy) => Strategy { origin: Origin::Typed, ..strategy },
            Err(error) => {
                refused.push(error);
                continue;
            }
        };
        if !known.iter().any(|other: &Strategy| is_same_file(&other.plugin, &strategy.plugin)) {
            known.push(strategy);
        }
    }
    check_names(&known)?;
    if patterns.is_empty() {
        return Ok(Resolved { strategies: known, refused });
    }
    let mut meant: Vec<Strategy> = Vec::new();
    for pattern in patterns {
        let strategies = if is_path(pattern) {
            known.iter().filter(|strategy| is_same_file(&strategy.plugin, Path::new(pattern))).collect()
        } else {
            named(&known[..n_named], pattern).map_err(|error| error.with(&mut left_out))?
        };
        for strategy in strategies {
            if !meant.contains(strategy) {
                meant.push(strategy.clone());
            }
        }
    }
    Ok(Resolved { strategies: meant, refused })
}

/// Whether strategies are looked for by name.
#[must_use]
pub fn is_searched(patterns: &[String]) -> bool {
    patterns.is_empty() || !patterns.iter().all(|pattern| is_path(pattern))
}

impl DiscoverError {
    /// The same with the libraries that cannot be used: an unknown name may be that of one of them.
    fn with(self, found: &mut Vec<LoadError>) -> Self {
        match self {
            Self::Unknown { name, suggestion, known, .. } => {
                Self::Unknown { name, suggestion, known, left_out: std::mem::take(found) }
            }
            other => other,
        }
    }
}

/// Whether a plugin's path was typed, and no name.
fn is_path(typed: &str) -> bool {
    typed.contains('/') || typed.ends_with(".so")
}

/// The file that is meant by a path or by a strategy's name. Whether it is a plugin is not looked at.
///
/// # Errors
/// No strategy, or more than one, has this name.
pub fn plugin_file(typed: &str) -> Result<PathBuf, DiscoverError> {
    if is_path(typed) || Path::new(typed).is_file() {
        return Ok(PathBuf::from(typed));
    }
    let mut meant = resolve(&[typed.to_owned()])?;
    match meant.len() {
        1 => Ok(meant.remove(0).plugin),
        _ => Err(unknown(&meant, typed)),
    }
}

fn unknown(known: &[Strategy], typed: &str) -> DiscoverError {
    DiscoverError::Unknown {
        name: typed.to_owned(),
        suggestion: nearest(known.iter().flat_map(names), typed),
        known: known.iter().map(|strategy| strategy.name.as_str()).collect::<Vec<_>>().join(", "),
        left_out: Vec::new(),
    }
}

fn describe(plugin: PathBuf) -> Result<Strategy, LoadError> {
    let description = load::inspect(&plugin)?;
    load::check_interface(&plugin, &description)?;
    Ok(Strategy { name: description.name.clone(), plugin, description, origin: Origin::Tree })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// The strategy's name and aliases.
pub(crate) fn names(strategy: &Strategy) -> impl Iterator<Item = &str> {
    std::iter::once(strategy.name.as_str()).chain(strategy.description.aliases.iter().map(String::as_str))
}

fn check_names(known: &[Strategy]) -> Result<(), DiscoverError> {
    let mut owners: BTreeMap<&str, &Strategy> = BTreeMap::new();
    for strategy in known {
        for name in names(strategy) {
            match owners.insert(name, strategy) {
                Some(other) if other != strategy => {
                    return Err(DiscoverError::Ambiguous {
                        name: name.to_owned(),
                        one: other.plugin.clone(),
                        other: strategy.plugin.clone(),
                    });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn named<'k>(known: &'k [Strategy], pattern: &str) -> Result<Vec<&'k Strategy>, DiscoverError> {
    let all = || known.iter().map(|strategy| strategy.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(strategy) = known.iter().find(|strategy| names(strategy).any(|name| name == pattern)) {
        return Ok(vec![strategy]);
    }
    if !pattern.contains(['*', '?', '[', '{']) {
        return Err(unknown(known, pattern));
    }
    let glob = GlobBuilder::new(pattern).build().map_err(DiscoverError::BadPattern)?.compile_matcher();
    let matching: Vec<_> = known.iter().filter(|strategy| names(strategy).any(|name| glob.is_match(name))).collect();
    if matching.is_empty() {
        return Err(DiscoverError::NoMatch { pattern: pattern.to_owned(), known: all() });
    }
    Ok(matching)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(name: &str, aliases: &[&str], plugin: &str) -> Strategy {
        let description = Description {
            name: name.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..Description::default()
        };
        Strategy { name: name.to_owned(), plugin: PathBuf::from(plugin), description, origin: Origin::Tree }
    }

    fn tree() -> Vec<Strategy> {
        vec![
            strategy("reserve-hook", &["hook"], "libreserve_hook.so"),
            strategy("unfixed", &[], "libunfixed.so"),
            strategy("v2-6-38", &["v2.6.38"], "libv2_6_38.so"),
        ]
    }

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let tree = tree();
        let found: Result<Vec<&str>, _> =
            named(&tree, pattern).map(|found| found.iter().map(|strategy| strategy.name.as_str()).collect());
        assert_eq!(found.ok().as_deref(), Some(expected));
    }

    #[test]
    fn a_strategy_is_meant_by_name_by_alias_and_by_glob() {
        check("unfixed", &["unfixed"]);
        check("hook", &["reserve-hook"]);
        check("*", &["reserve-hook", "unfixed", "v2-6-38"]);
        check("v2.*", &["v2-6-38"]);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest_and_with_all() {
        let tree = tree();
        let error = named(&tree, "unfixd").map_err(|error| error.to_string());
        let text = "no strategy is called unfixd (did you mean unfixed?); there are reserve-hook, unfixed, v2-6-38";
        assert_eq!(error.err().as_deref(), Some(text));
        let error = named(&tree, "bogus*").map_err(|error| error.to_string());
        let text = "no strategy matches bogus*; there are reserve-hook, unfixed, v2-6-38";
        assert_eq!(error.err().as_deref(), Some(text));
    }

    #[test]
    fn two_strategies_of_one_name_are_an_error_that_names_both_files() {
        let mut known = tree();
        known.push(strategy("mine", &["hook"], "./libmine.so"));
        let error = check_names(&known).map_err(|error| error.to_string());
        assert_eq!(error, Err("two strategies are called hook: libreserve_hook.so and ./libmine.so".to_owned()));
    }

    #[test]
    fn a_test_looks_beside_itself_and_a_program_in_deps_first() {
        assert_eq!(folders(Path::new("/none/debug/deps")), [PathBuf::from("/none/debug/deps")]);
        let installed = folders(Path::new("/none/bin"));
        assert_eq!(installed, [PathBuf::from("/none/bin"), PathBuf::from("/none/bin/../lib/pgtlab")]);
    }
}
