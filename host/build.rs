// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records what the program is built with: the strategies of this tree, their sources and the core's, the
//! machines of the corpus, the guests of the judges, and boots of Linux that were kept.
#![expect(clippy::exit, reason = "a build that is refused says one sentence, and no panic")]

#[path = "build/corpus.rs"]
mod corpus;
#[path = "build/guest.rs"]
mod guest;
#[path = "build/sources.rs"]
mod sources;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    refuse_other_systems();
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    println!("cargo::rerun-if-changed=host/build.rs");
    println!("cargo::rerun-if-changed=host/build");
    record_strategies(&root.join("strategies"), &out.join("strategies.rs"))?;
    guest::build(&root.join("guest/mmu"), &out.join("mmu.elf"))?;
    guest::build(&root.join("guest/xen"), &out.join("guest-xen.elf"))?;
    guest::build(&root.join("guest/shim"), &out.join("shim.bin"))?;
    sources::record_sources(&root, &out.join("sources.rs"))?;
    corpus::record_machines(&root.join("snapshots"), &out.join("corpus.rs"))?;
    corpus::record_boots(&root.join("snapshots/judge-linux"), &out.join("kept-boots.rs"))
}

/// The model's indices are 64 bits wide, and a worker is bound by what Linux offers.
fn refuse_other_systems() {
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        println!("cargo::error=pgtlab runs on Linux on x86-64 only");
        std::process::exit(1);
    }
}

/// Writes `IN_TREE`: every package under `strategies/` that is built as a plugin, and its file's name.
fn record_strategies(folder: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut plugins = Vec::new();
    for entry in fs::read_dir(folder)? {
        let manifest = entry?.path().join("Cargo.toml");
        if manifest.is_file() {
            println!("cargo::rerun-if-changed={}", manifest.display());
            plugins.extend(plugin(&fs::read_to_string(&manifest)?, &manifest)?);
        }
    }
    plugins.sort();
    let mut source = String::from("&[\n");
    for (package, file) in plugins {
        writeln!(source, "    ({package:?}, {file:?}),").map_err(io::Error::other)?;
    }
    source += "]\n";
    fs::write(out, source)
}

/// The package's name and its library's file name, if it is built as a plugin.
fn plugin(manifest: &str, path: &Path) -> io::Result<Option<(String, String)>> {
    let wrong = |text: String| io::Error::other(format!("{}: {text}", path.display()));
    let manifest: toml::Table = manifest.parse().map_err(|error| wrong(format!("{error}")))?;
    let Some(lib) = manifest.get("lib").and_then(toml::Value::as_table) else { return Ok(None) };
    let types = lib.get("crate-type").and_then(toml::Value::as_array);
    if !types.is_some_and(|types| types.iter().any(|kind| kind.as_str() == Some("cdylib"))) {
        return Ok(None);
    }
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let name = name.ok_or_else(|| wrong("a package without a name".to_owned()))?;
    let lib_name = lib.get("name").and_then(toml::Value::as_str).map_or_else(|| name.replace('-', "_"), str::to_owned);
    Ok(Some((name.to_owned(), format!("lib{lib_name}.so"))))
}
