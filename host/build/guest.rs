// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the guests that judges boot (`guest/`), for the program to hold inside itself.
//!
//! They are no crates of the workspace: they have no standard library and linker scripts of their own, and cargo on a
//! stable toolchain has no artifact dependencies. One call of the compiler is all it takes. The target is the program's
//! own, so no other `core` has to be installed.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What makes of a hosted target's program one that runs below any system: at the top 2 GiB, on a stack that
/// exceptions use too.
const CODEGEN: [&str; 6] =
    ["opt-level=2", "panic=abort", "relocation-model=static", "code-model=kernel", "no-redzone=yes", "strip=symbols"];

const LINKER: [&str; 4] = ["-nostartfiles", "-nostdlib", "-static", "-no-pie"];

const LINTS: [&str; 5] =
    ["missing_docs", "unsafe_op_in_unsafe_fn", "unreachable_pub", "unused_qualifications", "elided_lifetimes_in_paths"];

/// Compiles and links the guest in `folder` to `out`.
///
/// # Errors
/// The compiler cannot be started, or refuses the sources.
pub(crate) fn build(folder: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder.join("src"))? {
        println!("cargo::rerun-if-changed={}", entry?.path().display());
    }
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "--crate-name", "pgtlab_guest", "--crate-type", "bin", "--target", TARGET]);
    for option in CODEGEN {
        rustc.args(["-C", option]);
    }
    for argument in LINKER {
        rustc.arg("-C").arg(format!("link-arg={argument}"));
    }
    let script = folder.join("link.ld");
    rustc.arg("-C").arg(format!("link-arg=-Wl,-T,{},--build-id=none,-z,max-page-size=4096", script.display()));
    for lint in LINTS {
        rustc.args(["-D", lint]);
    }
    rustc.args(["-D", "warnings"]).arg("-o").arg(out).arg(folder.join("src/main.rs"));
    let output = rustc.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{} is not built:\n{}", folder.display(), String::from_utf8_lossy(&output.stderr))))
}
