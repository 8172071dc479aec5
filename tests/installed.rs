// SPDX-License-Identifier: MIT OR Apache-2.0
//! An installed program, seen from a folder that knows nothing of the source tree, and the places where it
//! looks for strategies.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pgtlab");
const LAYOUT: &str = "01-native-6g";

/// The fixture's strategy is called as its package is.
const SAMPLE: &str = "pgtlab";

fn fixture() -> PathBuf {
    Path::new(PROGRAM).with_file_name("examples").join("libfixture_sample.so")
}

/// A home with an installation in it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a folder") };
        let prefix = home.path("prefix");
        let output = Command::new(PROGRAM).arg("install").arg(&prefix).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::create_dir(home.path("empty")).expect("a folder");
        home
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Puts the fixture into a folder.
    fn put(&self, folder: &str) -> PathBuf {
        fs::create_dir_all(self.path(folder)).expect("a folder");
        let to = self.path(folder).join("libsample.so");
        fs::copy(fixture(), &to).expect("the fixture is built");
        to
    }

    /// Runs the installed program from an empty folder.
    fn run(&self, variable: &str, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(self.path("prefix/bin/pgtlab"));
        command.current_dir(self.path("empty")).env_clear().args(args);
        command.env("HOME", self.path("")).env("PGTLAB_STRATEGY_PATH", variable);
        let Output { status, stdout, stderr } = command.output().expect("the program runs");
        let home = self.folder.path().display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&home, "HOME");
        (status.code(), text(&stdout), text(&stderr))
    }

    #[track_caller]
    fn shows(&self, variable: &str, args: &[&str], expected: &[&str]) {
        let (status, stdout, stderr) = self.run(variable, args);
        assert_eq!(status, Some(0), "{args:?}: {stderr}");
        for text in expected {
            assert!(stdout.contains(text) || stderr.contains(text), "{args:?}: no {text:?} in\n{stdout}{stderr}");
        }
    }

    #[track_caller]
    fn refuses(&self, variable: &str, args: &[&str], expected: &str) {
        let (status, stdout, stderr) = self.run(variable, args);
        assert_eq!((status, stdout.as_str(), stderr.trim_end()), (Some(2), "", expected), "{args:?}");
    }
}

#[test]
fn an_installed_program_runs_from_any_folder_with_the_corpus_and_its_strategies() {
    let home = Home::new();
    // Moved, so that nothing of it can come from where it was built or installed.
    fs::rename(home.path("prefix"), home.path("moved")).expect("a folder");
    fs::rename(home.path("moved"), home.path("prefix")).expect("a folder");
    home.shows(
        "",
        &["list"],
        &["reserve-hook (hook)", LAYOUT, "those without a place are from HOME/prefix/lib/pgtlab"],
    );
    home.shows("", &["trace", "hook", LAYOUT], &["strategy reserve-hook\n", "result OK\n"]);
    home.shows("", &["compare", "--layout", LAYOUT], &["1 layout, 14 strategies"]);
    // Nothing is taken from the folder of the build.
    fs::remove_file(home.path("prefix/lib/pgtlab/libunfixed.so")).expect("it was installed");
    let (status, _, stderr) = home.run("", &["list"]);
    assert_eq!(status, Some(2));
    assert!(
        stderr.starts_with("error: the plugin of strategy unfixed is missing: no libunfixed.so in HOME/"),
        "{stderr}"
    );
}

#[test]
fn a_strategy_is_found_in_the_variable_and_in_the_data_folder() {
    let home = Home::new();
    home.refuses(
        "HOME/none".replace("HOME", &home.folder.path().display().to_string()).as_str(),
        &["list"],
        "error: cannot read HOME/none of PGTLAB_STRATEGY_PATH: No such file or directory (os error 2)",
    );
    let file = home.put("one");
    let folder = home.path("one").display().to_string();
    for variable in [&*folder, &*file.display().to_string(), &*format!(":{folder}:{folder}")] {
        home.shows(variable, &["trace", SAMPLE, LAYOUT], &["strategy pgtlab\n"]);
        home.shows(variable, &["list"], &["from HOME/one/libsample.so, by PGTLAB_STRATEGY_PATH"]);
    }
    home.shows(&folder, &["compare", "--layout", LAYOUT], &["1 layout, 15 strategies"]);
    home.put(".local/share/pgtlab/strategies");
    home.shows("", &["list"], &["from HOME/.local/share/pgtlab/strategies/libsample.so, by your data folder"]);
    home.shows("", &["trace", SAMPLE, LAYOUT], &["strategy pgtlab\n"]);
}

#[test]
fn two_strategies_of_one_name_are_an_error_that_names_both_files() {
    let home = Home::new();
    home.put(".local/share/pgtlab/strategies");
    let other = home.put("other");
    let both = "error: two strategies are called pgtlab: HOME/other/libsample.so and \
                HOME/.local/share/pgtlab/strategies/libsample.so";
    home.refuses(&home.path("other").display().to_string(), &["list"], both);
    // Where only a path is typed, nothing is looked for.
    home.shows("", &["trace", &other.display().to_string(), LAYOUT], &["strategy pgtlab\n"]);
}

#[test]
fn a_library_that_is_no_plugin_is_left_out_and_told_of() {
    let home = Home::new();
    let folder = home.path(".local/share/pgtlab/strategies");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("libmine.so"), "no plugin").expect("a file");
    fs::write(folder.join("README"), "no plugin").expect("a file");
    let why = "HOME/.local/share/pgtlab/strategies/libmine.so: is no shared library; expected an ELF file, found text that \
               starts with \"no plugin\"";
    home.shows("", &["list"], &[&format!("left out: {why}\n")]);
    home.shows("", &["compare", "--layout", LAYOUT], &[&format!("warning: {why}; it is left out\n")]);
    let (status, _, stderr) = home.run("", &["trace", "mine", LAYOUT]);
    assert_eq!(status, Some(2));
    assert!(stderr.contains("no strategy is called mine") && stderr.contains(&format!("left out: {why}")), "{stderr}");
}
