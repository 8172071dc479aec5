// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever a plugin does, its cell says so, and nothing of it is left.
//!
//! The plugins are the examples of this package under `tests/plugins/`.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use pgtlab::load;
use pgtlab::protocol::{Reply, Request, Want};
use pgtlab::record::Verdict;
use pgtlab::spawn::{Limits, RunError, run_cell};
use pgtlab_core::layout::Layout;
use pgtlab_core::plugin::Budget;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A small machine, whose name becomes the layout's.
const NATIVE: &str =
    "name small\ne820 0 9f000 1\ne820 9f000 100000 2\ne820 100000 80000000 1\nkernel 1000000 1800000\n";

/// The same as a PV guest: the stages of Xen are asked too.
const XEN: &str = "name small-pv\ne820 0 9f000 1\ne820 9f000 100000 2\ne820 100000 20000000 1\nkernel 1000000 1800000\n\
                   xen_mfn_list 1800000\nxen_pt 1900000 20\nxen_mapped 1c00000\nxen 1\n";

fn fixture(name: &str) -> PathBuf {
    let examples = std::env::current_exe().ok();
    let examples = examples.as_deref().and_then(Path::parent).and_then(Path::parent).map(|dir| dir.join("examples"));
    examples.unwrap_or_default().join(format!("libfixture_{name}.so"))
}

fn request(name: &str, layout: &str, want: Want) -> Request {
    Request { plugin: fixture(name), strategy: name.to_owned(), options: Vec::new(), layout: layout.to_owned(), want }
}

#[track_caller]
fn run(name: &str, layout: &str, want: Want, limits: &Limits) -> Reply {
    match run_cell(&request(name, layout, want), limits) {
        Ok(reply) => reply,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn check_within(name: &str, limits: &Limits, verdict: Verdict, stage: Option<&str>, text: Option<&str>) {
    // Stage leaf is Xen's.
    let (layout, cell) = match stage {
        Some("leaf") => (XEN, (name, "small-pv", "xen")),
        _ => (NATIVE, (name, "small", "native")),
    };
    let record = run(name, layout, Want::Record, limits).record;
    assert_eq!((record.verdict, record.stage.as_deref(), record.text.as_deref()), (verdict, stage, text));
    assert_eq!((record.strategy.as_str(), record.layout.as_str(), record.backend.as_str()), cell);
}

#[track_caller]
fn check(name: &str, verdict: Verdict, stage: Option<&str>, text: Option<&str>) {
    check_within(name, &Limits::default(), verdict, stage, text);
}

#[test]
fn a_plugin_of_defaults_boots_and_gives_every_text() {
    let reply = run("sample", NATIVE, Want::Trace, &Limits::default());
    assert_eq!((reply.record.verdict, reply.record.text), (Verdict::Boots, None));
    assert!(reply.text.starts_with("strategy sample\nlayout small\n"), "{}", reply.text);
    assert!(reply.text.ends_with("\nresult OK\n"), "{}", reply.text);
    let events = run("sample", NATIVE, Want::Events, &Limits::default()).text;
    assert!(events.contains("range 1 table space: buffer ["), "{events}");
    let map = run("sample", NATIVE, Want::Map, &Limits::default()).text;
    assert!(map.starts_with("0 "), "{map}");
    assert_eq!(run("sample", NATIVE, Want::Record, &Limits::default()).text, "");
}

#[test]
fn a_boot_whose_strategy_failed_has_no_trace() {
    let reply = run("panics_in_plan", NATIVE, Want::Trace, &Limits::default());
    assert_eq!((reply.record.verdict, reply.text.as_str()), (Verdict::Crashed, ""));
}

#[track_caller]
fn check_lines(layout: &str, expected: &[&str]) {
    let trace = run("asks", layout, Want::Trace, &Limits::default()).text;
    for line in expected {
        assert!(trace.lines().any(|found| found == *line), "no line {line:?} in\n{trace}");
    }
}

#[test]
fn every_service_works_across_the_border() {
    let asked = "dmesg: native: memory 2 reserved 0 kinds 4 nodes 0 mapped 0";
    check_lines(NATIVE, &[asked, "dmesg: mapped 20000 to 80000", "dmesg: asked", "result OK"]);
    // It leaves Xen's tables writable, and is refused; by then it has asked.
    check_lines(XEN, &["dmesg: xen: memory 2 reserved 0 kinds 4 nodes 0 mapped 0"]);
}

#[test]
fn a_strategy_is_given_the_defaults_of_its_options() {
    let trace = run("takes_options", NATIVE, Want::Trace, &Limits::default()).text;
    assert!(trace.contains("\ndmesg: n_pages 20, is_low false\n"), "{trace}");
}

#[test]
fn a_panic_is_told_with_its_text_and_place() {
    let text = "the plugin panicked: no leaf for 2400 at tests/plugins/panics.rs:13";
    check("panics", Verdict::Crashed, Some("leaf"), Some(text));
    let text = "the plugin panicked: no plan at tests/plugins/panics_in_plan.rs:12";
    check("panics_in_plan", Verdict::Crashed, Some("plan"), Some(text));
    let text = "the plugin panicked: not today at tests/plugins/panics_at_creation.rs:11";
    check("panics_at_creation", Verdict::Crashed, None, Some(text));
    let text = "the plugin panicked: not without a fight at tests/plugins/panics_in_drop.rs:14, while it was dropped";
    check("panics_in_drop", Verdict::Crashed, None, Some(text));
}

#[test]
fn a_death_is_told_with_its_cause_and_stage() {
    check("aborts", Verdict::Crashed, Some("plan"), Some("the plugin was killed by SIGABRT"));
    check("segfaults", Verdict::Crashed, Some("range done"), Some("the plugin was killed by SIGSEGV"));
    check("exits", Verdict::Crashed, Some("build done"), Some("the plugin exited with code 0 before it was done"));
    let limits = Limits { memory_bytes: 256 << 20, ..Limits::default() };
    let text = "the plugin was killed by SIGABRT";
    check_within("eats_memory", &limits, Verdict::Crashed, Some("table space"), Some(text));
}

#[test]
fn an_endless_loop_ends_with_its_processor_time() {
    let limits = Limits { cpu: Duration::from_secs(1), ..Limits::default() };
    check_within("loops_in_plan", &limits, Verdict::Timeout, Some("plan"), Some("no end after 1 s"));
}

#[test]
fn whoever_asks_without_an_end_is_stopped_by_its_steps_and_not_by_a_clock() {
    let layout = Layout::parse(XEN, "small-pv").expect("a layout");
    let text = format!("no end after {} steps of the plugin", Budget::steps_of(&layout));
    check("loops_in_leaf", Verdict::Timeout, Some("leaf"), Some(&text));
    let few = Limits { n_steps: Some(1000), ..Limits::default() };
    check_within("loops_in_leaf", &few, Verdict::Timeout, Some("leaf"), Some("no end after 1000 steps of the plugin"));
}

#[test]
fn the_steps_of_a_boot_are_counted_and_always_the_same() {
    let n_steps = || run("sample", NATIVE, Want::Record, &Limits::default()).n_steps;
    let first = n_steps();
    assert!(0 < first, "no step was counted");
    assert_eq!(n_steps(), first);
    let limits = |n| Limits { n_steps: Some(n), ..Limits::default() };
    check_within("sample", &limits(first), Verdict::Boots, None, None);
    let record = run("sample", NATIVE, Want::Record, &limits(first - 1)).record;
    assert_eq!(record.verdict, Verdict::Timeout, "{record:?}");
}

#[test]
fn a_sleep_ends_with_the_time_on_the_wall() {
    let limits = Limits { wall: Duration::from_secs(5), ..Limits::default() };
    check_within("sleeps", &limits, Verdict::Timeout, Some("plan"), Some("no end after 5 s"));
}

#[test]
fn an_answer_that_makes_no_sense_is_the_plugins_fault() {
    let text = "the piece [ffffffffffffffff, 5) of range [ffffffffffffffff, 5) is empty, out of order or outside";
    check("answers_nonsense", Verdict::Crashed, Some("plan"), Some(text));
}

#[test]
fn printing_without_measure_harms_nobody() {
    check("floods_stdout", Verdict::Boots, None, None);
}

#[test]
fn processes_left_behind_are_killed_and_not_waited_for() {
    let start = Instant::now();
    check("forks", Verdict::Boots, None, None);
    assert!(start.elapsed() < Duration::from_secs(30), "the pipes were waited for");
    let mark = format!("PGTLAB_WORKER={}.", std::process::id());
    // Workers of other tests of this process are alive; they are no `sleep`.
    let left: Vec<String> = marked(&mark).into_iter().filter(|line| line.contains("sleep")).collect();
    assert_eq!(left, Vec::<String>::new());
}

/// The command lines of all processes with this mark in their environment.
fn marked(mark: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_marked = |folder: &PathBuf| {
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
    };
    let command = |folder: PathBuf| fs::read(folder.join("cmdline")).unwrap_or_default();
    let lines = processes.filter(is_marked).map(command);
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn cells_run_from_many_threads_at_once_do_not_disturb_one_another() {
    std::thread::scope(|scope| {
        let names = ["sample", "forks", "aborts", "exits", "panics_in_plan", "segfaults", "sample", "forks"];
        let threads =
            names.map(|name| (name, scope.spawn(move || run(name, NATIVE, Want::Record, &Limits::default()))));
        for (name, thread) in threads {
            let expected = if matches!(name, "sample" | "forks") { Verdict::Boots } else { Verdict::Crashed };
            assert_eq!(thread.join().ok().map(|reply| reply.record.verdict), Some(expected), "{name}");
        }
    });
}

#[test]
fn a_plugin_that_cannot_be_loaded_is_bad_input_and_no_cell() {
    let request = Request { plugin: PathBuf::from("/none.so"), ..request("sample", NATIVE, Want::Record) };
    match run_cell(&request, &Limits::default()) {
        Err(RunError::Load(error)) => {
            assert_eq!(error.to_string(), "/none.so: cannot be read: No such file or directory (os error 2)");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layout_that_is_none_is_our_failure() {
    let record = run("sample", "nonsense\n", Want::Record, &Limits::default()).record;
    assert_eq!(record.verdict, Verdict::Error);
}

#[test]
fn a_plugin_describes_itself_without_being_run() {
    let found = load::inspect(&fixture("sample")).map(|found| (found.summary, found.aliases, found.panic));
    let summary = "answers every question with the default".to_owned();
    let aliases = vec!["least".to_owned(), "\"quoted\"".to_owned()];
    assert_eq!(found.ok(), Some((summary, aliases, "unwind".to_owned())));
}

#[track_caller]
fn check_refused(path: &Path, expected: &str) {
    match load::inspect(path) {
        Ok(found) => panic!("taken as {found:?}"),
        Err(error) => assert_eq!(error.kind.to_string(), expected),
    }
}

#[test]
fn a_file_that_is_no_plugin_is_refused_in_a_line() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("plugin.so");
    check_refused(folder.path(), "is a directory; expected a strategy's shared library");
    fs::write(&path, "")?;
    check_refused(&path, "is no shared library; expected an ELF file, found an empty file");
    fs::write(&path, "#!/bin/sh\necho\n")?;
    let text = r##"is no shared library; expected an ELF file, found text that starts with "#!/bin/sh\necho\n""##;
    check_refused(&path, text);
    fs::write(&path, [0_u8, 1, 2, 3, 4])?;
    check_refused(&path, "is no shared library; expected an ELF file, found bytes that start with [00, 01, 02, 03]");
    let whole = fs::read(fixture("sample"))?;
    for part in [20, whole.len() / 3, whole.len() - 100] {
        fs::write(&path, &whole[..part])?;
        let refused = load::inspect(&path).map_err(|error| error.kind.to_string());
        assert!(refused.as_ref().is_err_and(|text| text.starts_with("is truncated: ")), "{part} bytes: {refused:?}");
    }
    // e_machine of the ELF header; 183 is AArch64.
    let mut other = whole.clone();
    other[18] = 183;
    fs::write(&path, other)?;
    check_refused(&path, "is for Aarch64; expected x86-64");
    Ok(())
}

#[test]
fn a_library_without_a_strategy_is_refused_unrun() {
    let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6"];
    let Some(libc) = libc.iter().map(Path::new).find(|path| path.is_file()) else { return };
    let text = "exports no strategy (no symbol _1as_0lib_1header_0root_bmodule_bloader); \
                expected a crate that calls `pgtlab_core::export_strategy!(..)`";
    check_refused(libc, text);
}

#[test]
fn a_plugin_with_other_meanings_is_refused_before_it_is_opened() -> std::io::Result<()> {
    let mut bytes = fs::read(fixture("sample"))?;
    let current = format!("{:016x}", pgtlab_core::plugin::SEMANTICS);
    let at = bytes.windows(current.len()).position(|window| window == current.as_bytes());
    let at = at.ok_or_else(|| std::io::Error::other("no digest in the description"))?;
    bytes[at..at + 16].copy_from_slice(b"0123456789abcdef");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("plugin.so");
    fs::write(&path, bytes)?;
    let refused = load::load(&path).map(|_| ()).map_err(|error| error.kind.to_string());
    let (version, interface) = (pgtlab_core::plugin::VERSION, pgtlab_core::plugin::INTERFACE);
    let expected = format!(
        "was built against interface {interface} (pgtlab-core {version}), this host has {interface}: its numbers mean \
         other things (0123456789abcdef, here {current})\nrebuild the strategy against pgtlab-core {version}"
    );
    assert_eq!(refused, Err(expected));
    Ok(())
}
