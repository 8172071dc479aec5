// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options of strategies from outside: what a strategy is given, where that shows, and what is refused.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pgtlab");
const LAYOUT: &str = "01-native-6g";

fn plugin() -> String {
    Path::new(PROGRAM).with_file_name("examples").join("libfixture_takes_options.so").display().to_string()
}

/// Runs the program; `FIXTURE` stands for the plugin's path. Status, standard output and standard error.
fn run(args: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let args = args.iter().map(|arg| arg.replace("FIXTURE", &plugin()));
    let output = Command::new(PROGRAM).args(args).current_dir(folder).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&plugin(), "FIXTURE");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn shows(args: &[&str], expected: &[&str]) {
    let (status, stdout, stderr) = run(args, Path::new("."));
    assert_eq!(status, Some(0), "{args:?}: {stderr}");
    for text in expected {
        assert!(stdout.contains(text) || stderr.contains(text), "{args:?}: no {text:?} in\n{stdout}{stderr}");
    }
}

#[track_caller]
fn refuses(args: &[&str], expected: &str) {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let all = [&["trace", "FIXTURE", LAYOUT], args].concat();
    let (status, stdout, stderr) = run(&all, &file);
    assert_eq!((status, stdout.as_str(), stderr.trim_end()), (Some(2), "", expected), "{args:?}");
}

#[test]
fn every_command_hands_the_options_on_and_names_what_is_no_default() {
    const SET: &str = "pgtlab.n_pages=64";
    const WITH: &str = "pgtlab[n_pages=64]";
    let set = SET;
    let trace = ["strategy pgtlab n_pages=64\n", "dmesg: n_pages 40, is_low false\n"];
    shows(&["trace", "FIXTURE", LAYOUT, "--set", set], &trace);
    shows(&["explain", "FIXTURE", LAYOUT, "--set", set], &[WITH]);
    shows(&["dump", "FIXTURE", LAYOUT, "--set", set], &["note: this is pgtlab[n_pages=64]/"]);
    shows(&["map", LAYOUT, "--strategy", "FIXTURE", "--set", set], &[WITH]);
    shows(&["diff", "unfixed", "FIXTURE", "--layout", LAYOUT, "--set", set], &[WITH]);
    // Its defaults leave Xen's tables writable, so a counterexample is found.
    let (status, proved, _) = run(&["prove", "FIXTURE", "--frames", "1", "--set", set], Path::new("."));
    assert_eq!(status, Some(1), "{proved}");
    assert!(proved.starts_with(&format!("{WITH} on all ")), "{proved}");
    assert!(proved.contains("pgtlab explain FIXTURE --set pgtlab.n_pages=64 tiny-1/"), "{proved}");
    let text = ["with n_pages=64", "pgtlab dump FIXTURE --set pgtlab.n_pages=64 01-native-6g"];
    shows(&["compare", "--strategy", "FIXTURE", "--layout", LAYOUT, "--set", set], &text);
    let json = ["\"options\":{\"is_low\":true,\"n_pages\":64}}\n"];
    let asked = ["compare", "--strategy", "FIXTURE", "--layout", LAYOUT, "--format", "json", "--set", set];
    shows(&[&asked[..], &["--set", "pgtlab.is_low=true"]].concat(), &json);
}

#[test]
fn a_default_that_is_given_by_hand_is_not_named() {
    let (_, plain, _) = run(&["trace", "FIXTURE", LAYOUT], Path::new("."));
    let (_, given, _) = run(&["trace", "FIXTURE", LAYOUT, "--set", "pgtlab.n_pages=32"], Path::new("."));
    assert_eq!(plain, given);
    assert!(plain.starts_with("strategy pgtlab\n"), "{plain}");
}

#[test]
fn a_file_has_a_table_for_each_strategy_and_the_command_line_stands_above_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = "# of two\n[pgtlab]\nn_pages = 0x10\nis_low = true\n\n[unfixed]\n";
    fs::write(folder.path().join("o.toml"), file).expect("a file");
    let asked = ["trace", "FIXTURE", LAYOUT, "--set-file", "o.toml"];
    let (status, stdout, stderr) = run(&asked, folder.path());
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("dmesg: n_pages 10, is_low true\n"), "{stdout}");
    let (_, stdout, _) = run(&[&asked[..], &["--set", "pgtlab.n_pages=0xff"]].concat(), folder.path());
    assert!(stdout.contains("dmesg: n_pages ff, is_low true\n"), "{stdout}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place_before_the_plugin_sees_it() {
    let name = "pgtlab";
    let set = |rest: &str| format!("{name}.{rest}");
    let refused = |rest: &str, why: &str| {
        refuses(&["--set", &set(rest)], &format!("error: --set {name}.{rest}: {why}"));
    };
    refused("n_page=1", &format!("{name} has no option n_page (did you mean n_pages?); it takes n_pages, is_low"));
    refused("n_pages=many", &format!("{name}.n_pages is \"many\"; expected a number, decimal or hexadecimal with 0x"));
    refused("is_low=1", &format!("{name}.is_low is \"1\"; expected true or false"));
    refuses(&["--set", "n_pages"], "error: --set n_pages: expected STRATEGY.KEY=VALUE");
    let other = "error: --set unfixed.n=1: no strategy of this run is called unfixed; it runs pgtlab";
    refuses(&["--set", "unfixed.n=1"], other);
    refuses(&["--set-file", "none.toml"], "error: cannot read none.toml: No such file or directory (os error 2)");
}

#[track_caller]
fn refuses_file(text: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("o.toml"), text).expect("a file");
    let (status, stdout, stderr) = run(&["trace", "FIXTURE", LAYOUT, "--set-file", "o.toml"], folder.path());
    assert_eq!((status, stdout.as_str()), (Some(2), ""), "{text}");
    for part in expected {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn what_makes_no_sense_in_a_file_is_shown_with_its_line() {
    let line = "[pgtlab]\nn_pages = true\n";
    let why = "error: o.toml: line 2: pgtlab.n_pages is true; expected a number";
    refuses_file(line, &[why, "o.toml:2:1", "n_pages = true", "──"]);
    refuses_file("[pgtlab]\nn = 1\n", &["o.toml: line 2: pgtlab has no option n; it takes n_pages, is_low"]);
    refuses_file("[unfixed]\nn = 1\n", &["o.toml: line 2: unfixed has no option n; it takes none"]);
    refuses_file("[bogus]\nn = 1\n", &["o.toml: line 2: no strategy of this run is called bogus"]);
    refuses_file("[pgtlab\n", &["o.toml: line 1: ", "[pgtlab"]);
}
