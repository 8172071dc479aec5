// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds one strategy of a workspace, and keeps a copy of what was built.

use super::{Built, WatchError};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs, thread};
use tempfile::TempDir;

/// How often a running build is looked at.
const TICK: Duration = Duration::from_millis(50);

/// The package of a strategy of the workspace at `root`.
///
/// # Errors
/// [`WatchError::NoCrate`].
pub fn find_package(root: &Path, name: &str) -> Result<String, WatchError> {
    let manifest = Path::new("strategies").join(name).join("Cargo.toml");
    if !name.is_empty() && !name.contains(['/', '.']) && root.join(&manifest).is_file() {
        return Ok(name.to_owned());
    }
    Err(WatchError::NoCrate { root: root.to_owned(), name: name.to_owned(), manifest })
}

/// Builds a package.
#[derive(Debug)]
pub struct Cargo {
    root: PathBuf,
    package: String,
    color: &'static str,
    /// Where the copies are.
    copies: TempDir,
    n_builds: u64,
}

/// A line of cargo's messages, as far as it is about a library that was made.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    fresh: bool,
}

impl Cargo {
    /// Builds this package of the workspace at `root`.
    ///
    /// # Errors
    /// There is no room for the copies.
    pub fn new(root: &Path, package: &str, has_color: bool) -> Result<Self, WatchError> {
        let copies = tempfile::Builder::new().prefix("pgtlab-watch-").tempdir();
        let copies = copies.map_err(|source| WatchError::Io { what: "make a folder for the plugin", source })?;
        let color = if has_color { "always" } else { "never" };
        Ok(Self { root: root.to_owned(), package: package.to_owned(), color, copies, n_builds: 0 })
    }

    /// Builds once; ends early, and leaves no process, when `stop` is set.
    ///
    /// # Errors
    /// Cargo cannot be started, or the package makes no plugin.
    pub fn build(&mut self, stop: &AtomicBool) -> Result<Built, WatchError> {
        let (status, messages, said) = self.run(stop).map_err(WatchError::Cargo)?;
        let Some(status) = status else { return Ok(Built::Stopped) };
        if !status.success() {
            return Ok(Built::Failed(said));
        }
        let made = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).find_map(|it| self.plugin(it));
        let Some((library, is_fresh)) = made else {
            return Err(WatchError::NoPlugin { package: self.package.clone() });
        };
        if is_fresh && 0 < self.n_builds {
            return Ok(Built::Same);
        }
        let copy = |n: u64| self.copies.path().join(format!("{n}.so"));
        if 0 < self.n_builds {
            // If it stays it goes with its folder.
            let _ = fs::remove_file(copy(self.n_builds));
        }
        let plugin = copy(self.n_builds + 1);
        fs::copy(&library, &plugin).map_err(|source| WatchError::Io { what: "copy the plugin", source })?;
        self.n_builds += 1;
        Ok(Built::Plugin(plugin, said))
    }

    /// The library of the package, if this message is about it, and whether it was there already.
    fn plugin(&self, made: Artifact) -> Option<(PathBuf, bool)> {
        let folder = format!("/strategies/{}#", self.package);
        if made.reason != "compiler-artifact" || !made.package_id.contains(&folder) {
            return None;
        }
        let mut libraries = made.filenames.into_iter();
        let library = libraries.find(|file| file.extension().is_some_and(|extension| extension == "so"))?;
        Some((library, made.fresh))
    }

    /// Runs cargo to its end. Nothing for the status if it was stopped; what it wrote to either output.
    fn run(&self, stop: &AtomicBool) -> io::Result<(Option<ExitStatus>, String, String)> {
        // Files and not pipes, so that cargo never waits for a reader.
        let (mut messages, mut said) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(&self.root)
            .args(["build", "--quiet", "--message-format", "json-render-diagnostics"])
            .args(["--color", self.color, "--package", &self.package])
            .stdin(Stdio::null())
            .stdout(messages.try_clone()?)
            .stderr(said.try_clone()?)
            // So that all of it can be ended, and Ctrl-C comes to the watch alone.
            .process_group(0);
        let status = wait(&mut command.spawn()?, stop)?;
        Ok((status, read(&mut messages)?, read(&mut said)?))
    }
}

fn wait(cargo: &mut Child, stop: &AtomicBool) -> io::Result<Option<ExitStatus>> {
    loop {
        if stop.load(Ordering::Relaxed) {
            // The one failure is that nobody is left.
            let _ = kill_process_group(Pid::from_child(cargo), Signal::KILL);
            cargo.wait()?;
            return Ok(None);
        }
        if let Some(status) = cargo.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(TICK);
    }
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_of_the_workspace_is_found_and_nothing_else() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(find_package(root, "unfixed").ok().as_deref(), Some("unfixed"));
        for name in ["", "..", "../core", "no-such"] {
            assert!(matches!(find_package(root, name), Err(WatchError::NoCrate { .. })), "{name}");
        }
    }

    #[test]
    fn a_build_that_is_stopped_leaves_no_process() {
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", "sleep 1000 & wait"]).process_group(0).spawn().expect("a shell");
        let group = Pid::from_child(&child);
        assert_eq!(wait(&mut child, &AtomicBool::new(true)).expect("it is waited for"), None);
        // What the shell started is dead, and gone once it was reaped.
        let is_gone = || rustix::process::test_kill_process_group(group).is_err();
        for _ in 0..200 {
            if is_gone() {
                return;
            }
            thread::sleep(TICK);
        }
        panic!("processes are left");
    }
}
