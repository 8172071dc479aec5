// SPDX-License-Identifier: MIT OR Apache-2.0
//! A processor agrees with the walker about what strategies leave behind, and does not with write protection off.
//!
//! Where QEMU is missing these tests say so and pass; with `tcg` in `PGTLAB_REQUIRE` they fail.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod program;

use pgtlab::judge::engine::unless_required;
use pgtlab::judge::mmu::verdict::{Access, Difference, Met};
use pgtlab::judge::mmu::{Engine, Judged, NotJudged, WriteProtect, judge};
use pgtlab_core::ops::Ops;
use program::{refused_in, run, succeeds};
use std::path::Path;
use std::process::Command;

/// The engine, if it is there.
#[track_caller]
fn engine() -> Option<Engine> {
    let found = unless_required(Engine::find(), "tcg", |why| eprintln!("{why}"));
    found.unwrap_or_else(|why| panic!("PGTLAB_REQUIRE names tcg: {why}"))
}

fn ops(strategy: &str, layout: &str, backend: &str) -> Ops {
    let printed = succeeds(&["ops", strategy, layout, "--backend", backend]).stdout;
    Ops::parse(&printed).expect("an operation trace")
}

#[track_caller]
fn judged(engine: &Engine, ops: &Ops, protect: WriteProtect) -> Judged {
    judge(engine, ops, protect).expect("the engine runs").expect("the cell is one that can be judged")
}

/// The processor agrees with the walker on this cell; with write protection off it differs exactly where pages are
/// mapped read-only: it writes to them.
#[track_caller]
fn check(strategy: &str, layout: &str, backend: &str) {
    let Some(engine) = engine() else { return };
    let ops = ops(strategy, layout, backend);
    let on = judged(&engine, &ops, WriteProtect::On);
    let differences: Vec<String> = on.differences.iter().map(ToString::to_string).collect();
    assert_eq!(differences, [""; 0], "{strategy}/{layout}");
    assert!(0 < on.n_pages && 0 < on.n_tables);
    let off = judged(&engine, &ops, WriteProtect::Off);
    assert_eq!(off.differences.len() as u64, on.n_read_only, "{strategy}/{layout}");
    for difference in off.differences {
        let is_write = matches!(
            difference,
            Difference::Access { access: Access::Write, expected: Met::Fault(3), got: Met::Nothing, .. }
        );
        assert!(is_write, "{difference}");
    }
}

#[test]
fn large_pages_and_holes_are_as_the_walker_says() {
    check("linux-2-6-38", "17-native-2g-gb-lost", "native");
    check("semantic-builder", "14-native-unaligned", "native");
}

#[test]
fn read_only_pages_left_behind_are_read_only() {
    check("unfixed", "10-xen-512m", "xen");
    check("reserve-hook", "15-xen-3g-memtest", "xen");
}

#[test]
fn tables_of_xens_own_and_frames_of_the_machine_are_reached() {
    // Its first tables of level 1 fill more frames than the builder set aside for them; dom0 maps holes 1:1.
    check("unfixed", "09-xen-dom0-16g-holes", "xen");
}

#[test]
fn a_table_where_the_processor_starts_is_put_back() {
    // Linux 3.8 takes its tables down from 4 GiB.
    check("linux-3-8", "05-xen-ec2-7680m", "xen");
}

#[test]
fn cells_that_cannot_be_judged_say_why() {
    let Some(engine) = engine() else { return };
    let died = ops("linux-3-9", "12-xen-step-bug", "xen");
    assert_eq!(judge(&engine, &died, WriteProtect::On).expect("no failure"), Err(NotJudged::NotBuilt));
    let far = ops("semantic-builder", "nat-4.19-8node-1t-ht-hole", "native");
    let unfit = judge(&engine, &far, WriteProtect::On).expect("no failure").expect_err("it does not fit");
    let text = unfit.to_string();
    assert!(text.ends_with("the engine's processor has 40 bits of them"), "{text}");
}

#[test]
fn a_report_names_the_engine_and_the_control() {
    let cell = ["judge", "mmu", "hook", "10-xen-512m"];
    let Some(engine) = engine() else {
        let ran = run(&cell);
        assert_eq!((ran.status, &*ran.stdout), (3, ""));
        assert!(ran.stderr.contains("QEMU is unavailable: "), "{}", ran.stderr);
        return;
    };
    let text = succeeds(&cell).stdout;
    assert!(text.starts_with(&format!("judge    {}\njudged   1 cell, ", engine.description())), "{text}");
    assert!(text.contains("\nagree    1 cell\ndiffer   0 cells\ncontrol  reserve-hook/10-xen-512m@xen: "), "{text}");
    let lines = succeeds(&[cell.as_slice(), &["--format", "json"]].concat()).stdout;
    let records: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    let [named, record, control] = records.as_slice() else { panic!("{lines}") };
    assert_eq!(named["engine"], "tcg");
    assert_eq!((&record["strategy"], &record["judgement"]), (&"reserve-hook".into(), &"agrees".into()));
    assert_eq!(control["control"], "reserve-hook/10-xen-512m@xen");
}

#[test]
fn an_engine_that_must_be_there_and_is_not_is_a_failure() {
    let run = |required: &str| {
        let mut command = Command::new(program::PROGRAM);
        command.args(["judge", "mmu", "hook", "10-xen-512m"]).env("PATH", "/none").env("PGTLAB_REQUIRE", required);
        command.env("PGTLAB_ENGINES", "/none").output().expect("the program starts")
    };
    let missing = "QEMU is unavailable: no qemu-system-x86_64 in PATH or PGTLAB_ENGINES; `just engines` unpacks it, or \
                   install qemu-system-x86\n";
    for (required, status, text) in [("", 3, missing.to_owned()), ("xen,tcg", 2, format!("error: {missing}"))] {
        let ran = run(required);
        assert_eq!((ran.status.code(), &*String::from_utf8_lossy(&ran.stderr)), (Some(status), &*text));
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn cells_are_named_as_everywhere() {
    let here = Path::new(".");
    let strategy = refused_in(here, &["judge", "mmu", "no-such-strategy", "10-xen-512m"]);
    assert!(strategy.contains("no-such-strategy"), "{strategy}");
    let layout = refused_in(here, &["judge", "mmu", "--strategy", "hook", "no-such-layout"]);
    assert!(layout.contains("no-such-layout"), "{layout}");
}
