// SPDX-License-Identifier: MIT OR Apache-2.0
//! When something is to be done: a source has changed, or somebody wants the watch to end.

use super::WatchError;
use notify::event::{EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A file has changed.
    Changed,
    /// It is over.
    Stop,
}

/// The sources that are watched; no longer once this is dropped.
#[derive(Debug)]
pub struct Sources {
    _watcher: RecommendedWatcher,
}

impl Sources {
    /// Watches files, and folders with all below them.
    ///
    /// # Errors
    /// The system cannot watch one of them.
    pub fn watch(paths: &[&Path], notices: Sender<Notice>) -> Result<Self, WatchError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WatchError::Notify { path, source }
        };
        let first = paths.first().copied().unwrap_or_else(|| Path::new("."));
        let told = move |event: notify::Result<Event>| {
            // An error means that changes may have been missed, so that it is one.
            if event.map_or(true, |event| is_change(&event.kind)) {
                // Nobody listens any more once the watch is over.
                let _ = notices.send(Notice::Changed);
            }
        };
        let mut watcher = notify::recommended_watcher(told).map_err(failed(first))?;
        for path in paths {
            let mode = if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            watcher.watch(path, mode).map_err(failed(path))?;
        }
        Ok(Self { _watcher: watcher })
    }
}

/// Cargo itself opens and reads every source, which is no change.
const fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
}

/// From now on the signals that end a program end the watch instead: `stop` is set, and a notice sent.
///
/// # Errors
/// The system refuses.
pub fn stop_on_signals(stop: Arc<AtomicBool>, notices: Sender<Notice>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            stop.store(true, Ordering::Relaxed);
            if notices.send(Notice::Stop).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
