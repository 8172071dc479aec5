// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists the sources that `pgtlab new` hands out: the crate that strategies are built on, which no registry
//! has, and the strategies of this tree. An installed program has no tree to take them from.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a repository needs besides.
const ROOT_FILES: [&str; 6] =
    ["Cargo.lock", "Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "rust-toolchain.toml", "rustfmt.toml"];

/// Writes a slice of path and text, ascending by path, seen from the workspace's root.
///
/// # Errors
/// Those of reading the folders and writing the file.
pub(crate) fn record_sources(root: &Path, out: &Path) -> io::Result<()> {
    let mut files: BTreeSet<PathBuf> = ROOT_FILES.iter().map(|file| root.join(file)).collect();
    files.extend([root.join("core/Cargo.toml"), root.join("core/build.rs")]);
    add_tree(&root.join("core/src"), &mut files)?;
    for entry in fs::read_dir(root.join("strategies"))? {
        let folder = entry?.path();
        if folder.join("Cargo.toml").is_file() {
            files.insert(folder.join("Cargo.toml"));
            add_tree(&folder.join("src"), &mut files)?;
        }
    }
    let mut list = String::from("&[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let path = file.strip_prefix(root).unwrap_or(file).display().to_string();
        writeln!(list, "    ({path:?}, include_str!({:?})),", file.display().to_string()).map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(out, list)
}

/// All files below a folder, and those that they include.
fn add_tree(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_tree(&path, files)?;
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for included in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let included = folder.join(included);
            if included.is_file() {
                // `core/src/conform/../../tests` is written as `core/tests`.
                files.insert(normal(&included));
            }
        }
        files.insert(path);
    }
    Ok(())
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            found.pop();
        } else {
            found.push(part);
        }
    }
    found
}
