// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever one plugin of a matrix is or does, the rest of the matrix is the same to the byte.
//!
//! Plugins of other interfaces, which must be built, are in `versions.rs`; those that misbehave at a stage in
//! `misbehaviour.rs`.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod borders;
mod c_library;
mod rest;

use borders::borders;
use c_library::with_constructor;
use rest::{Bad, Matrix};
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_pgtlab")).with_file_name("examples").join(format!("libfixture_{name}.so"))
}

/// The sample with some of its bytes changed.
fn changed(from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "nothing else moves");
    let mut bytes = fs::read(fixture("sample")).expect("the fixture is built");
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it is in the file");
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn files_that_are_no_plugins_are_left_out() {
    let matrix = Matrix::new();
    let folder = tempfile::tempdir().expect("a folder");
    matrix.check(&folder.path().join("none.so"), Bad::Refused);
    matrix.check(&folder.path().join(""), Bad::Refused);
    let file = folder.path().join("plugin.so");
    let whole = fs::read(fixture("sample")).expect("the fixture is built");
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let digest = format!("{:016x}", pgtlab_core::plugin::SEMANTICS);
    let bad = [
        Vec::new(),
        b"#!/bin/sh\necho\n".to_vec(),
        b"\x7fELF".to_vec(),
        // e_machine of the ELF header, 183 for AArch64, and e_type, 1 for an object file.
        with(18, 183),
        with(16, 1),
        changed(digest.as_bytes(), b"0123456789abcdef"),
        changed(b"{\"format\":2,", b"[\"format\":2,"),
        changed(b".pgtlab.desc\0", b".somethingel\0"),
        fs::read(env!("CARGO_BIN_EXE_pgtlab")).expect("this program"),
    ];
    for content in bad {
        fs::write(&file, content).expect("a file");
        matrix.check(&file, Bad::Refused);
    }
}

#[test]
fn a_file_cut_at_any_border_is_left_out() {
    let matrix = Matrix::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plugin.so");
    let whole = fs::read(fixture("sample")).expect("the fixture is built");
    for border in borders(&whole) {
        fs::write(&file, &whole[..border]).expect("a file");
        matrix.check(&file, Bad::Refused);
    }
}

#[test]
fn a_library_of_c_is_left_out_and_its_constructor_not_executed() {
    let folder = tempfile::tempdir().expect("a folder");
    // Where no C compiler is there is nothing to try.
    let Some((library, mark)) = with_constructor(folder.path()) else { return };
    Matrix::new().check(&library, Bad::Refused);
    assert!(!mark.exists(), "the constructor was executed");
}

#[test]
fn another_compiler_is_no_reason_to_leave_a_plugin_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plugin.so");
    let ours = format!("\"rustc\":\"{}\"", pgtlab_core::plugin::RUSTC);
    let theirs = ours.replace("rustc 1", "rustc 2");
    assert_ne!(ours, theirs);
    fs::write(&file, changed(ours.as_bytes(), theirs.as_bytes())).expect("a file");
    Matrix::new().check(&file, Bad::Run);
}

#[test]
fn strategies_that_die_or_do_not_end_harm_only_themselves() {
    let matrix = Matrix::new();
    let names = [
        "aborts",
        "answers_nonsense",
        "eats_memory",
        "exits",
        "floods_stdout",
        "forks",
        "loops_in_leaf",
        "panics",
        "panics_at_creation",
        "panics_in_drop",
        "panics_in_plan",
        "segfaults",
    ];
    for name in names {
        matrix.check(&fixture(name), Bad::Run);
    }
    for name in ["loops_in_plan", "sleeps"] {
        matrix.check(&fixture(name), Bad::RunWithoutEnd);
    }
}
