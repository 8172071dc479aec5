// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab conform` on plugins that each fall short in one way, and on some that do not.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    fn fixture(name: &str) -> PathBuf {
        let program = Path::new(env!("CARGO_BIN_EXE_pgtlab"));
        program.with_file_name("examples").join(format!("libfixture_{name}.so"))
    }

    /// The exit status, and what was printed; on one machine of the corpus, and all the hard ones.
    #[track_caller]
    fn conform(plugin: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgtlab"));
        command.arg("conform").arg(plugin).args(["--layout", "01-native-6g"]).args(arguments);
        let output = command.output().expect("pgtlab can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    }

    /// The plugin falls short in this check alone, for this reason.
    #[track_caller]
    fn check(name: &str, arguments: &[&str], check: &str, said: &str) {
        let (code, report) = conform(&fixture(name), arguments);
        let short = report.lines().filter(|line| line.starts_with("FALLS SHORT"));
        let short: Vec<&str> = short.map(|line| line[13..30].trim()).collect();
        assert_eq!((code, short), (Some(1), vec![check]), "{report}");
        assert!(report.contains(said), "{report}");
        assert!(report.contains("what to do: ") && report.contains("shown by: pgtlab "), "{report}");
        assert!(report.ends_with("falls short in 1 of 13 checks\n"), "{report}");
    }

    #[test]
    fn a_plugin_of_defaults_conforms() {
        let (code, report) = conform(&fixture("sample"), &[]);
        assert_eq!(code, Some(0), "{report}");
        assert!(report.contains("ok           file "), "{report}");
        assert!(report.contains("ok           tiny machines "), "{report}");
        assert!(report.contains("not asked    options          it declares none"), "{report}");
        assert!(report.contains("\nboots 1 of 1 cells native, "), "{report}");
        assert!(report.ends_with(" conforms\n"), "{report}");
    }

    #[test]
    fn a_plugin_with_options_is_asked_with_the_ends_of_their_kinds() {
        let (code, report) = conform(&fixture("takes_options"), &[]);
        assert_eq!(code, Some(0), "{report}");
        assert!(report.contains("ok           options          takes every value"), "{report}");
        assert!(report.contains("answers by itself: boot"), "{report}");
    }

    #[test]
    fn as_json_each_check_is_a_line_with_what_to_do() {
        let (code, report) = conform(&fixture("panics_in_drop"), &["--format", "json"]);
        assert_eq!(code, Some(1), "{report}");
        let lines: Vec<serde_json::Value> =
            report.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        assert_eq!(lines.len(), 13, "{report}");
        let short: Vec<_> = lines.iter().filter(|line| line["standing"] == "FALLS SHORT").collect();
        assert_eq!(short.len(), 1, "{report}");
        assert_eq!((&short[0]["check"], &short[0]["failures"][0]["layout"]), (&"drop".into(), &"01-native-6g".into()));
        assert!(short[0]["shown_by"].as_str().is_some_and(|text| text.starts_with("pgtlab explain ")), "{report}");
        assert!(lines[0]["what_to_do"].is_null(), "{report}");
    }

    #[test]
    fn a_report_is_the_same_with_one_worker_at_a_time() {
        let (one, many) =
            (conform(&fixture("sample"), &["--jobs", "1"]), conform(&fixture("sample"), &["--jobs", "4"]));
        assert_eq!(one, many);
    }

    #[test]
    fn each_way_to_fall_short_is_told_in_its_line() {
        let text = "01-native-6g@native: frees bytes that are not its own: [1000000, 2000000), at stage build done";
        check("frees_the_kernel", &[], "ownership", text);
        check("tells_its_process", &[], "repetition", "01-native-6g@native: differs in another process");
        check("panics_on_tiny_machines", &[], "tiny machines", "at stage plan: the plugin panicked: ");
        check("panics_in_drop", &[], "drop", "01-native-6g@native: the plugin panicked: not without a fight");
        let text = "declares an option that makes no sense: n_pages: its default is \"many\"";
        check("has_a_wrong_default", &[], "file", text);
        let text = "declares, and answers as by default on every machine: plan";
        check("declares_too_much", &[], "stages", text);
        check("panics_at_creation", &[], "loading", "the plugin panicked: not today");
    }

    #[test]
    fn a_plugin_without_end_is_given_up_on_after_the_first_cells() {
        let arguments = ["--timeout", "5"];
        check("loops_in_plan", &arguments, "end", "01-native-6g@native: at stage plan: no end after 5 s");
        check("sleeps", &arguments, "end", "01-native-6g@native: at stage plan: no end after 5 s");
    }

    #[test]
    fn a_plugin_that_dies_is_a_finding_and_the_report_comes() {
        let (code, report) = conform(&fixture("segfaults"), &[]);
        assert_eq!(code, Some(1), "{report}");
        assert!(report.contains("- 01-native-6g@native: at stage range done: was killed by SIGSEGV\n"), "{report}");
        assert!(report.contains("shown by: pgtlab explain "), "{report}");
    }

    #[test]
    fn what_is_no_plugin_falls_short_and_what_is_no_file_is_bad_input() {
        let (code, report) = conform(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path(), &[]);
        assert_eq!(code, Some(1), "{report}");
        assert!(report.contains("is no shared library; expected an ELF file"), "{report}");
        let (code, report) = conform(Path::new("/none.so"), &[]);
        assert_eq!(code, Some(2), "{report}");
        assert!(report.contains("/none.so: cannot be read"), "{report}");
        let (code, report) = conform(&fixture("sample"), &["--layout", "no-such"]);
        assert_eq!(code, Some(2), "{report}");
    }
}
