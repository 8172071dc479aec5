// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a plugin says of itself, and whether this host can speak to it.

use super::{LoadError, LoadErrorKind};
use pgtlab_core::plugin::{self, INTERFACE, InterfaceVersion};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a plugin says of itself, and its size. Keys that a later description may have are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The version of the description's text; the first one had no such key.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The strategy's name.
    pub name: String,
    /// Its crate's version.
    pub version: String,
    /// What it does, in a line.
    pub summary: String,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// The version of the interface it was built against ([`plugin::INTERFACE`]); in format 1 that of
    /// pgtlab-core.
    pub interface: String,
    /// The version of pgtlab-core it was built against.
    #[serde(default)]
    pub core: String,
    /// The digest of what the interface meant then ([`plugin::SEMANTICS`]), as 16 hexadecimal digits.
    pub semantics: String,
    /// The compiler.
    pub rustc: String,
    /// The target.
    pub target: String,
    /// `debug` or `release`.
    pub profile: String,
    /// `unwind` or `abort`: what a panic in it does.
    pub panic: String,
    /// The stages it answers, if its author says so.
    #[serde(default)]
    pub stages: Option<Vec<String>>,
    /// The options it takes.
    #[serde(default)]
    pub options: Vec<OptionDescription>,
    /// The file's size.
    #[serde(default)]
    pub size_bytes: u64,
}

/// An option that a plugin takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionDescription {
    /// What it is called.
    pub key: String,
    /// What its value may be: the name of an [`OptionKind`](pgtlab_core::strategy::OptionKind).
    pub kind: String,
    /// The value it has if nobody says otherwise.
    pub default: String,
    /// What it does, in a line.
    pub help: String,
}

const fn first_format() -> u32 {
    1
}

/// Whether a plugin was built against an interface that this host speaks, as far as its description tells.
///
/// # Errors
/// [`LoadErrorKind::OtherInterface`].
pub fn check_interface(path: &Path, description: &Description) -> Result<(), LoadError> {
    match objection(description) {
        None => Ok(()),
        Some(kind) => Err(LoadError { path: path.to_owned(), kind }),
    }
}

fn objection(description: &Description) -> Option<LoadErrorKind> {
    let refuse =
        |found: String, difference: String, next: Next| Some(LoadErrorKind::OtherInterface { found, difference, next });
    if description.format < 2 {
        let found = format!("pgtlab-core {}, before the interface had versions", description.interface);
        return refuse(found, "fields were added to what crosses".to_owned(), Next::Rebuild);
    }
    let found = format!("interface {} (pgtlab-core {})", description.interface, description.core);
    let Some(version) = InterfaceVersion::parse(&description.interface) else {
        return refuse(found, "this is no version; expected MAJOR.MINOR".to_owned(), Next::Rebuild);
    };
    if version.major < INTERFACE.major {
        return refuse(found, "what crosses has changed since".to_owned(), Next::Rebuild);
    }
    if INTERFACE < version {
        return refuse(found, "it may ask for what this host does not have".to_owned(), Next::Update);
    }
    let expected = plugin::semantics_at(version.minor).map_or_else(String::new, |digest| format!("{digest:016x}"));
    if description.semantics != expected {
        let difference = format!("its numbers mean other things ({}, here {expected})", description.semantics);
        return refuse(found, difference, Next::Rebuild);
    }
    None
}

/// What to do about a plugin of another interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The plugin is the older one.
    Rebuild,
    /// The host is the older one.
    Update,
}

impl std::fmt::Display for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (this, core) = (INTERFACE, plugin::VERSION);
        match self {
            Self::Rebuild => write!(f, "rebuild the strategy against pgtlab-core {core}"),
            Self::Update => write!(
                f,
                "install a pgtlab that has this interface, or rebuild the strategy against pgtlab-core {core} \
                 (interface {this})"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(interface: &str, semantics: u64, expected: Option<&str>) {
        let description = Description {
            format: 2,
            interface: interface.to_owned(),
            core: "0.1.7".to_owned(),
            semantics: format!("{semantics:016x}"),
            ..Description::default()
        };
        let found = check_interface(Path::new("x.so"), &description).map_err(|error| error.to_string());
        assert_eq!(found.err().as_deref(), expected);
    }

    #[test]
    fn an_older_minor_version_is_taken_and_a_newer_one_is_not() {
        let core = plugin::VERSION;
        check(&INTERFACE.to_string(), plugin::SEMANTICS, None);
        let base = plugin::semantics_at(0).unwrap_or_default();
        check("1.0", base, None);
        let newer = format!(
            "x.so: was built against interface 1.99 (pgtlab-core 0.1.7), this host has {INTERFACE}: it may ask for \
             what this host does not have\ninstall a pgtlab that has this interface, or rebuild the strategy against \
             pgtlab-core {core} (interface {INTERFACE})"
        );
        check("1.99", plugin::SEMANTICS, Some(&newer));
        let older = format!(
            "x.so: was built against interface 0.9 (pgtlab-core 0.1.7), this host has {INTERFACE}: what crosses has \
             changed since\nrebuild the strategy against pgtlab-core {core}"
        );
        check("0.9", base, Some(&older));
        let moved = format!(
            "x.so: was built against interface 1.0 (pgtlab-core 0.1.7), this host has {INTERFACE}: its numbers mean \
             other things ({:016x}, here {base:016x})\nrebuild the strategy against pgtlab-core {core}",
            base ^ 1
        );
        check("1.0", base ^ 1, Some(&moved));
    }

    #[test]
    fn a_description_of_the_first_format_is_read_and_refused() -> Result<(), serde_json::Error> {
        let text = r#"{"name":"q","version":"1.2.3","summary":"s","aliases":[],"interface":"0.1.0","semantics":"0",
                       "rustc":"r","target":"t","profile":"debug","panic":"unwind","a key of later":[1]}"#;
        let description: Description = serde_json::from_str(text)?;
        assert_eq!((description.format, description.stages.clone()), (1, None));
        let refused = check_interface(Path::new("x.so"), &description).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|text| text.contains("pgtlab-core 0.1.0, before the interface had versions")));
        Ok(())
    }
}
