// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that a plugin left behind.
//!
//! Most are in the worker's process group and are killed with it. One that made a session of its own is
//! not; it is found by a variable of its environment among the children of this process, which adopts
//! orphans once it was asked to (`PR_SET_CHILD_SUBREAPER`). Each worker has its own marker, and only
//! processes with that marker are touched, so workers of other threads are safe.

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, waitpid,
};
use std::fs;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that marks a worker and its descendants.
pub(super) const MARKER_VARIABLE: &str = "PGTLAB_WORKER";

/// The mark of one worker.
pub(super) struct Marker(String);

impl Marker {
    /// A mark that no other worker of any running process has.
    pub(super) fn new() -> Self {
        static SUBREAPER: Once = Once::new();
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let this = getpid();
        // Without it orphans go to another process; they are then killed with their group or not at all.
        SUBREAPER.call_once(|| {
            let _ = set_child_subreaper(Some(this));
        });
        Self(format!("{this}.{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn value(&self) -> &str {
        &self.0
    }
}

/// Kills the worker's process group, if anyone is left in it.
pub(super) fn kill_group(pid: Pid) {
    // The one failure is that nobody is left.
    let _ = kill_process_group(pid, Signal::KILL);
}

/// Kills and reaps the orphans of the worker with this mark. A plugin can have made chains of them, so it
/// is done until none turns up; a plugin that forks faster than this goes on is given up on.
pub(super) fn kill_marked(marker: &Marker) {
    const MOST_ROUNDS: u32 = 64;
    let mark = format!("{MARKER_VARIABLE}={}", marker.0);
    for _ in 0..MOST_ROUNDS {
        let orphans: Vec<Pid> = children().into_iter().filter(|pid| is_marked(*pid, &mark)).collect();
        if orphans.is_empty() {
            return;
        }
        for pid in orphans {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

fn children() -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers: Vec<i32> =
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    numbers.into_iter().filter_map(Pid::from_raw).collect()
}

fn is_marked(pid: Pid, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}
