// SPDX-License-Identifier: MIT OR Apache-2.0
//! `compare --judged`: judges in the matrix, those that are there and those that are not.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod program;

use pgtlab::judge::mmu::engines::Choice;
use pgtlab::judge::xen::machine::Machine;
use program::{refused_in, succeeds};
use std::path::Path;
use std::process::Command;

const ASKED: [&str; 8] = ["compare", "--judged", "--engine", "tcg", "--strategy", "hook", "--layout", "10-xen-512m"];

/// A run where no engine is to be found: its status, and what it prints on either output.
fn without_engines(required: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(program::PROGRAM);
    command.args(ASKED).args(args).env("PATH", "/none").env("PGTLAB_ENGINES", "/none").env("PGTLAB_REQUIRE", required);
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What stands behind a name in the table of judges.
#[track_caller]
fn row<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let table = text.split_once("\njudged, in cells").map(|(before, _)| &text[before.len()..]).expect("a table");
    let line = table.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no row of {name} in {table}")).split_whitespace().collect()
}

#[test]
fn a_judge_that_is_not_there_says_so_and_is_no_failure() {
    let (status, text, stderr) = without_engines("", &[]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    assert_eq!(row(&text, "reserve-hook"), ["-"; 6], "{text}");
    let unwrapped = text.replace("\n  ", " ");
    for name in ["MMU/TCG", "Xen"] {
        let line =
            format!("{name}: not to be had here: no qemu-system-x86_64 in PATH or PGTLAB_ENGINES; `just engines`");
        assert!(unwrapped.contains(&line), "no {line:?} in {unwrapped}");
    }
    let (status, json, stderr) = without_engines("", &["--format", "json"]);
    assert_eq!(status, Some(0));
    let record: serde_json::Value = serde_json::from_str(&json).expect("one record");
    let judgements = record["judgements"].as_array().expect("an array");
    assert_eq!(judgements.iter().map(|said| &said["judgement"]).collect::<Vec<_>>(), ["unavailable", "unavailable"]);
    assert!(stderr.starts_with("MMU/TCG: not to be had here: "), "{stderr}");
}

#[test]
fn a_judge_that_must_be_there_and_is_not_is_a_failure_before_anything_is_run() {
    for required in ["tcg", "xen"] {
        let (status, stdout, stderr) = without_engines(required, &[]);
        assert_eq!((status, &*stdout), (Some(2), ""), "{stderr}");
        assert!(stderr.starts_with("error: QEMU is unavailable: "), "{stderr}");
    }
}

#[test]
fn judges_that_are_there_agree_in_the_matrix() {
    let engines = Choice::Tcg.engines(|_, why| eprintln!("{why}")).unwrap_or_else(|why| panic!("required: {why}"));
    if engines.is_empty() || Machine::find().is_err() {
        // What must be there was looked for by the tests of each judge.
        return;
    }
    let args = [&ASKED[..], &["--strategy", "unfixed", "--layout", "01-native-6g"]].concat();
    let text = succeeds(&args).stdout;
    let judges: Vec<&str> = row(&text, "judged, in cells");
    assert_eq!(judges, ["MMU/TCG", "Xen"], "{text}");
    for strategy in ["unfixed", "reserve-hook"] {
        // The native cell is none for Xen.
        assert_eq!(row(&text, strategy), ["2", "0", "0", "1", "0", "0"], "{text}");
    }
    let differing = text.lines().find(|line| line.starts_with("10-xen-512m ")).expect("a row of the cell");
    assert_eq!(differing.split_whitespace().collect::<Vec<_>>(), ["10-xen-512m", "Xen", "FAULT+", "ok+"]);
    let lines = succeeds(&[&args[..], &["--format", "json"]].concat()).stdout;
    let judgements: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record")["judgements"].to_string())
        .collect();
    let (mmu, xen) = (
        r#"{"judge":"mmu/tcg","judgement":"agrees","text":null}"#,
        r#"{"judge":"xen","judgement":"agrees","text":null}"#,
    );
    let (native, both) = (format!("[{mmu}]"), format!("[{mmu},{xen}]"));
    assert_eq!(judgements, [&*native, &native, &both, &both]);
}

#[test]
fn an_engine_is_chosen_for_judges_alone() {
    let refused = refused_in(Path::new("."), &["compare", "--engine", "tcg"]);
    assert!(refused.contains("--judged"), "{refused}");
}
