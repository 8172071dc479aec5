// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sources inside the program: what a strategy's crate is started from and built on.

use super::taken;

/// Path, seen from the workspace's root, and text; ascending by path.
static SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The text of a file.
pub(super) fn text(path: &str) -> &'static str {
    SOURCES.iter().find(|(found, _)| *found == path).map_or("", |(_, text)| text)
}

/// The files below a folder: path, seen from it, and text.
pub(super) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let prefix = format!("{folder}/");
    SOURCES.iter().filter_map(move |(path, text)| Some((path.strip_prefix(&prefix)?, *text)))
}

/// The strategies: folder and the text of their `src/lib.rs`. The library that they share is none of them.
pub(super) fn strategies() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = below("strategies").filter_map(|(path, text)| Some((path.strip_suffix("/src/lib.rs")?, text)));
    all.filter(|(_, text)| text.contains("export_strategy!("))
}

/// The folder of the strategy that answers to this name.
pub(super) fn strategy(name: &str) -> Option<&'static str> {
    let answers = |folder: &str, text: &str| folder == name || taken::aliases(text).contains(&name);
    strategies().find(|(folder, text)| answers(folder, text)).map(|(folder, _)| folder)
}

/// All names that a strategy may be started from.
pub(super) fn names() -> Vec<&'static str> {
    strategies().map(|(folder, _)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_holds_what_a_strategy_is_built_on_and_started_from() {
        assert!(text("core/src/lib.rs").contains("pub mod strategy;"));
        assert!(below("core").any(|(path, _)| path == "Cargo.toml"));
        assert!(names().contains(&"reserve-hook"));
        assert!(!names().contains(&"linux"));
        assert_eq!(strategy("hook"), Some("reserve-hook"));
        assert_eq!(strategy("none"), None);
    }

    #[test]
    fn what_the_core_includes_is_there_too() {
        for (path, text) in below("core/src") {
            for included in text.split("include_str!(\"../../").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(below("core").any(|(found, _)| found == included), "{path} includes {included}");
            }
        }
    }
}
