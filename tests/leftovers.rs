// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thousand cells that end badly leave nothing behind: no process, no file, no descriptor, no memory. A test
//! program of its own, since it counts what its process has.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

#[path = "plugins/acts.rs"]
mod acts;

use acts::{ACTS, FIRST, STEP};
use pgtlab::protocol::{Request, Want};
use pgtlab::spawn::{Limits, run_cell, run_probe};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The act that has no end but the clock's.
const CLOCKED: &str = "writes to stdout without end";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_pgtlab")).with_file_name("examples").join(format!("libfixture_{name}.so"))
}

fn cell(name: &str, kernel: u64, limits: &Limits) {
    let layout = format!(
        "name it\ne820 0 9f000 1\ne820 9f000 100000 2\ne820 100000 20000000 1\nkernel {kernel:x} {:x}\n",
        kernel + 0x80_0000
    );
    let request =
        Request { plugin: fixture(name), strategy: name.to_owned(), options: Vec::new(), layout, want: Want::Record };
    run_cell(&request, limits).expect("the fixtures are built");
}

/// Runs so many cells, a few at a time.
fn many(n: usize, jobs: usize, one: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if n <= number {
                        break;
                    }
                    one(number);
                }
            });
        }
    });
}

/// What this process has: its children, its descriptors, and what lies in the folders a plugin might write to.
fn possessions() -> (Vec<String>, usize, BTreeSet<PathBuf>) {
    let tasks = fs::read_dir("/proc/self/task").expect("a process has threads").flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children = children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let n_descriptors = fs::read_dir("/proc/self/fd").expect("a process has descriptors").count();
    let files = |folder: &str| {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let ours = |path: &PathBuf| path.to_string_lossy().contains("pgtlab");
    (children, n_descriptors, files("/tmp").into_iter().chain(files(".")).filter(ours).collect())
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it says how much is resident");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

#[test]
fn a_thousand_cells_that_end_badly_leave_nothing_behind() {
    let limits = Limits { memory_bytes: 1 << 30, ..Limits::default() };
    let probed = run_probe(&limits).expect("a worker is started");
    let is_fenced = probed.fences.seccomp.is_ok();
    let is_run = |act: &str| act != CLOCKED && (is_fenced || act != "kills its parent");
    let acts: Vec<u64> = (0..).zip(ACTS).filter(|(_, act)| is_run(act)).map(|(number, _)| number).collect();
    let others = ["aborts", "segfaults", "exits", "panics_in_drop", "panics_at_creation", "floods_stdout", "forks"];
    let one = |number: usize| match others.get(number % (acts.len() + others.len())) {
        Some(name) => cell(name, FIRST, &limits),
        None => cell("misbehaves", FIRST + STEP * acts[number % acts.len()], &limits),
    };
    // The first of them make what stays: threads' stacks, the allocator's pools.
    many(100, 4, one);
    let (before, before_kib) = (possessions(), resident_kib());
    assert_eq!(before.0, Vec::<String>::new());
    many(1000, 4, one);
    let second = Limits { wall: Duration::from_secs(1), cpu: Duration::from_secs(1), ..limits };
    let writes = ACTS.iter().zip(0..).find_map(|(act, number)| (*act == CLOCKED).then_some(number));
    let kernel = FIRST + STEP * writes.expect("it is one of the acts");
    let clocked = [("sleeps", FIRST), ("loops_in_plan", FIRST), ("misbehaves", kernel)];
    many(20 * clocked.len(), 8, |number| {
        let (name, kernel) = clocked[number % clocked.len()];
        cell(name, kernel, &second);
    });
    assert_eq!(possessions(), before);
    let grown_kib = resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < 8 << 10, "the host has grown by {grown_kib} KiB");
}
