// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is called so already. Read from the sources, so that it holds before anything is built.

use super::{STRATEGIES, ScaffoldError, StrategyName, failed, sources};
use std::fs;
use std::path::Path;

/// What in the workspace answers to this name: a folder, an alias of a strategy, or a package, the
/// dependencies included (two packages of one name cannot be told apart on cargo's command line).
pub(super) fn by(name: &StrategyName, root: &Path) -> Result<Option<String>, ScaffoldError> {
    let strategies = root.join(STRATEGIES);
    if strategies.join(name.as_str()).symlink_metadata().is_ok() {
        return Ok(Some(format!("{STRATEGIES}/{name} exists")));
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(&strategies).map_err(failed("read", &strategies))? {
        folders.push(entry.map_err(failed("read", &strategies))?);
    }
    folders.sort_by_key(fs::DirEntry::file_name);
    for folder in folders {
        let source = fs::read_to_string(folder.path().join("src/lib.rs")).unwrap_or_default();
        if aliases(&source).contains(&name.as_str()) {
            return Ok(Some(format!("an alias of {STRATEGIES}/{}", folder.file_name().display())));
        }
    }
    // A workspace that was never built has no lock file, and cargo will say what clashes.
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    Ok(is_locked(name, &lock).then(|| "a package in Cargo.lock".to_owned()))
}

/// What of this program's own answers to this name: a repository elsewhere is compared with it.
pub(super) fn by_us(name: &StrategyName) -> Option<String> {
    for (folder, source) in sources::strategies() {
        if folder == name.as_str() {
            return Some("a strategy of pgtlab".to_owned());
        }
        if aliases(source).contains(&name.as_str()) {
            return Some(format!("an alias of pgtlab's {folder}"));
        }
    }
    is_locked(name, sources::text("Cargo.lock")).then(|| "a package that pgtlab is built with".to_owned())
}

fn is_locked(name: &StrategyName, lock: &str) -> bool {
    let line = format!("name = \"{name}\"");
    lock.lines().any(|found| found == line)
}

/// The aliases in the `export_strategy!` line of a crate.
pub(super) fn aliases(source: &str) -> Vec<&str> {
    let Some((_, line)) = source.split_once("export_strategy!(") else { return Vec::new() };
    let line = line.split(");").next().unwrap_or(line);
    let Some((_, list)) = line.split_once("aliases = [") else { return Vec::new() };
    let list = list.split(']').next().unwrap_or(list);
    list.split(',').map(|alias| alias.trim().trim_matches('"')).filter(|alias| !alias.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_read_from_the_macro_line() {
        assert_eq!(aliases("x!();\nexport_strategy!(A, summary = \"s\");"), Vec::<&str>::new());
        assert_eq!(
            aliases("export_strategy!(\n    A,\n    summary = \"s\",\n    aliases = [\"a\", \"b-c\",],\n);"),
            ["a", "b-c"]
        );
        assert_eq!(aliases("struct A;"), Vec::<&str>::new());
    }
}
