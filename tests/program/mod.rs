// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program as the tests that look at it from outside run it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_pgtlab");

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run_in(folder: &Path, args: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(PROGRAM)
        .args(args)
        .current_dir(folder)
        .env_remove("PGTLAB_STRATEGY_PATH")
        .env("XDG_DATA_HOME", "/none")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Most commands do not read it and may be gone by now.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(stdin.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ran { status: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub(crate) fn run(args: &[&str]) -> Ran {
    run_in(Path::new("."), args, "")
}

#[track_caller]
pub(crate) fn succeeds(args: &[&str]) -> Ran {
    let ran = run(args);
    assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
    ran
}

/// Runs a command in a folder and gives its message.
#[track_caller]
pub(crate) fn refused_in(folder: &Path, args: &[&str]) -> String {
    let ran = run_in(folder, args, "");
    assert_eq!((ran.status, &*ran.stdout), (2, ""), "{args:?}: {}", ran.stderr);
    ran.stderr.trim_end().to_owned()
}
