// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab watch`: builds a strategy of the workspace whenever a source changes, runs it, and tells what moved.
//!
//! ```text
//!  sources ─ notify ─► Changed ┐            ┌─► failed: the compiler's words, and the watch goes on
//!                              ├─► build ───┤
//!  Ctrl-C ── signal ─► Stop ───┘            └─► a copy of the plugin ─► every cell ─► against the last build
//! ```
//!
//! [`Watch::run`] is the loop and knows neither cargo nor files: `cargo` builds, `notices` says when. A plugin
//! is run from a copy that nobody writes to, made after cargo has ended; each cell's worker is a fresh process,
//! so no library of an earlier build is in the way.

mod cargo;
mod notices;

pub use cargo::{Cargo, find_package};
pub use notices::{Notice, Sources, stop_on_signals};

use crate::baseline::Baseline;
use crate::record::CellRecord;
use crate::report::count;
use crate::spawn::RunError;
use crate::summary::Word;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Why a watch cannot go on, or not begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no such crate.
    #[error(
        "the workspace at {} has no strategy {name}: no {}; expected the name of a crate there",
        root.display(), manifest.display()
    )]
    NoCrate {
        /// The workspace.
        root: PathBuf,
        /// What was typed.
        name: String,
        /// What is missing.
        manifest: PathBuf,
    },
    /// Cargo could not be run.
    #[error("failed to run cargo: {0}")]
    Cargo(io::Error),
    /// The crate makes no plugin.
    #[error("cargo built {package} and made no shared library of it; expected crate-type = [\"cdylib\", ..]")]
    NoPlugin {
        /// The crate.
        package: String,
    },
    /// A file cannot be read or written.
    #[error("failed to {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Changes cannot be noticed.
    #[error("failed to watch {}: {source}", path.display())]
    Notify {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
    /// No worker could be started.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The threads could not be started.
    #[error("failed to start the threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// What came of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Built {
    /// The plugin is the one of the last build.
    Same,
    /// A plugin that is there as long as no other is built; and what the compiler warned of.
    Plugin(PathBuf, String),
    /// Nothing, and what the compiler said.
    Failed(String),
    /// Nothing, since the watch is over.
    Stopped,
}

/// The parts of a watch: how to build, how to run every cell, whom to tell.
pub struct Watch<'w> {
    /// Builds.
    pub build: &'w mut dyn FnMut() -> Result<Built, WatchError>,
    /// Runs every cell of a plugin.
    pub run: &'w dyn Fn(&Path) -> Result<Vec<CellRecord>, WatchError>,
    /// Is told what happened.
    pub tell: &'w mut dyn FnMut(&str) -> Result<(), WatchError>,
    /// Set once the watch is to end.
    pub stop: &'w AtomicBool,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// For how long nothing may change before a build begins: an editor saves many files at once.
const QUIET: Duration = Duration::from_millis(100);

impl Watch<'_> {
    /// Watches until a notice says to stop, or nobody is left to give one.
    ///
    /// # Errors
    /// Cargo or a worker cannot be started. A build that fails is none, nor a plugin that cannot be loaded.
    pub fn run(&mut self, notices: &Receiver<Notice>) -> Result<(), WatchError> {
        let mut last: Option<Vec<CellRecord>> = None;
        loop {
            match (self.build)()? {
                Built::Stopped => return Ok(()),
                Built::Same if last.is_some() => {}
                Built::Same => (self.tell)("nothing new was built\n")?,
                Built::Failed(said) => (self.tell)(&format!("{said}the build failed; waiting for a change\n"))?,
                Built::Plugin(plugin, warnings) => {
                    (self.tell)(&warnings)?;
                    match (self.run)(&plugin) {
                        _ if self.stop.load(Ordering::Relaxed) => return Ok(()),
                        Ok(records) => {
                            (self.tell)(&moved(last.take(), &records))?;
                            last = Some(records);
                        }
                        Err(WatchError::Run(RunError::Load(error))) => {
                            (self.tell)(&format!("{}\nwaiting for a change\n", error.kind))?;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            if !wait(notices) {
                return Ok(());
            }
        }
    }
}

/// Waits for a change, and until changes have come to rest. False if the watch is over.
fn wait(notices: &Receiver<Notice>) -> bool {
    if notices.recv() != Ok(Notice::Changed) {
        return false;
    }
    loop {
        match notices.recv_timeout(QUIET) {
            Ok(Notice::Changed) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Ok(Notice::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// What moved since the last build; how the cells end, if it is the first.
fn moved(last: Option<Vec<CellRecord>>, records: &[CellRecord]) -> String {
    let mut text = String::new();
    match last {
        Some(last) => {
            let comparison = Baseline::of("the last build", last).compare(records, |_| true);
            let written = comparison.write_text(&mut text, false);
            debug_assert!(written.is_ok(), "writing to a string never fails");
        }
        None => {
            let n = |word: Word| records.iter().filter(|record| Word::of(record.verdict) == word).count();
            let words = Word::ALL.into_iter().filter(|word| 0 < n(*word));
            let ends: Vec<String> = words.map(|word| format!("{} {word}", n(word))).collect();
            let _ = writeln!(text, "{}: {}", count(records.len(), "cell", "cells"), ends.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests;
