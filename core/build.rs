// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records what the crate is built with, for the description that every plugin carries.

use std::process::Command;

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    println!("cargo::rustc-env=PGTLAB_RUSTC={}", version.trim());
    for (ours, cargos) in [("PGTLAB_TARGET", "TARGET"), ("PGTLAB_PROFILE", "PROFILE")] {
        println!("cargo::rustc-env={ours}={}", std::env::var(cargos).unwrap_or_default());
    }
    // Tests link several strategies at once, each of which exports the one symbol that makes it a plugin. A copy
    // of this crate in a strategy's repository has no tests, and cargo refuses the line then.
    let files = std::fs::read_dir("tests").into_iter().flatten().flatten();
    if files.into_iter().any(|file| file.path().extension().is_some_and(|extension| extension == "rs")) {
        println!("cargo::rustc-link-arg-tests=-Wl,-z,muldefs");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
