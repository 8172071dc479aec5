// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linux-6-1` against boots of Linux 6.1 that were kept, and against the kernel where it can be had.
//!
//! Where QEMU or the kernel is missing the test that needs them says so and passes; with `linux` in `PGTLAB_REQUIRE` it
//! fails.

#[cfg(test)]
mod tests {
    use pgtlab::judge::engine::unless_required;
    use pgtlab::judge::linux::guest::USUAL;
    use pgtlab::judge::linux::machine::Machine;
    use pgtlab::judge::linux::observed::parse;
    use pgtlab::judge::linux::{KEPT, STRATEGY};
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    struct Ran {
        code: Option<i32>,
        out: String,
        err: String,
    }

    fn judge(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgtlab"));
        command.args(["judge", "linux"]).args(arguments).envs(variables.iter().copied());
        let output = command.output().expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    fn check(arguments: &[&str], variables: &[(&str, &str)], code: i32, expected: &str) {
        let Ran { code: found, out, err } = judge(arguments, variables);
        assert!(found == Some(code) && (out.contains(expected) || err.contains(expected)), "{found:?}\n{out}\n{err}");
    }

    #[test]
    fn the_kernel_did_on_every_machine_what_the_strategy_does() {
        let ran = judge(&["--recorded"], &[]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        for guest in USUAL {
            let is_told = |line: &str| line.starts_with(&format!("{guest} ")) && line.ends_with("  agrees");
            assert!(ran.out.lines().any(is_told), "{guest} in\n{}", ran.out);
        }
    }

    #[test]
    fn boots_are_kept_of_the_usual_machines_as_they_are_written() {
        let mut names: Vec<&str> = KEPT.iter().map(|(name, _)| *name).collect();
        for (name, text) in KEPT {
            let observed = parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((observed.guest.to_string().as_str(), observed.to_string().as_str()), (*name, *text));
            assert!(observed.engines.iter().any(|(engine, version)| engine == "linux" && version.starts_with("6.1.")));
        }
        let mut usual = USUAL.to_vec();
        usual.sort_unstable();
        names.sort_unstable();
        assert_eq!(names, usual);
    }

    /// The control: the kernel must not agree with a kernel of other rules.
    #[test]
    fn the_kernel_parts_from_the_strategy_of_another_version() {
        let arguments = ["linux-3-9", "pc-4096-no1g", "--recorded"];
        check(&arguments, &[], 1, "range 3: predicted 13c000000-13fe00000, the kernel 120000000-13fe00000");
        check(&["semantic-builder", "pc-1024", "--recorded"], &[], 1, "the pool of 4401-4411: predicted has none");
        let json = judge(&["-s", "linux-3-9", "pc-1024-xen512", "--recorded", "--format", "json"], &[]);
        assert_eq!(json.code, Some(1), "{}", json.err);
        let record: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
        let shown = ["guest", "backend", "judge", "finding"].map(|key| record[key].as_str().unwrap_or_default());
        assert_eq!(shown, ["pc-1024-xen512", "xen", "linux", "differs"]);
    }

    #[test]
    fn an_option_that_is_chosen_is_the_prediction() {
        let arguments = ["pc-1024", "--recorded", "--set", "linux-6-1.kaslr=true"];
        check(&arguments, &[], 1, "the pool of 4401-4411: predicted goes on at 4406, the kernel goes on at 4405");
        // Where the p2m list is comes from the boot, unless it is said.
        check(&["pc-1024-xen512", "--recorded", "--set", "linux-6-1.nr_p2m_frames=1"], &[], 1, "pages 8001-8103: ");
    }

    #[test]
    fn what_cannot_be_judged_is_told() {
        check(&[STRATEGY, "toaster", "--recorded"], &[], 2, "\"toaster\" is no machine of QEMU's");
        check(&["pc-1025", "--recorded"], &[], 2, "no boot of pc-1025 was kept; there are pc-1024, pc-1024-initrd32, ");
        check(&["linux-6.2", "pc-1024", "--recorded"], &[], 2, "linux-6.2");
        check(&["linux-*", "--recorded"], &[], 2, "`linux-*` names 5 strategies");
        check(&["pc-1024", "--recorded", "--record", "x"], &[], 2, "cannot be used with");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_string_lossy().into_owned();
        check(&["pc-1024", "--record", &path], &[], 2, &path);
    }

    #[test]
    fn a_judge_that_is_not_there_is_no_failure_unless_it_must_be() {
        let none = [("PGTLAB_ENGINES", "/none/such"), ("PATH", ""), ("PGTLAB_REQUIRE", "")];
        check(&["pc-1024"], &none, 3, "QEMU is unavailable: ");
        let required = [none[0], none[1], ("PGTLAB_REQUIRE", "tcg, linux")];
        check(&["pc-1024"], &required, 2, "QEMU is unavailable: ");
    }

    #[test]
    fn an_image_that_is_no_kernel_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |place: &str, text: &str| {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().expect("a folder"))
                .and_then(|()| fs::write(path, text))
                .expect("it is written");
        };
        write("usr/bin/qemu-system-x86_64", "");
        write("boot/vmlinuz-6.1.0-9-amd64", "");
        write("boot/vmlinuz-6.1.0-10-amd64", "no kernel");
        let engines = folder.path().to_string_lossy().into_owned();
        let named = Path::new("boot/vmlinuz-6.1.0-10-amd64: no bzImage").to_string_lossy().into_owned();
        check(&["pc-1024"], &[("PGTLAB_ENGINES", &engines)], 2, &named);
    }

    #[test]
    fn the_kernel_does_what_the_strategy_does() {
        let found = unless_required(Machine::find(), "linux", |why| eprintln!("{why}"));
        if found.unwrap_or_else(|why| panic!("PGTLAB_REQUIRE names linux: {why}")).is_none() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_string_lossy().into_owned();
        check(&["pc-1024-no1g", "--record", &path], &[], 0, "  agrees");
        let kept = fs::read_to_string(folder.path().join("pc-1024-no1g.txt")).expect("it was kept");
        assert_eq!(parse(&kept).expect("a record").counted, [992, 510, 0]);
    }
}
