// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `pgtlab new` makes is compiled and run: on a copy of the workspace, with the workspace's own target
//! folder, so that only what is new is compiled.
//!
//! Only the new strategy is built. The others' libraries have no hash in their names, so a copy's would
//! take the place of those that other tests are loading at that moment.

#[cfg(test)]
mod tests {
    use pgtlab::discover;
    use pgtlab::scaffold::{new_repository, new_strategy};
    use std::ffi::OsStr;
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, io};

    const NAME: &str = "scaffold-probe";

    /// Always the same place: cargo knows a package by its path, and would compile the core anew otherwise.
    fn copied_workspace() -> PathBuf {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
        if to.exists() {
            fs::remove_dir_all(&to).expect("the last run's copy can be removed");
        }
        copy(Path::new(env!("CARGO_MANIFEST_DIR")), &to).expect("the workspace can be copied");
        to
    }

    /// With times of modification, by which cargo knows what has changed.
    fn copy(from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                if !is_left_out(&from) {
                    copy(&from, &to)?;
                }
            } else if entry.file_type()?.is_file() && !is_golden_trace(&from) {
                fs::copy(&from, &to)?;
                File::options().append(true).open(&to)?.set_modified(entry.metadata()?.modified()?)?;
            }
        }
        Ok(())
    }

    fn is_left_out(folder: &Path) -> bool {
        let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
        folder == target() || matches!(name, "target" | ".git")
    }

    /// Of the goldens only the machines are compiled in; the traces are many.
    fn is_golden_trace(file: &Path) -> bool {
        file.parent().is_some_and(|folder| folder.ends_with("golden")) && file.extension() == Some(OsStr::new("trace"))
    }

    fn target() -> &'static Path {
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder")
    }

    /// Runs cargo in the copy and returns what it said; a warning about the new crate is a failure.
    #[track_caller]
    fn cargo(root: &Path, args: &[&str]) -> String {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root).args(args).env("CARGO_TARGET_DIR", target()).env("CARGO_TERM_COLOR", "never");
        let output = command.output().expect("cargo can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {args:?}:\n{text}");
        assert!(!text.contains(&format!("--> strategies/{NAME}")), "cargo {args:?}:\n{text}");
        text
    }

    fn strategies() -> Vec<&'static str> {
        discover::in_tree().expect("the strategies were built").into_iter().map(|found| found.package).collect()
    }

    #[test]
    fn a_new_strategy_builds_is_registered_and_passes_its_test() {
        let root = copied_workspace();
        let report = new_strategy(NAME, &root, None).expect("made");
        assert!(report.files.iter().all(|file| root.join(file).is_file()), "{report:?}");

        cargo(&root, &["fmt", "--package", NAME, "--check"]);
        cargo(&root, &["build", "--offline", "--package", NAME]);
        let plugin = fs::read(target().join("debug/libscaffold_probe.so")).expect("the plugin is built");
        let description = format!("\"name\":\"{NAME}\"");
        assert!(plugin.windows(description.len()).any(|bytes| bytes == description.as_bytes()), "no description");

        let tested = cargo(&root, &["test", "--offline", "--package", NAME]);
        for test in ["a_small_machine_boots", "it_conforms"] {
            assert!(tested.contains(&format!("test tests::{test} ... ok")), "{tested}");
        }

        // By this cargo builds it with the root package's tests, and the program's list is of what is there.
        let tree = cargo(&root, &["tree", "--offline", "--package", "pgtlab", "--edges", "dev", "--depth", "1"]);
        assert!(tree.contains(&format!("{NAME} v")), "{tree}");
    }

    #[test]
    fn every_strategy_can_be_started_from_in_the_workspace() {
        let root = copied_workspace();
        let strategies = strategies();
        let names: Vec<String> = strategies.iter().map(|name| format!("like-{name}")).collect();
        for (name, like) in names.iter().zip(&strategies) {
            new_strategy(name, &root, Some(like)).expect("made");
        }
        let packages: Vec<&str> = names.iter().flat_map(|name| ["--package", name]).collect();
        cargo(&root, &[&["fmt", "--check"], &packages[..]].concat());
        let tested = cargo(&root, &[&["test", "--offline"], &packages[..]].concat());
        assert_eq!(tested.matches("tests::it_conforms ... ok").count(), strategies.len(), "{tested}");
    }

    /// A repository, always in the same place, whose copies of ours look as old as they are.
    fn repository(like: Option<&str>) -> PathBuf {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("repository");
        if out.exists() {
            fs::remove_dir_all(&out).expect("the last one can be removed");
        }
        let report = new_repository("repository-probe", &out, like).expect("made");
        for copy in report.files.iter().filter(|file| file.to_string_lossy().starts_with("pgtlab-")) {
            age(&out.join(copy)).expect("files");
        }
        out
    }

    /// Cargo takes what is older than its last build for built.
    fn age(folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                age(&path)?;
            } else {
                let program = fs::metadata(env!("CARGO_BIN_EXE_pgtlab"))?.modified()?;
                File::options().append(true).open(&path)?.set_modified(program)?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_repository_of_its_own_builds_and_passes_its_test() {
        let root = repository(None);
        cargo(&root, &["fmt", "--check"]);
        let tested = cargo(&root, &["test", "--offline"]);
        for test in ["a_small_machine_boots", "it_conforms"] {
            assert!(tested.contains(&format!("test tests::{test} ... ok")), "{tested}");
        }
        assert!(!tested.contains("warning"), "{tested}");
        cargo(&root, &["build", "--offline"]);
        let plugin = target().join("debug/librepository_probe.so");
        let program = env!("CARGO_BIN_EXE_pgtlab");
        let trace = Command::new(program).arg("trace").arg(&plugin).arg("01-native-6g").output().expect("it runs");
        let text = String::from_utf8_lossy(&trace.stdout);
        assert!(text.starts_with("strategy repository-probe\n") && text.ends_with("result OK\n"), "{text}");
    }

    #[test]
    fn every_strategy_can_be_started_from_in_a_repository() {
        for strategy in strategies() {
            let root = repository(Some(strategy));
            cargo(&root, &["fmt", "--check"]);
            let checked = cargo(&root, &["check", "--offline", "--tests"]);
            assert!(!checked.contains("warning"), "{strategy}: {checked}");
        }
    }
}
