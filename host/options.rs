// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of strategies as they are typed: `--set STRATEGY.KEY=VALUE`, and tables in a TOML file.
//!
//! [`chosen`] checks all of it against what the plugins declare, before any of them is loaded. What comes of
//! it, a [`Chosen`], holds for each plugin the values that are not its defaults.

mod file;

use crate::discover::{self, DiscoverError, Strategy, did_you_mean, names, nearest};
use crate::input::Shown;
use crate::load::{self, Description, LoadError, OptionDescription};
use clap::Args;
use miette::{Diagnostic, LabeledSpan, SourceCode};
use pgtlab_core::strategy::OptionKind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What was typed.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// Give an option of a strategy a value (`pgtlab inspect` shows them); can be repeated
    #[arg(long = "set", value_name = "STRATEGY.KEY=VALUE", help_heading = "Options of strategies")]
    pub set: Vec<String>,
    /// Take options of strategies from a TOML file: a table for each strategy, a key for each option
    #[arg(long, value_name = "FILE", help_heading = "Options of strategies")]
    pub set_file: Vec<PathBuf>,
}

/// A value as it was written: a file says of which kind it is, the command line does not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    Plain(String),
    Number(String),
    Flag(bool),
    Text(String),
    Other(&'static str),
}

/// One option that was given a value.
#[derive(Debug)]
struct Setting {
    place: Place,
    strategy: String,
    key: String,
    value: Written,
}

/// Where it was given one.
#[derive(Clone, Debug)]
enum Place {
    CommandLine(String),
    File { path: String, line: usize, shown: Option<Box<Shown>> },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(typed) => write!(f, "--set {typed}"),
            Self::File { path, line, .. } => write!(f, "{path}: line {line}"),
        }
    }
}

/// Why options make no sense.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// One of them.
    #[error("{place}: {fault}")]
    Setting {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        fault: Box<Fault>,
        /// The line, if it is one of a file.
        shown: Option<Box<Shown>>,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The strategies cannot be had.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// A plugin's own declaration makes no sense.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// What is wrong with an option that was given a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not have the form.
    #[error("expected STRATEGY.KEY=VALUE")]
    Form,
    /// The file is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// Something that is no table stands for a strategy.
    #[error("{name} is {found}; expected a table of options, [{name}]")]
    NoTable {
        /// The key.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// No strategy of the run is called so.
    #[error("no strategy of this run is called {name}{}; it runs {run}", did_you_mean(suggestion.as_deref()))]
    Strategy {
        /// The name.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
        /// Those that are run.
        run: String,
    },
    /// The strategy has no such option.
    #[error("{strategy} has no option {key}{}; {known}", did_you_mean(suggestion.as_deref()))]
    Key {
        /// The strategy.
        strategy: String,
        /// The key.
        key: String,
        /// The nearest key.
        suggestion: Option<String>,
        /// What there is.
        known: String,
    },
    /// A value of another kind.
    #[error("{strategy}.{key} is {found}; expected {expected}")]
    Value {
        /// The strategy.
        strategy: String,
        /// The key.
        key: String,
        /// The value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl Diagnostic for OptionError {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            Self::Setting { shown: Some(shown), .. } => Some(shown.as_ref()),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self {
            Self::Setting { shown: Some(shown), .. } => Some(Box::new(std::iter::once(shown.label()))),
            _ => None,
        }
    }
}

/// Options of a plugin that do not have their defaults: key and value, in the order of the declaration.
pub type Changed = Vec<(String, String)>;

/// What was chosen, by plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    by_plugin: BTreeMap<PathBuf, Changed>,
}

impl Chosen {
    /// What was chosen for a plugin.
    #[must_use]
    pub fn of(&self, plugin: &Path) -> Changed {
        self.by_plugin.get(plugin).cloned().unwrap_or_default()
    }
}

/// Checks what was typed for a run of the strategies that `typed` means, see [`discover::resolve`]. The
/// command line stands above files, and what comes later above what comes before.
///
/// A table of a file may be of a strategy of this tree that is not run; it is checked all the same.
///
/// # Errors
/// The first option that makes no sense.
pub fn chosen(settings: &Settings, typed: &[String]) -> Result<Chosen, OptionError> {
    let mut given = Vec::new();
    for path in &settings.set_file {
        given.extend(file::read(path)?);
    }
    for typed in &settings.set {
        given.push(parse(typed)?);
    }
    if given.is_empty() {
        return Ok(Chosen::default());
    }
    let run = discover::resolve_usable(typed)?.strategies;
    let mut values: BTreeMap<&Path, BTreeMap<&str, String>> = BTreeMap::new();
    for setting in &given {
        if let Some(strategy) = called(&run, &setting.strategy) {
            let (option, value) = checked(setting, strategy)?;
            values.entry(&strategy.plugin).or_default().insert(&option.key, value);
        } else {
            check_absent(setting, &run)?;
        }
    }
    let changed = |strategy: &Strategy| {
        let values = values.get(strategy.plugin.as_path())?;
        let of = |option: &OptionDescription| {
            let value = values.get(option.key.as_str())?;
            let kind = OptionKind::from_name(&option.kind)?;
            (!kind.is_same(value, &option.default)).then(|| (option.key.clone(), value.clone()))
        };
        Some((strategy.plugin.clone(), strategy.description.options.iter().filter_map(of).collect()))
    };
    Ok(Chosen { by_plugin: run.iter().filter_map(changed).collect() })
}

fn called<'s>(strategies: &'s [Strategy], name: &str) -> Option<&'s Strategy> {
    strategies.iter().find(|strategy| names(strategy).any(|known| known == name))
}

/// An option of a strategy that is not run.
fn check_absent(setting: &Setting, run: &[Strategy]) -> Result<(), OptionError> {
    if let Place::File { .. } = setting.place
        && let Ok(all) = discover::resolve(&[])
        && let Some(strategy) = called(&all, &setting.strategy)
    {
        return checked(setting, strategy).map(|_| ());
    }
    Err(setting.refused(Fault::Strategy {
        name: setting.strategy.clone(),
        suggestion: nearest(run.iter().flat_map(names), &setting.strategy),
        run: run.iter().map(|strategy| strategy.name.as_str()).collect::<Vec<_>>().join(", "),
    }))
}

/// The option that is meant, and its value as the plugin gets it.
fn checked<'s>(setting: &Setting, strategy: &'s Strategy) -> Result<(&'s OptionDescription, String), OptionError> {
    let Strategy { name, plugin, description, .. } = strategy;
    load::defaults(description).map_err(|kind| LoadError { path: plugin.clone(), kind })?;
    let Some(option) = description.options.iter().find(|option| option.key == setting.key) else {
        return Err(setting.refused(unknown_key(name, &setting.key, description)));
    };
    let kind = OptionKind::from_name(&option.kind);
    let value = kind.and_then(|kind| setting.value.as_value_of(kind));
    let refuse = || Fault::Value {
        strategy: name.clone(),
        key: option.key.clone(),
        found: setting.value.to_string(),
        expected: kind.map_or("a value of a known kind", OptionKind::expected),
    };
    value.map(|value| (option, value)).ok_or_else(|| setting.refused(refuse()))
}

fn unknown_key(strategy: &str, key: &str, description: &Description) -> Fault {
    let keys: Vec<&str> = description.options.iter().map(|option| option.key.as_str()).collect();
    Fault::Key {
        strategy: strategy.to_owned(),
        key: key.to_owned(),
        suggestion: nearest(keys.iter().copied(), key),
        known: if keys.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", keys.join(", ")) },
    }
}

/// Reads `STRATEGY.KEY=VALUE`. An alias may have dots, a key has none.
fn parse(typed: &str) -> Result<Setting, OptionError> {
    let split = typed.split_once('=').and_then(|(name, value)| Some((name.rsplit_once('.')?, value)));
    match split {
        Some(((strategy, key), value)) if !strategy.is_empty() && !key.is_empty() => Ok(Setting {
            place: Place::CommandLine(typed.to_owned()),
            strategy: strategy.to_owned(),
            key: key.to_owned(),
            value: Written::Plain(value.to_owned()),
        }),
        _ => Err(refused(&Place::CommandLine(typed.to_owned()), Fault::Form)),
    }
}

fn refused(place: &Place, fault: Fault) -> OptionError {
    let shown = match place {
        Place::CommandLine(_) => None,
        Place::File { shown, .. } => shown.clone(),
    };
    OptionError::Setting { place: place.to_string(), fault: Box::new(fault), shown }
}

impl Setting {
    fn refused(&self, fault: Fault) -> OptionError {
        refused(&self.place, fault)
    }
}

impl Written {
    fn as_value_of(&self, kind: OptionKind) -> Option<String> {
        let text = match (self, kind) {
            (Self::Plain(text), _) | (Self::Text(text), OptionKind::Text) => text.clone(),
            // TOML's integers have 63 bits and a sign.
            (Self::Number(text) | Self::Text(text), OptionKind::Number) => text.clone(),
            (Self::Flag(value), OptionKind::Flag) => value.to_string(),
            _ => return None,
        };
        kind.accepts(&text).then_some(text)
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) | Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(text) => f.write_str(text),
            Self::Flag(value) => write!(f, "{value}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// `KEY=VALUE KEY=VALUE`.
#[must_use]
pub fn shown(changed: &[(String, String)]) -> String {
    let pairs: Vec<String> = changed.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

/// The values as a record has them: numbers and flags as such.
#[must_use]
pub fn recorded(changed: &[(String, String)], description: &Description) -> BTreeMap<String, Value> {
    let kind = |key: &str| description.options.iter().find(|option| option.key == key).map(|option| &*option.kind);
    let value = |key: &str, value: &str| match kind(key).and_then(OptionKind::from_name) {
        Some(OptionKind::Number) => OptionKind::as_number(value).map(Value::from),
        Some(OptionKind::Flag) => value.parse().ok().map(Value::Bool),
        _ => None,
    };
    let pair =
        |(key, text): &(String, String)| (key.clone(), value(key, text).unwrap_or_else(|| Value::String(text.clone())));
    changed.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &Written, kind: OptionKind, expected: Option<&str>) {
        assert_eq!(written.as_value_of(kind).as_deref(), expected);
    }

    #[test]
    fn a_value_is_taken_for_what_it_is_written_as() {
        let plain = |text: &str| Written::Plain(text.to_owned());
        check(&plain("0x10"), OptionKind::Number, Some("0x10"));
        check(&plain("true"), OptionKind::Flag, Some("true"));
        check(&plain("true"), OptionKind::Text, Some("true"));
        check(&plain("many"), OptionKind::Number, None);
        check(&Written::Flag(true), OptionKind::Flag, Some("true"));
        check(&Written::Flag(true), OptionKind::Text, None);
        check(&Written::Number("-1".to_owned()), OptionKind::Number, None);
        check(&Written::Text("0xffffffffffffffff".to_owned()), OptionKind::Number, Some("0xffffffffffffffff"));
        check(&Written::Text("true".to_owned()), OptionKind::Flag, None);
        check(&Written::Other("a list"), OptionKind::Text, None);
    }

    #[test]
    fn a_name_may_have_dots_and_a_value_may_have_anything() {
        let parsed = |typed| parse(typed).map(|setting| (setting.strategy, setting.key, setting.value));
        let expected = ("v2.6.38".to_owned(), "key".to_owned(), Written::Plain("a.b=c".to_owned()));
        assert_eq!(parsed("v2.6.38.key=a.b=c").ok(), Some(expected));
        for wrong in ["", "key", "hook.key", "key=1", ".key=1", "hook.=1", "=1"] {
            let error = parsed(wrong).map_err(|error| error.to_string());
            assert_eq!(error.err(), Some(format!("--set {wrong}: expected STRATEGY.KEY=VALUE")));
        }
    }
}
