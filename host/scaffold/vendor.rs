// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our packages as they stand in a repository of somebody else's: a folder each, with manifests that need no
//! workspace, and the versions of all else as they were built here.

use super::sources;
use std::collections::BTreeSet;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

/// The workspace's manifest.
fn root() -> DocumentMut {
    sources::text("Cargo.toml").parse().unwrap_or_default()
}

fn shared(root: &DocumentMut, section: &str) -> Table {
    let workspace = root.get("workspace").and_then(Item::as_table);
    workspace.and_then(|table| table.get(section)).and_then(Item::as_table).cloned().unwrap_or_default()
}

/// The lints of the workspace, as the tables `lints.rust` and so on of a manifest.
pub(super) fn lints() -> String {
    let mut document = DocumentMut::new();
    let mut lints = shared(&root(), "lints");
    lints.set_implicit(true);
    document.insert("lints", Item::Table(unplaced(lints)));
    document.to_string()
}

/// What the workspace says of its packages under this key.
pub(super) fn package_value(key: &str) -> String {
    let value = shared(&root(), "package").get(key).and_then(Item::as_str).map(str::to_owned);
    value.unwrap_or_default()
}

/// Where one of our packages stands in the workspace.
fn folder(package: &str) -> Option<String> {
    let dependencies = shared(&root(), "dependencies");
    let found = dependencies.get(package)?.as_table_like()?.get("path")?.as_str()?.to_owned();
    Some(found)
}

/// These packages and those of ours that they need, ascending.
pub(super) fn closure(packages: &[String]) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<String> = packages.to_vec();
    while let Some(package) = todo.pop() {
        let Some(folder) = folder(&package) else { continue };
        if found.insert(package) {
            todo.extend(needs(&folder));
        }
    }
    found.into_iter().collect()
}

/// The dependencies of the package in a folder, by name.
fn needs(folder: &str) -> Vec<String> {
    let manifest: DocumentMut = sources::text(&format!("{folder}/Cargo.toml")).parse().unwrap_or_default();
    let dependencies = manifest.get("dependencies").and_then(Item::as_table_like);
    dependencies.map(|table| table.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
}

/// The files of a package, path and text.
pub(super) fn files(package: &str) -> Vec<(String, String)> {
    let Some(folder) = folder(package) else { return Vec::new() };
    let files = sources::below(&folder).map(|(path, text)| {
        let text = if path == "Cargo.toml" { manifest(text, &root()) } else { text.to_owned() };
        (format!("{package}/{path}"), text)
    });
    files.collect()
}

/// A manifest that says itself what it took from the workspace. Tests stay behind, and what they need.
fn manifest(text: &str, root: &DocumentMut) -> String {
    let mut document: DocumentMut = text.parse().unwrap_or_default();
    document.remove("dev-dependencies");
    if let Some(package) = document.get_mut("package").and_then(Item::as_table_mut) {
        let values = shared(root, "package");
        inherit(package, |key| values.get(key).cloned());
    }
    if let Some(dependencies) = document.get_mut("dependencies").and_then(Item::as_table_mut) {
        inherit(dependencies, |package| {
            let path = Value::from(format!("../{package}"));
            Some(Item::Value(Value::InlineTable(InlineTable::from_iter([("path", path)]))))
        });
    }
    let mut lints = shared(root, "lints");
    lints.set_implicit(true);
    document.insert("lints", Item::Table(unplaced(lints)));
    document.to_string()
}

/// A table that stands at the end of the document it is put into, and not where it stood in its own.
fn unplaced(mut table: Table) -> Table {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        if let Some(inner) = item.as_table_mut() {
            inner.set_position(None);
        }
    }
    table
}

fn inherit(table: &mut Table, value: impl Fn(&str) -> Option<Item>) {
    let is_inherited = |item: &Item| {
        let flag = item.as_table_like().and_then(|table| table.get("workspace")).and_then(Item::as_bool);
        flag == Some(true)
    };
    let keys: Vec<String> =
        table.iter().filter(|(_, item)| is_inherited(item)).map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        if let Some(item) = value(&key) {
            table.insert(&key, item);
        }
    }
}

/// A lock file of what these packages need from a registry, in the versions that were built here. Cargo adds
/// the packages themselves.
pub(super) fn lock(packages: &[String]) -> String {
    let lock: DocumentMut = sources::text("Cargo.lock").parse().unwrap_or_default();
    let all: Vec<&Table> =
        lock.get("package").and_then(Item::as_array_of_tables).map(|all| all.iter().collect()).unwrap_or_default();
    let of = |table: &Table, key: &str| table.get(key).and_then(Item::as_str).unwrap_or_default().to_owned();
    let mut needed = BTreeSet::new();
    let mut todo: Vec<String> =
        packages.iter().filter_map(|package| folder(package)).flat_map(|at| needs(&at)).collect();
    while let Some(word) = todo.pop() {
        // `NAME`, or `NAME VERSION` where there are two.
        let (name, version) = word.split_once(' ').unwrap_or((&word, ""));
        let is_it =
            |table: &&&Table| of(table, "name") == name && (version.is_empty() || of(table, "version") == version);
        for table in all.iter().filter(is_it).filter(|table| table.contains_key("source")) {
            if needed.insert((of(table, "name"), of(table, "version"))) {
                let dependencies = table.get("dependencies").and_then(Item::as_array);
                todo.extend(
                    dependencies.iter().flat_map(|list| list.iter()).filter_map(Value::as_str).map(str::to_owned),
                );
            }
        }
    }
    let mut kept = ArrayOfTables::new();
    for table in all {
        if needed.contains(&(of(table, "name"), of(table, "version"))) {
            kept.push(table.clone());
        }
    }
    let mut pruned = lock.clone();
    pruned.insert("package", Item::ArrayOfTables(kept));
    pruned.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_brings_those_of_ours_that_it_needs() {
        assert_eq!(closure(&["pgtlab-linux".to_owned()]), ["pgtlab-core", "pgtlab-linux"]);
        assert_eq!(closure(&["pgtlab-core".to_owned(), "serde".to_owned()]), ["pgtlab-core"]);
    }

    #[test]
    fn a_manifest_says_itself_what_it_took_from_the_workspace() {
        let root: DocumentMut =
            "[workspace.package]\nversion = \"1.2.3\"\n\n[workspace.lints.rust]\nmissing_docs = \"warn\"\n"
                .parse()
                .expect("a manifest");
        let text = "[package]\nname = \"p\"\nversion.workspace = true\n\n[dependencies]\npgtlab-core.workspace = true\n\
                    serde = \"1\"\n\n[dev-dependencies]\nproptest = \"1\"\n\n[lints]\nworkspace = true\n";
        let expected = "[package]\nname = \"p\"\nversion = \"1.2.3\"\n\n[dependencies]\n\
                        pgtlab-core = { path = \"../pgtlab-core\" }\nserde = \"1\"\n\n[lints.rust]\n\
                        missing_docs = \"warn\"\n";
        assert_eq!(manifest(text, &root), expected);
        for (path, text) in files("pgtlab-core").into_iter().chain(files("pgtlab-linux")) {
            assert!(!path.ends_with("Cargo.toml") || !text.contains("workspace"), "{path}:\n{text}");
        }
    }

    #[test]
    fn the_lock_file_holds_what_is_needed_and_no_more() {
        let lock = lock(&["pgtlab-core".to_owned()]);
        let has = |name: &str| lock.contains(&format!("name = \"{name}\"\n"));
        assert!(has("abi_stable") && has("rustc-hash") && has("syn"), "{lock}");
        assert!(!has("clap") && !has("pgtlab") && !has("pgtlab-core") && !has("proptest"), "{lock}");
        assert!(lock.contains("\nversion = "), "{lock}");
    }
}
