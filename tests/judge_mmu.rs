// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processors agree with the walker about what strategies leave behind, and do not with write protection off.
//!
//! Where KVM or QEMU is missing these tests say so and pass; with `kvm` or `tcg` in `PGTLAB_REQUIRE` they fail.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod program;

use pgtlab::judge::mmu::engines::Choice;
use pgtlab::judge::mmu::image::Unfit;
use pgtlab::judge::mmu::verdict::{Access, Difference, Met};
use pgtlab::judge::mmu::{Engine, NotJudged, WriteProtect, judge};
use pgtlab_core::ops::Ops;
use program::{refused_in, run, succeeds};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

/// The engines that are there.
#[track_caller]
fn engines(choice: Choice) -> Vec<Engine> {
    choice.engines(|_, why| eprintln!("{why}")).unwrap_or_else(|why| panic!("PGTLAB_REQUIRE names it: {why}"))
}

fn ops(strategy: &str, layout: &str, backend: &str) -> Ops {
    let printed = succeeds(&["ops", strategy, layout, "--backend", backend]).stdout;
    Ops::parse(&printed).expect("an operation trace")
}

/// Every processor agrees with the walker on this cell; with write protection off it differs exactly where pages are
/// mapped read-only: it writes to them.
#[track_caller]
fn check(strategy: &str, layout: &str, backend: &str) {
    let ops = ops(strategy, layout, backend);
    for engine in engines(Choice::All) {
        let cell = format!("{strategy}/{layout} before {}", engine.name());
        let on = match judge(&engine, &ops, WriteProtect::On).expect("the engine runs") {
            Err(NotJudged::Unfit(why @ Unfit::GibPages)) if engine.name() == "kvm" => {
                eprintln!("{cell}: {why}");
                continue;
            }
            on => on.expect("the cell is one that can be judged"),
        };
        let differences: Vec<String> = on.differences.iter().map(ToString::to_string).collect();
        assert_eq!(differences, [""; 0], "{cell}");
        assert!(0 < on.n_pages && 0 < on.n_tables, "{cell}");
        let off = judge(&engine, &ops, WriteProtect::Off).expect("the engine runs");
        let off = off.expect("the cell is one that can be judged");
        assert_eq!(off.differences.len() as u64, on.n_read_only, "{cell}");
        for difference in off.differences {
            let is_write = matches!(
                difference,
                Difference::Access { access: Access::Write, expected: Met::Fault(3), got: Met::Nothing, .. }
            );
            assert!(is_write, "{cell}: {difference}");
        }
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
fn a_full_table_that_may_be_executed_is_executed() {
    // A boot leaf that is writable and executable maps tables without an empty entry.
    check("linux-3-9", "vm-5.6-efi-mixed-mode-3g", "xen");
}

#[test]
fn a_table_where_the_processor_starts_is_put_back() {
    // Linux 3.8 takes its tables down from 4 GiB.
    check("linux-3-8", "05-xen-ec2-7680m", "xen");
}

#[test]
fn memory_where_processors_have_their_interrupt_controller_is_memory() {
    // RAM is at 0xfee00000 too.
    check("reserve-hook", "05-xen-ec2-7680m", "xen");
}

#[test]
fn a_build_that_died_cannot_be_judged() {
    let died = ops("linux-3-9", "12-xen-step-bug", "xen");
    for engine in engines(Choice::All) {
        assert_eq!(judge(&engine, &died, WriteProtect::On).expect("no failure"), Err(NotJudged::NotBuilt));
    }
}

#[test]
fn what_a_processor_cannot_address_is_not_put_before_it() {
    let far = ops("semantic-builder", "nat-4.19-8node-1t-ht-hole", "native");
    for engine in engines(Choice::Tcg) {
        let unfit = judge(&engine, &far, WriteProtect::On).expect("no failure").expect_err("it does not fit");
        let text = unfit.to_string();
        assert!(text.ends_with("the engine's processor has 40 bits of them"), "{text}");
    }
}

#[test]
fn pages_of_a_gigabyte_need_a_processor_that_has_them() {
    let ops = ops("semantic-builder", "03-native-64g-gb", "native");
    for engine in engines(Choice::All) {
        match judge(&engine, &ops, WriteProtect::On).expect("no failure") {
            Ok(judged) => assert_eq!(judged.differences, [], "{}", engine.name()),
            Err(unfit) => {
                assert_eq!(unfit.to_string(), "it maps pages of 1 GiB; the engine's processor has none");
                assert_ne!(engine.name(), "tcg", "QEMU's processor has them");
            }
        }
    }
}

#[test]
fn a_report_names_each_engine_and_its_control() {
    let cell = ["judge", "mmu", "--engine", "all", "hook", "10-xen-512m"];
    let engines = engines(Choice::All);
    if engines.is_empty() {
        let ran = run(&cell);
        assert_eq!((ran.status, &*ran.stdout), (3, ""));
        assert!(ran.stderr.contains("QEMU is unavailable: "), "{}", ran.stderr);
        return;
    }
    let text = succeeds(&cell).stdout;
    let lines = succeeds(&[cell.as_slice(), &["--format", "json"]].concat()).stdout;
    let records: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert_eq!(records.len(), 3 * engines.len(), "{lines}");
    for (engine, records) in engines.iter().zip(records.chunks(3)) {
        let (description, walks) = (engine.description(), engine.walk().text());
        let evidence = engine.evidence().map_or_else(String::new, |evidence| format!("         ({evidence})\n"));
        let head = format!("judge    {description}\n         {walks}\n{evidence}judged   1 cell, ");
        assert!(text.contains(&head), "no {head:?} in {text}");
        let [named, record, control] = records else { panic!("{lines}") };
        let name = engine.name();
        assert_eq!((&named["engine"], &named["description"]), (&name.into(), &description.into()));
        assert_eq!(named["walks"], engine.walk().name());
        assert_eq!((&record["strategy"], &record["judgement"]), (&"reserve-hook".into(), &"agrees".into()));
        assert_eq!((&control["control"], &control["engine"]), (&"reserve-hook/10-xen-512m@xen".into(), &name.into()));
        assert!(control["differences"].as_u64().is_some_and(|n| 0 < n), "{control}");
    }
    let controls = text.matches("\nagree    1 cell\ndiffer   0 cells\ncontrol  reserve-hook/10-xen-512m@xen: ");
    assert_eq!(controls.count(), engines.len(), "{text}");
}

/// A run that finds no QEMU, and its message.
fn without_qemu(engine: &str, required: &str) -> (Option<i32>, String) {
    let mut command = Command::new(program::PROGRAM);
    command.args(["judge", "mmu", "hook", "10-xen-512m", "--engine", engine]);
    command.env("PATH", "/none").env("PGTLAB_REQUIRE", required).env("PGTLAB_ENGINES", "/none");
    let output = command.output().expect("the program starts");
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_engine_that_must_be_there_and_is_not_is_a_failure() {
    let missing = "QEMU is unavailable: no qemu-system-x86_64 in PATH or PGTLAB_ENGINES; `just engines` unpacks it, or \
                   install qemu-system-x86\n";
    assert_eq!(without_qemu("tcg", ""), (Some(3), missing.to_owned()));
    assert_eq!(without_qemu("tcg", "xen,tcg"), (Some(2), format!("error: {missing}")));
    // KVM does not stand in for it, whether it is there or not.
    assert_eq!(without_qemu("auto", "xen,tcg"), (Some(2), format!("error: {missing}")));
}

#[test]
fn kvm_that_may_not_be_used_is_unavailable_with_the_reason() {
    let device = fs::metadata("/dev/kvm").map(|device| device.permissions().mode());
    let is_closed = device.as_ref().is_ok_and(|mode| mode & 0o006 == 0);
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_closed || !is_root {
        eprintln!("nobody can be kept out of /dev/kvm here: {device:?}, root: {is_root}");
        return;
    }
    let as_nobody = |required: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program::PROGRAM]);
        command.args(["judge", "mmu", "--engine", "kvm", "hook", "10-xen-512m"]).env("PGTLAB_REQUIRE", required);
        command.output()
    };
    let missing = "KVM is unavailable: /dev/kvm may not be opened: Permission denied (os error 13); join the group that \
                   owns it, often `kvm`, or be root; `--engine tcg` needs neither\n";
    for (required, status, text) in [("", 3, missing.to_owned()), ("kvm", 2, format!("error: {missing}"))] {
        let Ok(output) = as_nobody(required) else { return eprintln!("no setpriv here") };
        let said = String::from_utf8_lossy(&output.stderr);
        if said.starts_with("setpriv: ") {
            return eprintln!("nobody cannot run the program here: {said}");
        }
        assert_eq!((output.status.code(), &*said), (Some(status), &*text));
        assert!(output.stdout.is_empty());
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
