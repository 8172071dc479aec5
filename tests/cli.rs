// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program from outside: what it prints where, and its exit status. Bad input gets one message that
//! names the place, exit status 2, and nothing on standard output.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod program;

use pgtlab_core::layout::Backend;
use pgtlab_core::ops::Ops;
use program::{PROGRAM, refused_in, run_in, succeeds};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

#[test]
fn the_doctor_tells_a_line_a_row() {
    let ran = succeeds(&["doctor"]);
    assert_eq!(ran.stderr, "");
    for what in [
        "limits",
        "no-new-privs",
        "seccomp",
        "Landlock",
        "plugin tries to write a file",
        "memfd",
        "pidfd",
        "QEMU",
        "Xen",
        "cargo",
    ] {
        let row = ran.stdout.lines().find_map(|line| line.strip_prefix(what)).map(str::trim_start);
        let is_row = row.is_some_and(|row| row.starts_with("ok  ") || row.starts_with("no  "));
        assert!(is_row, "no row {what} in\n{}", ran.stdout);
    }
}

#[test]
fn operations_go_to_standard_output_or_into_a_file() {
    let cell = ["ops", "unfixed", "05-xen-ec2-7680m"];
    let printed = succeeds(&cell).stdout;
    let ops = Ops::parse(&printed).expect("an operation trace");
    assert_eq!((&*ops.strategy, &*ops.layout, ops.backend), ("unfixed", "05-xen-ec2-7680m", Backend::Xen));
    // A line an operation, and a table of 512 entries is one: the machine has 1.9 million pages.
    assert!(ops.is_built() && ops.ops.len() < 40_000, "{}", ops.ops.len());
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run_in(folder.path(), &[cell.as_slice(), &["--output", "ops.txt"]].concat(), "");
    assert_eq!((ran.status, &*ran.stdout), (0, ""), "{}", ran.stderr);
    assert!(fs::read_to_string(folder.path().join("ops.txt")).is_ok_and(|written| written == printed));
}

/// A folder with one file in it.
fn folder_with(name: &str, content: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), content).expect("a file");
    folder
}

/// The message about a file that is given as a layout.
#[track_caller]
fn refused_file(name: &str, content: &[u8]) -> String {
    refused_in(folder_with(name, content).path(), &["compare", "--strategy", "unfixed", "--layout", name])
}

fn plugin_of(package: &str) -> PathBuf {
    let file = format!("lib{}.so", package.replace('-', "_"));
    Path::new(PROGRAM).with_file_name("deps").join(file)
}

#[test]
fn files_that_hold_no_machine_are_refused_with_their_name() {
    insta::assert_snapshot!(refused_file("empty.txt", b""), @"error: empty.txt is empty; expected a layout file or a boot log");
    insta::assert_snapshot!(refused_file("letter.txt", b"dear list,\nit does not boot\n"), @"error: letter.txt: no e820 lines; expected a boot log with lines like `BIOS-e820: [mem 0x0-0x9fbff] usable`, or a layout file whose first word is a key such as `name` or `e820`");
    let junk: Vec<u8> = (0..100_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    insta::assert_snapshot!(refused_file("junk.bin", &junk), @"error: junk.bin is no text file; expected a layout file or a boot log");
}

#[test]
fn faults_in_a_layout_file_are_shown_with_their_line() {
    insta::assert_snapshot!(refused_file("a.layout", b"e820 0 9f000 1\ne820 9e000 100000 1\n"), @"
    error: a.layout: line 2, column 6: range starts at 0x9e000, before the end 0x9f000 of the one in line 1
       ╭─[a.layout:2:6]
     2 │ e820 9e000 100000 1
       ·      ────────────
       ╰────
    ");
    insta::assert_snapshot!(refused_file("a.layout", b"e820 9f000 1000 1\n"), @"
    error: a.layout: line 1, column 6: range ends at 0x1000, before its start 0x9f000
       ╭─[a.layout:1:6]
     1 │ e820 9f000 1000 1
       ·      ──────────
       ╰────
    ");
    insta::assert_snapshot!(refused_file("a.layout", b"e820 0 10000000000000000 1\n"), @"
    error: a.layout: line 1, column 8: found `10000000000000000`; expected END, a hex address of at most 0x10000000000000
       ╭─[a.layout:1:8]
     1 │ e820 0 10000000000000000 1
       ·        ─────────────────
       ╰────
    ");
    insta::assert_snapshot!(refused_file("a.layout", b"e820 0 9f000 2\nkernel 1000 2000\n"), @"error: a.layout: line 3, column 1: found the end of the file; expected a line `e820 START END 1`: there is no RAM");
}

#[test]
fn faults_in_a_boot_log_are_shown_with_their_line() {
    let map = |lines: &[&str]| lines.iter().map(|line| format!("BIOS-e820: {line}\n")).collect::<String>();
    let refused = |lines: &[&str]| refused_file("dmesg.txt", map(lines).as_bytes());
    let overlapping = ["[mem 0x0-0x9fbff] usable", "[mem 0x9f000-0x9ffff] reserved"];
    insta::assert_snapshot!(refused(&overlapping), @"
    error: dmesg.txt: line 2: range starts at 0x9f000, before the end 0x9fc00 of the one in line 1
       ╭─[dmesg.txt:2:1]
     2 │ BIOS-e820: [mem 0x9f000-0x9ffff] reserved
       · ─────────────────────────────────────────
       ╰────
    ");
    insta::assert_snapshot!(refused(&["0000000000100000 - 0000000000001000 (usable)"]), @"
    error: dmesg.txt: line 1: range ends at 0x1000, before its start 0x100000
       ╭─[dmesg.txt:1:1]
     1 │ BIOS-e820: 0000000000100000 - 0000000000001000 (usable)
       · ───────────────────────────────────────────────────────
       ╰────
    ");
    insta::assert_snapshot!(refused(&["0000000000000000 - 10000000000000000 (usable)"]), @"
    error: dmesg.txt: line 1: range ends at 0xffffffffffffffff; expected at most 0x10000000000000
       ╭─[dmesg.txt:1:1]
     1 │ BIOS-e820: 0000000000000000 - 10000000000000000 (usable)
       · ────────────────────────────────────────────────────────
       ╰────
    ");
    insta::assert_snapshot!(refused(&["[mem 0x0-0x9fbff] reserved"]), @"
    error: dmesg.txt: line 1: the memory map that starts here has no usable range
       ╭─[dmesg.txt:1:1]
     1 │ BIOS-e820: [mem 0x0-0x9fbff] reserved
       · ─────────────────────────────────────
       ╰────
    ");
}

#[test]
fn a_file_of_200_mib_is_refused_at_once() {
    let folder = folder_with("zeros.layout", b"");
    let file = fs::File::options().write(true).open(folder.path().join("zeros.layout")).expect("the file is there");
    file.set_len(200 << 20).expect("a sparse file");
    let args = ["trace", "unfixed", "zeros.layout"];
    insta::assert_snapshot!(refused_in(folder.path(), &args), @"error: zeros.layout is no text file; expected a layout file or a boot log");
    fs::write(folder.path().join("big.layout"), "# a comment\n".repeat(2 << 20)).expect("a file");
    let mut text = fs::read(folder.path().join("big.layout")).expect("the file is there");
    text.splice(..0, *b"name big\n");
    insta::assert_snapshot!(refused_file("big.layout", &text), @"error: big.layout is too large: it has more than 16777216 bytes, the most for a layout file");
}

#[test]
fn what_names_nothing_is_told_what_there_is() {
    let refused = |args: &[&str]| refused_in(Path::new("."), args);
    insta::assert_snapshot!(refused(&["trace", "unfixed", "05-xen-ec2"]), @"error: unknown layout `05-xen-ec2`: no layout of that name, and no such file (nearest name: 05-xen-ec2-7680m); `pgtlab list` shows the names");
    insta::assert_snapshot!(refused(&["trace", "unfixed", "/no/such/dmesg.txt"]), @"error: cannot read /no/such/dmesg.txt: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused(&["compare", "--layout", "no-*-such"]), @"error: no layout's name and no file matches `no-*-such`; `pgtlab list` shows the names");
    insta::assert_snapshot!(refused(&["trace", "unfixed", "0[1-3]-*"]), @"error: `0[1-3]-*` names 3 layouts: 01-native-6g, 02-native-130g-4b239f, 03-native-64g-gb; expected one");
    insta::assert_snapshot!(refused(&["trace", "unfixed", "05-xen-ec2-7680m", "--backend", "native"]), @"error: 05-xen-ec2-7680m has no cell on the native back end: it is a machine under Xen");
    insta::assert_snapshot!(refused(&["compare", "--layout", "05-*", "--backend", "native"]), @"error: no cell to run: 1 layout without one on the native back end");
    let unknown = refused(&["compare", "--strategy", "unfixd"]);
    assert!(unknown.contains("no strategy is called unfixd (did you mean unfixed?)"), "{unknown}");
}

#[test]
fn two_layouts_of_one_name_are_refused_with_both_places() {
    let folder = folder_with("mine.layout", b"name 01-native-6g\ne820 0 9f000 1\nkernel 1000 10000\n");
    let args = ["compare", "--layout", "mine.layout", "--layout", "01-native-6g"];
    insta::assert_snapshot!(refused_in(folder.path(), &args), @"error: two layouts are named `01-native-6g`: snapshots/01-native-6g/machine.layout and mine.layout");
}

#[test]
fn plugins_that_are_none_are_refused_with_their_path() {
    let whole = fs::read(plugin_of("unfixed")).expect("cargo built the plugin before this test");
    let folder = folder_with("cut.so", &whole[..whole.len() / 2]);
    let refused = |args: &[&str]| refused_in(folder.path(), args);
    insta::assert_snapshot!(refused(&["compare", "--strategy", "./none.so"]), @"error: ./none.so: cannot be read: No such file or directory (os error 2)");
    let cut = refused(&["compare", "--strategy", "./cut.so"]);
    assert!(cut.starts_with("error: ./cut.so: is truncated"), "{cut}");
    fs::write(folder.path().join("copy.so"), &whole).expect("a file");
    let twice = refused(&["compare", "--strategy", "unfixed", "--strategy", "./copy.so"]);
    assert!(twice.contains("two strategies are called unfixed: "), "{twice}");
    assert!(twice.ends_with("libunfixed.so and ./copy.so"), "{twice}");
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    let folder = folder_with("file", b"");
    let refused = |path: &str| refused_in(folder.path(), &["compare", "--output", path]);
    insta::assert_snapshot!(refused("none/report.txt"), @"error: cannot write to none/report.txt: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused("file/report.txt"), @"error: cannot write to file/report.txt: not a directory");
    insta::assert_snapshot!(refused("."), @"error: cannot write to .: is a directory");
}

#[test]
fn a_report_goes_to_the_file_and_replaces_what_was_there() {
    let folder = folder_with("report.json", b"old");
    let args = ["compare", "--strategy", "unfixed", "--layout", "10-*", "--format", "json", "--output", "report.json"];
    let ran = run_in(folder.path(), &args, "");
    assert_eq!((ran.status, &*ran.stdout), (0, ""), "{}", ran.stderr);
    let report = fs::read_to_string(folder.path().join("report.json")).expect("the report is there");
    assert!(report.starts_with(r#"{"schema":1,"strategy":"unfixed","layout":"10-xen-512m","backend":"xen""#));
}

#[test]
fn a_run_equals_itself_and_a_changed_baseline_exits_with_1() {
    let args = ["compare", "--strategy", "hook", "--layout", "1[0-2]-*", "--format", "json"];
    let json = succeeds(&args).stdout;
    let folder = folder_with("same.json", json.as_bytes());
    fs::write(folder.path().join("old.json"), json.replacen("boots", "faults", 1)).expect("a file");
    fs::write(folder.path().join("cut.json"), &json[..json.len() - 9]).expect("a file");
    let against = |baseline: &'static str| {
        let args = ["compare", "--strategy", "hook", "--layout", "1[0-2]-*", "--baseline", baseline];
        run_in(folder.path(), &args, "")
    };
    let same = against("same.json");
    assert_eq!(same.status, 0, "{}", same.stderr);
    assert!(same.stdout.contains("against same.json: 0 cells changed, 0 added, 0 gone, 3 as before"));
    let changed = against("old.json");
    assert_eq!(changed.status, 1, "{}", changed.stderr);
    assert!(changed.stdout.contains("reserve-hook/10-xen-512m@xen: FAULT -> ok"), "{}", changed.stdout);
    let cut = against("cut.json");
    assert_eq!((cut.status, &*cut.stdout), (2, ""));
    assert!(cut.stderr.starts_with("error: cut.json: line 3: "), "{}", cut.stderr);
}

#[test]
fn a_dump_ends_in_the_verdict_on_standard_error() {
    let ran = succeeds(&["dump", "hook", "05-xen-ec2-7680m"]);
    assert!(ran.stdout.starts_with("---[ Low Kernel Mapping ]---\n0xffff880000000000-"));
    assert_eq!(ran.stderr, "x86/mm: Checked W+X mappings: FAILED, 17364 W+X pages found.\n");
    let died = succeeds(&["dump", "revert", "18-native-256g-low1g-4k"]);
    assert!(died.stdout.lines().count() > 1, "the tables as they stood are shown");
    assert!(died.stderr.starts_with("note: this boot died in init_memory_mapping"), "{}", died.stderr);
}

#[test]
fn two_strategies_differ_where_the_one_leaves_memory_read_only() {
    let by_layout = succeeds(&["diff", "unfixed", "hook", "--layout", "10-xen-512m"]).stdout;
    assert!(by_layout.starts_with("--- unfixed/10-xen-512m@xen\n+++ reserve-hook/10-xen-512m@xen\n"), "{by_layout}");
    assert!(by_layout.contains("\n- 4K   ro NX               NODE_DATA\n+ 4K   RW NX               NODE_DATA\n"));
    let by_cell = succeeds(&["diff", "unfixed/10-xen-512m@xen", "hook/10-xen-512m"]).stdout;
    assert_eq!(by_cell, by_layout);
    let same = succeeds(&["diff", "01-native-6g", "01-native-6g", "--strategy", "hook"]).stdout;
    assert!(same.ends_with("\nno range differs in permission, page size or owner\n"), "{same}");
}

#[test]
fn a_dump_is_compared_with_a_dump_and_with_a_cell() {
    let dump = succeeds(&["dump", "hook", "01-native-6g"]).stdout;
    let folder = folder_with("hook.dump", dump.as_bytes());
    fs::write(folder.path().join("split.dump"), dump.replacen("PSE     GLB x  pmd", "        GLB x  pte", 1))
        .expect("a file");
    let ran = run_in(folder.path(), &["diff", "hook.dump", "split.dump"], "");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("\n0xffff880000000000-0xffff880040000000 1G\n- 2M   RW x GLB\n+ 4K   RW x GLB\n"));
    let ran = run_in(folder.path(), &["diff", "hook.dump", "hook/01-native-6g"], "");
    assert!(ran.stdout.ends_with("\nno range differs in permission or page size\n"), "{}", ran.stdout);
}

#[test]
fn sides_that_are_none_are_refused() {
    let folder = folder_with("a.txt", b"hello\n");
    let refused = |args: &[&str]| refused_in(folder.path(), args);
    insta::assert_snapshot!(refused(&["diff", "a.txt", "a.txt"]), @"error: a.txt: line 1: found `hello`; expected `---[ NAME ]---` or a line like `0xffff880000000000-0xffff880040000000           1G     RW         PSE     GLB NX pmd`");
    insta::assert_snapshot!(refused(&["diff", "hook", "unfixed"]), @"error: `hook` is neither a file nor a cell; expected the file of a page_tables dump, or STRATEGY/LAYOUT or STRATEGY/LAYOUT@BACKEND");
    insta::assert_snapshot!(refused(&["diff", "hook/01-native-6g@xen", "hook/nothing"]), @"error: unknown layout `nothing`: no layout of that name, and no such file; `pgtlab list` shows the names");
}

#[test]
fn a_what_if_shows_the_map_before_and_after_and_runs_on_the_changed_one() {
    let ran = succeeds(&["trace", "hook", "01-native-6g", "--mem", "1G", "--no-pse"]);
    insta::assert_snapshot!(ran.stderr, @"
    what if: 01-native-6g@native, before (-) and after (+)
      [mem 0x0000000000000000-0x0000000000000fff] reserved
      [mem 0x0000000000001000-0x000000000009efff] usable
      [mem 0x000000000009f000-0x000000000009ffff] reserved
      [mem 0x00000000000f0000-0x00000000000fffff] reserved
    - [mem 0x0000000000100000-0x00000000cfffffff] usable
    + [mem 0x0000000000100000-0x000000003fffffff] usable
      [mem 0x00000000d0000000-0x00000000dfffffff] reserved
    - [mem 0x0000000100000000-0x00000001afffffff] usable
    + pse 0
    ");
    assert!(ran.stdout.contains("\nmax_pfn 40000 "), "{}", ran.stdout);
    let quiet = succeeds(&["trace", "hook", "01-native-6g", "--mem", "1G", "--no-pse", "--quiet"]);
    assert_eq!((quiet.stderr, quiet.stdout), (String::new(), ran.stdout));
    let imported = succeeds(&["import", "01-native-6g", "--crashkernel", "64M@64M", "--quiet"]).stdout;
    assert!(imported.contains("\nreserve 4000000 8000000 crashkernel\n"), "{imported}");
    let compared = succeeds(&["compare", "--strategy", "hook", "--layout", "0[1-5]-*", "--mem", "2G"]);
    assert_eq!(compared.stderr, "what if: 5 machines changed\n");
    let same = succeeds(&["diff", "01-native-6g", "02-*", "--strategy", "hook", "--mem", "2G"]);
    assert!(same.stdout.contains("--- reserve-hook/01-native-6g@native"), "{}", same.stdout);
}

#[test]
fn a_what_if_that_leaves_no_machine_is_refused() {
    let refused = |args: &[&str]| refused_in(Path::new("."), args);
    insta::assert_snapshot!(refused(&["explain", "hook", "01-native-6g", "--mem", "16M"]), @"error: 01-native-6g has no cell on the native back end: the options leave no machine: the kernel image [0x1000000, 0x2000000) lies outside RAM");
    insta::assert_snapshot!(refused(&["explain", "hook", "01-native-6g", "--memmap", "1G%0"]), @"
    error: invalid value '1G%0' for '--memmap <OPTION>': expected exactmap, SIZE, SIZE@START (RAM), SIZE#START (ACPI data), SIZE$START (reserved) or SIZE!START (persistent), or some of them with commas between

    For more information, try '--help'.
    ");
}

#[test]
fn a_machine_is_drawn_in_the_terminal_and_as_an_image() {
    let ran = succeeds(&["map", "10-xen-512m", "--strategy", "unfixed"]);
    assert!(ran.stdout.starts_with("unfixed/10-xen-512m@xen: FAULT in numa: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("! left read-only") && ran.stdout.contains("not to scale"), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.len() <= 80) && !ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    let folder = folder_with("old.svg", b"old");
    let ran = run_in(folder.path(), &["map", "10-xen-512m", "--svg", "old.svg"], "");
    assert_eq!((ran.status, &*ran.stdout, &*ran.stderr), (0, "", ""));
    let image = fs::read_to_string(folder.path().join("old.svg")).expect("the image is there");
    assert!(image.starts_with("<svg ") && image.contains("10-xen-512m@xen"), "{image}");
    let refused = refused_in(folder.path(), &["map", "10-xen-512m", "--svg", "none/a.svg"]);
    assert_eq!(refused, "error: cannot write to none/a.svg: No such file or directory (os error 2)");
}

#[test]
fn a_log_is_imported_from_a_file_or_a_pipe() {
    let log = "BIOS-e820: [mem 0x0-0x9fbff] usable\nBIOS-e820: [mem 0x100000-0x1fffffff] usable\n";
    let ran = run_in(Path::new("."), &["import", "-"], log);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("name stdin\ne820 0 1000 2\n"), "{}", ran.stdout);
    let folder = folder_with("laptop.txt", log.as_bytes());
    let ran = run_in(folder.path(), &["import", "--xen", "laptop.txt"], "");
    assert!(ran.stdout.contains("xen 1\n"), "{}", ran.stdout);
    assert!(
        ran.stderr.starts_with("laptop: a native log with 1 memory map; from the one at line 1: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_dump_is_read_from_a_pipe() {
    let dump = succeeds(&["dump", "hook", "05-xen-ec2-7680m"]).stdout;
    let folder = folder_with("a.txt", dump.as_bytes());
    let ran = run_in(folder.path(), &["diff", "/dev/stdin", "a.txt"], &dump);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn a_report_that_is_not_written_leaves_nothing() {
    let folder = folder_with("bad.layout", b"name bad\ne820 0 9f000 1\n");
    refused_in(folder.path(), &["compare", "--layout", "bad.layout", "--output", "report.txt"]);
    let kept: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
}

#[test]
fn every_command_reads_a_machine_from_a_pipe() {
    let log = "BIOS-e820: [mem 0x0-0x9fbff] usable\nBIOS-e820: [mem 0x100000-0x1fffffff] usable\n";
    for args in [&["explain", "hook", "-"][..], &["dump", "hook", "-", "--backend", "xen"], &["map", "-"]] {
        let ran = run_in(Path::new("."), args, log);
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
        assert!(!ran.stdout.is_empty(), "{args:?}");
    }
    let ran = run_in(Path::new("."), &["compare", "--strategy", "hook", "--layout", "-", "--format", "json"], log);
    assert_eq!(ran.stdout.matches(r#""layout":"stdin""#).count(), 2, "{}", ran.stdout);
    let ran = run_in(Path::new("."), &["explain", "hook", "-"], "");
    assert_eq!(
        (ran.status, &*ran.stderr),
        (2, "error: standard input is empty; expected a layout file or a boot log\n")
    );
}

#[test]
fn by_fixed_rules_a_log_makes_the_machine_of_its_golden_trace() {
    for (option, prefix) in [("--plain", "m-"), ("--xen", "x-")] {
        for name in ["nat-3.2-p8z68-32g-crashkernel", "nat-5.5-64g-3srat"] {
            let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("core/tests/golden/{prefix}{name}.layout"));
            let golden = fs::read_to_string(golden).expect("a golden");
            let facts = |text: &str| {
                text.lines().filter(|line| !line.starts_with("name ")).map(str::to_owned).collect::<Vec<_>>()
            };
            let ran = succeeds(&["import", option, name]);
            let expected: Vec<String> = facts(&golden).into_iter().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(facts(&ran.stdout), expected, "{option} {name}");
            assert!(ran.stderr.contains("note: by fixed rules"), "{}", ran.stderr);
        }
    }
    let [all, xen] = [&["import", "nat-5.5-64g-3srat"][..], &["import", "-b", "xen", "nat-5.5-64g-3srat"]]
        .map(|args| succeeds(args).stdout);
    assert!(all.contains("\nnode 1 ") && xen.contains("\nnode 1 ") && xen.contains("\nxen 1\n"), "{all}\n{xen}");
}

#[test]
fn a_full_import_says_what_was_taken_and_assumed_and_not_understood() {
    let log = "# kind: native\nBIOS-e820: [mem 0x0-0x9fbff] usable\nBIOS-e820: [mem 0x100000-0x3fffffff] usable\n\
               NX (Execute Disable) protection: active\n  #1 [0001000000 - 0001a29e64] TEXT DATA BSS\n\
               SRAT: Node 0 PXM 0 [mem 0x0\ne820: remove [mem 0x000a0000-0x000fffff] usable\n\
               BRK [0x01fd6000, 0x01fd6fff] PGTABLE\n";
    let ran = run_in(Path::new("."), &["import", "-"], log);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("\nkernel 1000000 1a2a000\n"), "{}", ran.stdout);
    insta::assert_snapshot!(ran.stderr, @"
    stdin: a native log with 1 memory map; from the one at line 2: 3 ranges, 1024 MiB of RAM
    map: lines 2 to 3, 2 ranges: the firmware's
    taken: 4 lines; assumed: 3 facts; not understood: 1 line
    taken, of the map and the ramdisk: lines 2-3
    taken, line 4: NX is on
    taken, line 5: kernel [0x1000000, 0x1a29e64)
    not of the layout, line 7: changes of the map, or what follows from it
    not of the layout, line 8: the build of the early page tables, which a strategy repeats
    assumed: the processor has 2M pages
    assumed: the processor has no 1G pages
    assumed: all memory is one node
    warning: line 6: looks like a line about memory but is not understood: `SRAT: Node 0 PXM 0 [mem 0x0`
    ");
    let plain = run_in(Path::new("."), &["import", "--plain", "--quiet", "-"], log).stdout;
    assert!(plain.contains("\nkernel 1000000 2000000\n"), "{plain}");
}

#[test]
fn maps_of_running_machines_are_imported_and_run() {
    let iomem = "00001000-0009fbff : System RAM\n00100000-3fffffff : System RAM\n  01000000-01e02626 : Kernel code\n";
    let folder = folder_with("iomem", iomem.as_bytes());
    let lsmem = r#"{"memory": [{"range": "0x0000000000000000-0x000000003fffffff", "state": "online"}]}"#;
    fs::write(folder.path().join("lsmem.json"), lsmem).expect("a file");
    for (entry, file, text) in [("0", "start", "0x100000"), ("0", "end", "0x3fffffff"), ("0", "type", "System RAM")] {
        fs::create_dir_all(folder.path().join("memmap").join(entry)).expect("a folder");
        fs::write(folder.path().join("memmap").join(entry).join(file), text).expect("a file");
    }
    for file in ["iomem", "lsmem.json", "memmap"] {
        let ran = run_in(folder.path(), &["import", file], "");
        assert_eq!(ran.status, 0, "{file}: {}", ran.stderr);
        assert!(ran.stdout.contains("e820 100000 40000000 1\n"), "{file}: {}", ran.stdout);
        let ran = run_in(folder.path(), &["trace", "hook", file], "");
        assert!(ran.stdout.contains("\nresult OK\n"), "{file}: {} {}", ran.stdout, ran.stderr);
    }
    fs::write(folder.path().join("hidden"), "00000000-00000000 : System RAM\n").expect("a file");
    let refused = |file: &str| refused_in(folder.path(), &["import", file]);
    insta::assert_snapshot!(refused("hidden"), @"error: hidden: every address is 0: the kernel shows /proc/iomem only to root");
    fs::write(folder.path().join("lsmem.json"), r#"{"memory": [{"range": "x"}]}"#).expect("a file");
    insta::assert_snapshot!(refused("lsmem.json"), @"error: lsmem.json: found the range `x`, expected ranges like 0x0000000000000000-0x000000007fffffff at line 1 column 27; expected the output of `lsmem -J`");
}

#[test]
fn back_ends_are_those_a_layout_has_or_those_asked_for() {
    let cells = |args: &[&str]| {
        let args = [&["compare", "--strategy", "hook", "--format", "json"], args].concat();
        let places = succeeds(&args).stdout.lines().map(cell).collect::<Vec<_>>();
        places.join(" ")
    };
    assert_eq!(cells(&["--layout", "01-*"]), "01-native-6g@native");
    assert_eq!(cells(&["--layout", "01-*", "--backend", "xen"]), "01-native-6g@xen");
    assert_eq!(cells(&["--layout", "vm-6.12-*"]), "vm-6.12-kvm-921g@native vm-6.12-kvm-921g@xen");
    assert_eq!(cells(&["--layout", "domU-3.2-2g", "--layout", "10-*"]), "10-xen-512m@xen domU-3.2-2g@xen");
}

fn cell(line: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(line).expect("a line is a record");
    format!("{}@{}", record["layout"].as_str().unwrap_or_default(), record["backend"].as_str().unwrap_or_default())
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(PROGRAM)
        .args(["compare", "--strategy", "hook", "--layout", "10-*"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[test]
fn help_tells_the_exit_status_and_shows_examples() {
    let help = succeeds(&["--help"]).stdout;
    assert!(help.contains("1  compare: the cells differ from the baseline"), "{help}");
    assert!(help.contains("pgtlab explain unfixed 05-xen-ec2-7680m"), "{help}");
    assert!(!help.contains("worker"), "{help}");
    assert!(succeeds(&["completions", "bash"]).stdout.contains("_pgtlab()"));
    assert!(succeeds(&["man"]).stdout.starts_with(".ie"));
}

#[test]
fn a_watch_needs_a_workspace_and_a_crate_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = refused_in(folder.path(), &["watch", "unfixed"]);
    assert!(refused.starts_with("error: no workspace of pgtlab, with core/ and strategies/, in "), "{refused}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let refused = refused_in(root, &["watch", "no-such"]);
    let expected = format!(
        "error: the workspace at {} has no strategy no-such: no strategies/no-such/Cargo.toml; expected the name of a \
         crate there",
        root.display()
    );
    assert_eq!(refused, expected);
}
