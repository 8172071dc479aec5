// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists the machines and the boots under `snapshots/` for the program to hold inside itself.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// Writes a slice of `Embedded`, one for each `snapshots/STEM/machine.{layout,txt}`, by name.
///
/// # Errors
/// Those of reading the folders and writing the file.
pub(crate) fn record_machines(folder: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut machines: Vec<(String, String, &str)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let stem = entry.file_name().to_string_lossy().into_owned();
        for file in ["machine.layout", "machine.txt"] {
            let path = entry.path().join(file);
            if path.is_file() {
                println!("cargo::rerun-if-changed={}", path.display());
                let text = fs::read_to_string(&path)?;
                let named = text.lines().find_map(|line| line.strip_prefix("name "));
                let name = named.filter(|_| file == "machine.layout").unwrap_or(&stem).trim().to_owned();
                machines.push((name, stem.clone(), file));
            }
        }
    }
    machines.sort();
    let mut list = String::from("&[\n");
    for (name, stem, file) in machines {
        let place = format!("snapshots/{stem}/{file}");
        let path = folder.join(&stem).join(file).display().to_string();
        writeln!(
            list,
            "    Embedded {{ name: {name:?}, stem: {stem:?}, file: {place:?}, text: include_str!({path:?}) }},"
        )
        .map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(out, list)
}

/// Writes a slice of pairs, one for each `NAME.txt` in the folder, by name: the name, and the text.
///
/// # Errors
/// Those of reading the folder and writing the file.
pub(crate) fn record_boots(folder: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            paths.push(path);
        }
    }
    paths.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    let mut list = String::from("&[\n");
    for path in paths {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = path.display().to_string();
        writeln!(list, "    ({name:?}, include_str!({path:?})),").map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(out, list)
}
