// SPDX-License-Identifier: MIT OR Apache-2.0
//! A strategy that does whatever it must not: what its cell says, and that the rest of the matrix is the same
//! without it.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

#[path = "plugins/acts.rs"]
mod acts;

use acts::{ACTS, FIRST, STEP};
use pgtlab::corpus;
use pgtlab::matrix::{self, Contestant};
use pgtlab::options::Chosen;
use pgtlab::protocol::{Reply, Request, Want};
use pgtlab::record::{CellRecord, Verdict};
use pgtlab::spawn::{Limits, run_cell, run_probe};
use pgtlab::whatif::WhatIf;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn plugin() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_pgtlab")).with_file_name("examples").join("libfixture_misbehaves.so")
}

/// The machine on which the fixture does this, for whose stage Xen is needed or not.
fn layout(act: &str) -> String {
    let number = ACTS.iter().position(|known| *known == act).expect("an act");
    let kernel = FIRST + STEP * number as u64;
    let name = act.replace(' ', "-");
    let low = format!("name {name}\ne820 0 9f000 1\ne820 9f000 100000 2\n");
    if ["leaf", "write", "allocator up"].iter().any(|stage| act.ends_with(stage)) {
        let (list, tables, mapped) =
            (kernel + 0x80_0000, kernel + 0x90_0000, (kernel + 0xc0_0000).next_multiple_of(0x40_0000));
        return format!(
            "{low}e820 100000 20000000 1\nkernel {kernel:x} {list:x}\nxen_mfn_list {list:x}\nxen_pt {tables:x} 20\n\
             xen_mapped {mapped:x}\nxen 1\n"
        );
    }
    format!("{low}e820 100000 80000000 1\nkernel {kernel:x} {:x}\n", kernel + 0x80_0000)
}

/// Nothing here takes long, so that what does is stopped soon.
const LIMITS: Limits =
    Limits { wall: Duration::from_secs(60), cpu: Duration::from_secs(1), memory_bytes: 1 << 30, n_steps: None };

#[track_caller]
fn run(act: &str, want: Want) -> Reply {
    let request =
        Request { plugin: plugin(), strategy: "misbehaves".to_owned(), options: Vec::new(), layout: layout(act), want };
    run_cell(&request, &LIMITS).expect("the fixture is built")
}

#[track_caller]
fn check(act: &str, verdict: Verdict, stage: Option<&str>, text: &str) {
    let CellRecord { verdict: found, stage: at, text: said, .. } = run(act, Want::Record).record;
    let said = said.unwrap_or_default();
    assert!(said.starts_with(text), "{act}: {said:?}; expected {text:?}");
    assert_eq!((found, at.as_deref()), (verdict, stage), "{act}: {said}");
}

#[test]
fn a_panic_at_any_stage_is_told_with_the_stage() {
    for stage in ACTS.iter().take(10).filter_map(|act| act.strip_prefix("panics at ")) {
        let text = format!("the plugin panicked: at {stage} at tests/plugins/misbehaves.rs:");
        check(&format!("panics at {stage}"), Verdict::Crashed, Some(stage), &text);
    }
}

#[test]
fn a_death_that_cannot_be_caught_is_told_with_its_cause() {
    check("panics twice", Verdict::Crashed, Some("plan"), "the plugin was killed by SIGABRT");
    check("overflows the stack", Verdict::Crashed, Some("plan"), "the plugin was killed by SIGABRT");
    check("exits at once", Verdict::Crashed, Some("plan"), "the plugin exited with code 0 before it was done");
}

#[test]
fn whoever_has_no_end_is_stopped_by_its_steps() {
    let text = "no end after 302500 steps of the plugin";
    check("prints without end", Verdict::Timeout, Some("plan"), text);
    check("prints long lines without end", Verdict::Timeout, Some("plan"), text);
    let record = run("plans without end", Want::Record).record;
    assert_eq!((record.verdict, record.text.as_deref()), (Verdict::Timeout, Some(text)));
    check("answers a huge range", Verdict::Timeout, Some("plan"), text);
    // Nothing is asked of the host: only a clock tells.
    check("writes to stdout without end", Verdict::Timeout, Some("plan"), "no end after 1 s");
}

#[test]
fn a_record_is_not_forged_and_not_lost_by_descriptors() {
    check("closes 64 descriptors", Verdict::Boots, None, "");
    check("closes every descriptor", Verdict::Crashed, None, "the plugin closed the descriptor its record goes to");
    let text = "the plugin exited with code 0 before it was done";
    check("writes garbage to every descriptor", Verdict::Crashed, Some("plan"), text);
    check("writes a forged record to every descriptor", Verdict::Crashed, Some("plan"), text);
}

/// Whether the kernel has all that holds a plugin in.
fn is_fenced() -> bool {
    let fences = run_probe(&LIMITS).expect("a worker is started").fences;
    fences.seccomp.is_ok() && fences.landlock.is_ok()
}

#[test]
fn files_network_processes_and_signals_are_refused_where_the_kernel_can() {
    if !is_fenced() {
        return;
    }
    for act in [
        "forks without end",
        "leaves a child in a session of its own",
        "kills its parent",
        "opens files",
        "uses the network",
    ] {
        let trace = run(act, Want::Trace).text;
        assert!(trace.contains("\ndmesg: refused\n"), "{act}:\n{trace}");
        assert!(trace.ends_with("\nresult OK\n"), "{act}:\n{trace}");
    }
    assert!(!Path::new("/tmp/pgtlab-misbehaves").exists() && !Path::new("pgtlab-misbehaves").exists());
    let probed = run_probe(&LIMITS).expect("a worker is started");
    let possible: Vec<&(String, bool)> = probed.tried.iter().filter(|(_, is_refused)| !is_refused).collect();
    assert!(possible.is_empty(), "{possible:?}");
}

#[test]
fn threads_are_a_strategys_own_affair() {
    let trace = run("starts a thread", Want::Trace).text;
    assert!(trace.contains("\ndmesg: two\n"), "{trace}");
}

#[test]
fn an_answer_that_makes_no_sense_is_told_or_judged() {
    let text = "the piece [200, 400) of range [0, 400) is empty, out of order or outside";
    check("answers overlapping pieces", Verdict::Crashed, Some("plan"), text);
    for act in ["answers unaligned pieces", "answers a range outside RAM", "answers otherwise each time"] {
        let record = run(act, Want::Record).record;
        assert!(!matches!(record.verdict, Verdict::Error | Verdict::Crashed | Verdict::Timeout), "{act}: {record:?}");
    }
}

#[test]
fn the_rest_of_the_matrix_is_the_same_without_a_strategy_that_misbehaves() {
    let folder = tempfile::tempdir().expect("a folder");
    let is_fenced = is_fenced();
    let acts = ACTS.iter().filter(|act| is_fenced || **act != "kills its parent");
    let files: Vec<String> = acts
        .map(|act| {
            let path = folder.path().join(act.replace(' ', "-"));
            fs::write(&path, layout(act)).expect("a file");
            path.display().to_string()
        })
        .collect();
    let sources = corpus::select(&files).expect("layout files");
    let places = matrix::places(&sources, None, &WhatIf::default());
    let good = matrix::contestants(&["reserve-hook".to_owned()], &Chosen::default()).expect("a strategy of the tree");
    let bad = Contestant { name: "misbehaves".to_owned(), plugin: plugin(), ..good[0].clone() };
    let run = |contestants: &[Contestant]| {
        let run_one = |request: &Request| run_cell(request, &LIMITS).expect("both are built");
        let records = matrix::run(contestants, &places, 4, &run_one, &|| {}).expect("threads start");
        let (bad, rest): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.strategy == "misbehaves");
        (bad.len(), serde_json::to_string(&rest).expect("records are JSON"))
    };
    let (n_bad, rest) = run(&[bad, good[0].clone()]);
    assert_eq!(n_bad, files.len());
    assert_eq!((0, rest), run(&good));
}
