// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers a strategy with the root package: a dev-dependency, by which cargo builds it with the tests.

use super::{STRATEGIES, StrategyName};
use toml_edit::{DocumentMut, InlineTable, Item, Key, Table, Value};

/// Why a manifest cannot be added to.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no TOML.
    #[error(transparent)]
    Syntax(#[from] toml_edit::TomlError),
    /// Its dev-dependencies are no table.
    #[error("dev-dependencies is not a table")]
    NotATable,
}

/// The manifest with the strategy as a dev-dependency; all else keeps its form. It stands among the
/// strategies that are there, by name, or at the end.
pub(super) fn with_strategy(manifest: &str, name: &StrategyName) -> Result<String, ManifestError> {
    let mut document: DocumentMut = manifest.parse()?;
    let dependencies = document.entry("dev-dependencies").or_insert_with(|| Item::Table(Table::new()));
    let dependencies = dependencies.as_table_mut().ok_or(ManifestError::NotATable)?;

    let strategies = dependencies.iter().enumerate().filter(|(_, (_, item))| is_strategy(item));
    let before = strategies.filter(|(_, (key, _))| *key < name.as_str()).last();
    let first = dependencies.iter().position(|(_, item)| is_strategy(item));
    let at = before.map(|(at, _)| at + 1).or(first).unwrap_or(dependencies.len());
    insert_at(dependencies, at, name);
    Ok(document.to_string())
}

fn is_strategy(item: &Item) -> bool {
    let path = item.as_table_like().and_then(|table| table.get("path")).and_then(Item::as_str);
    path.is_some_and(|path| path.starts_with(STRATEGIES))
}

fn insert_at(table: &mut Table, at: usize, name: &StrategyName) {
    let keys: Vec<String> = table.iter().skip(at).map(|(key, _)| key.to_owned()).collect();
    let mut behind: Vec<(Key, Item)> = keys.iter().filter_map(|key| table.remove_entry(key)).collect();
    let mut key = Key::new(name.as_str());
    // A comment above the first strategy is about all of them.
    let is_first = !table.iter().any(|(_, item)| is_strategy(item));
    if let Some((next, item)) = behind.first_mut()
        && is_first
        && is_strategy(item)
    {
        std::mem::swap(key.leaf_decor_mut(), next.leaf_decor_mut());
    }
    let path = Value::from(format!("{STRATEGIES}/{name}"));
    let dependency = Value::from(InlineTable::from_iter([("path", path)]));
    table.insert_formatted(&key, Item::Value(dependency));
    for (key, item) in behind {
        table.insert_formatted(&key, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, manifest: &str, expected: &str) {
        let name = StrategyName::parse(name).expect("a name");
        assert_eq!(with_strategy(manifest, &name).expect("a manifest"), expected);
    }

    const STRATEGIES_THERE: &str = "\
[dev-dependencies]
insta = \"1\" # snapshots

# The strategies.
beta = { path = \"strategies/beta\" }
delta = { path = \"strategies/delta\" }
zeta = \"1\"

[build-dependencies]
toml = \"1\"
";

    #[test]
    fn a_strategy_stands_among_the_others_by_name() {
        let line = |name: &str| format!("{name} = {{ path = \"strategies/{name}\" }}\n");
        let before = |name: &str, next: &str| {
            STRATEGIES_THERE.replace(&format!("\n{next} ="), &format!("\n{}{next} =", line(name)))
        };
        check("alpha", STRATEGIES_THERE, &before("alpha", "beta"));
        check("cedar", STRATEGIES_THERE, &before("cedar", "delta"));
        check("omega", STRATEGIES_THERE, &before("omega", "zeta"));
    }

    #[test]
    fn the_first_strategy_stands_at_the_end() {
        let line = "alpha = { path = \"strategies/alpha\" }\n";
        let there = "[dev-dependencies]\ninsta = \"1\"\n\n[lints]\nworkspace = true\n";
        check("alpha", there, &there.replace("\n\n[", &format!("\n{line}\n[")));
        check("alpha", "[package]\nname = \"p\"\n", &format!("[package]\nname = \"p\"\n\n[dev-dependencies]\n{line}"));
    }
}
