// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface's promise to plugins that were built before, and the words with which others are refused.
//!
//! `tests/previous/` is a plugin with the previous interface as source; it is built here, once for each case.

#[cfg(test)]
mod rest;

#[cfg(test)]
mod tests {
    use crate::rest::{Bad, Matrix};
    use pgtlab::inspect::Inspection;
    use pgtlab::protocol::{Reply, Request, Want};
    use pgtlab::record::Verdict;
    use pgtlab::spawn::{Limits, RunError, run_cell};
    use pgtlab_core::plugin::{INTERFACE, VERSION};
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::Mutex;
    use tempfile::TempDir;

    const NATIVE: &str =
        "name small\ne820 0 9f000 1\ne820 9f000 100000 2\ne820 100000 80000000 1\nkernel 1000000 1800000\n";

    /// Builds the previous plugin and keeps a copy, as the next case is built to the same place.
    #[track_caller]
    fn build(arguments: &[&str]) -> (TempDir, PathBuf) {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/previous/Cargo.toml");
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--offline", "--locked", "--manifest-path"]).arg(manifest).args(arguments);
        let output = command.env("CARGO_TARGET_DIR", target).output().expect("cargo can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let folder = tempfile::tempdir().expect("a folder");
        let plugin = folder.path().join("libold_fix.so");
        fs::copy(target.join("debug/libprevious_plugin.so"), &plugin).expect("the plugin is built");
        (folder, plugin)
    }

    fn run(plugin: &Path, want: Want) -> Result<Reply, RunError> {
        let request = Request {
            plugin: plugin.to_owned(),
            strategy: "old-fix".to_owned(),
            options: Vec::new(),
            layout: NATIVE.to_owned(),
            want,
        };
        run_cell(&request, &Limits::default())
    }

    #[track_caller]
    fn refusal(features: &str) -> String {
        let (_folder, plugin) = build(&["--features", features]);
        Matrix::new().check(&plugin, Bad::Refused);
        match run(&plugin, Want::Record) {
            Err(RunError::Load(error)) => error.kind.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plugin_built_against_the_previous_interface_runs() {
        let (_folder, plugin) = build(&[]);
        let reply = run(&plugin, Want::Trace).expect("it is loaded");
        assert_eq!((reply.record.verdict, reply.record.text), (Verdict::Boots, None));
        Matrix::new().check(&plugin, Bad::Run);
        assert!(reply.text.contains("dmesg: built against interface 1.0\n"), "{}", reply.text);
        let found = Inspection::of(&plugin).expect("it can be read");
        assert!(found.refusal.is_none(), "{found}");
        assert!(found.to_string().contains("rustc 1.0.0 (of another time)"), "another compiler is told:\n{found}");
    }

    #[test]
    fn a_newer_plugin_is_refused_by_its_version() {
        let expected = format!(
            "was built against interface 1.99 (pgtlab-core 0.1.0), this host has {INTERFACE}: it may ask for what this \
             host does not have\ninstall a pgtlab that has this interface, or rebuild the strategy against pgtlab-core \
             {VERSION} (interface {INTERFACE})"
        );
        assert_eq!(refusal("newer"), expected);
    }

    #[test]
    fn a_renumbered_stage_is_refused_though_every_type_is_the_same() {
        let expected = format!(
            "was built against pgtlab-core 0.1.0, this host has {INTERFACE}: StrategyModule: its numbers mean other \
             things\nrebuild the strategy against pgtlab-core {VERSION}"
        );
        assert_eq!(refusal("renumbered"), expected);
    }

    #[test]
    fn a_changed_field_is_refused_in_two_lines_that_name_it() {
        let text = refusal("changed-field");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("RawRange"), "{text}");
    }

    #[test]
    fn a_plugin_built_to_abort_says_so_and_dies_alone() {
        let (_folder, plugin) = build(&["--features", "panics", "--config", "profile.dev.panic=\"abort\""]);
        let found = Inspection::of(&plugin).expect("it can be read");
        assert!(found.to_string().contains("panic = abort: a panic ends its worker without an answer"), "{found}");
        let record = run(&plugin, Want::Record).expect("it is loaded").record;
        assert_eq!(record.verdict, Verdict::Crashed);
        assert_eq!(record.text.as_deref(), Some("the plugin was killed by SIGABRT"));
        Matrix::new().check(&plugin, Bad::Run);
    }
}
