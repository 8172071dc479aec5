// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab inspect` on plugins and on files that are none: what it prints, its exit status, and that nothing
//! of the file is executed.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod borders;
mod c_library;

use borders::borders;
use c_library::with_constructor;
use pgtlab::inspect::Inspection;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pgtlab");

fn fixture(name: &str) -> PathBuf {
    Path::new(PROGRAM).with_file_name("examples").join(format!("libfixture_{name}.so"))
}

/// What the command prints, and its exit status.
fn inspect(typed: &str) -> (i32, String, String) {
    let output = Command::new(PROGRAM).args(["inspect", typed]).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The text behind a word of the report.
#[track_caller]
fn value<'t>(report: &'t str, word: &str) -> &'t str {
    let found = report.lines().find_map(|line| line.strip_prefix(word).filter(|rest| rest.starts_with(' ')));
    found.unwrap_or_else(|| panic!("no {word} in\n{report}")).trim()
}

#[test]
fn a_plugin_shows_all_that_it_says_of_itself() {
    let (status, report, errors) = inspect(&fixture("sample").display().to_string());
    assert_eq!((status, &*errors), (0, ""), "{report}");
    assert_eq!(value(&report, "strategy"), format!("pgtlab {} (least, \"quoted\")", env!("CARGO_PKG_VERSION")));
    assert_eq!(value(&report, "stages"), "none: all are left at their defaults");
    assert_eq!(value(&report, "options"), "none");
    let interface = pgtlab_core::plugin::INTERFACE;
    let core = pgtlab_core::plugin::VERSION;
    assert_eq!(value(&report, "interface"), format!("{interface} (pgtlab-core {core}); this pgtlab has {interface}"));
    assert_eq!(value(&report, "compiler"), pgtlab_core::plugin::RUSTC);
    assert_eq!(value(&report, "target"), "x86_64-unknown-linux-gnu");
    assert!(value(&report, "profile").ends_with(", panic = unwind"), "{report}");
    assert_eq!(value(&report, "loads"), "yes");
    let summed = Command::new("sha256sum").arg(fixture("sample")).output();
    if let Ok(output) = summed {
        let sum = String::from_utf8_lossy(&output.stdout);
        assert_eq!(Some(value(&report, "sha256")), sum.split_whitespace().next());
    }
}

#[test]
fn options_are_shown_with_kind_default_and_help_and_must_make_sense() {
    let (status, report, _) = inspect(&fixture("takes_options").display().to_string());
    assert_eq!((status, value(&report, "stages")), (0, "boot"), "{report}");
    assert_eq!(value(&report, "options"), "n_pages (number, default 0x20): how many pages it says");
    let mut bytes = fs::read(fixture("takes_options")).expect("the fixture is built");
    let at = find(&bytes, b"\"default\":\"0x20\"");
    bytes[at..at + 16].copy_from_slice(b"\"default\":\"many\"");
    falls_short(&bytes, "declares an option that makes no sense: n_pages: its default is \"many\"");
}

#[test]
fn a_strategy_is_inspected_by_name_too() {
    let (status, report, _) = inspect("hook");
    assert_eq!(status, 0, "{report}");
    assert!(value(&report, "file").ends_with("libreserve_hook.so"), "{report}");
}

#[test]
fn what_is_not_there_is_bad_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display();
    let none = format!("error: {folder}/none.so: cannot be read: No such file or directory (os error 2)\n");
    assert_eq!(inspect(&format!("{folder}/none.so")), (2, String::new(), none));
    let directory = format!("error: {folder}/: is a directory; expected a strategy's shared library\n");
    assert_eq!(inspect(&format!("{folder}/")), (2, String::new(), directory));
    let (status, report, errors) = inspect("unfixd");
    assert_eq!((status, &*report), (2, ""));
    assert!(errors.starts_with("error: no strategy is called unfixd (did you mean unfixed?)"), "{errors}");
}

#[track_caller]
fn falls_short(content: &[u8], expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plugin.so");
    fs::write(&path, content).expect("a file");
    let (status, report, errors) = inspect(&path.display().to_string());
    assert_eq!((status, &*errors), (1, ""), "{report}");
    let loads = value(&report, "loads");
    assert!(loads.starts_with(&format!("no: {expected}")), "{loads}");
}

#[test]
fn a_file_that_cannot_be_loaded_is_told_why() {
    falls_short(b"", "is no shared library; expected an ELF file, found an empty file");
    falls_short(b"#!/bin/sh\n", "is no shared library; expected an ELF file, found text");
    let whole = fs::read(fixture("sample")).expect("the fixture is built");
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    // The ELF header's e_machine, 183 for AArch64, and e_type, 1 for an object file.
    falls_short(&with(18, &[183]), "is for Aarch64; expected x86-64");
    falls_short(&with(16, &[1]), "is an object file; expected a shared library");
    falls_short(&fs::read(PROGRAM).expect("this program"), "exports no strategy");
    let digest = format!("{:016x}", pgtlab_core::plugin::SEMANTICS);
    let at = find(&whole, digest.as_bytes());
    falls_short(
        &with(at, b"0123456789abcdef"),
        &format!("was built against interface {} (pgtlab-core ", pgtlab_core::plugin::INTERFACE),
    );
    let at = find(&whole, b"{\"format\":2,");
    falls_short(&with(at, b"["), "has a description (section .pgtlab.desc) that makes no sense");
    // The name of the section, in the table of names.
    let at = find(&whole, b".pgtlab.desc\0");
    falls_short(&with(at, b".somethingel"), "has no description (section .pgtlab.desc)");
}

#[track_caller]
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is in the file")
}

#[test]
fn a_file_cut_at_any_border_is_truncated() {
    let whole = fs::read(fixture("sample")).expect("the fixture is built");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plugin.so");
    for border in borders(&whole) {
        let cut = &whole[..border];
        fs::write(&path, cut).expect("a file");
        let found = Inspection::of(&path).expect("it can be read");
        let why = found.refusal.map(|kind| kind.to_string()).unwrap_or_default();
        let expected = if border < 4 { "is no shared library" } else { "is truncated: " };
        assert!(why.starts_with(expected), "cut at {border:#x}: {why}");
    }
}

#[test]
fn nothing_of_the_file_is_executed() {
    let folder = tempfile::tempdir().expect("a folder");
    // Where no C compiler is there is nothing to try.
    let Some((library, mark)) = with_constructor(folder.path()) else { return };
    let (status, report, _) = inspect(&library.display().to_string());
    assert_eq!(status, 1, "{report}");
    assert!(value(&report, "loads").starts_with("no: exports no strategy"), "{report}");
    assert!(!mark.exists(), "the constructor was executed");
}
