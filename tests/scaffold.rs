// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `pgtlab new` makes is compiled and run: on a copy of the workspace, with the workspace's own target
//! folder, so that only what is new is compiled.
//!
//! Only the new strategy is built. The others' libraries have no hash in their names, so a copy's would
//! take the place of those that other tests are loading at that moment.

#[cfg(test)]
mod tests {
    use pgtlab::scaffold::new_strategy;
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

    #[test]
    fn a_new_strategy_builds_is_registered_and_passes_its_test() {
        let root = copied_workspace();
        let report = new_strategy(NAME, &root).expect("made");
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
}
