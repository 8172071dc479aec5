// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `pgtlab replay` prints, and what it answers to what it cannot replay.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod program;

use program::{refused_in, run, run_in, succeeds};
use std::path::Path;

const LOG: &str = "\
Linux version 2.6.38-1-custom
 BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)
 BIOS-e820: 0000000000100000 - 000000007ff00000 (usable)
initial memory mapped : 0 - 20000000
init_memory_mapping: 0000000000000000-000000007ff00000
kernel direct mapping tables up to 7ff00000 @ 1fffc000-20000000
";

#[test]
fn a_log_stands_beside_what_the_model_predicts() {
    let replayed = succeeds(&["replay", "nat-3.5-ta890fxe-4g-gbpages"]).stdout;
    insta::assert_snapshot!(replayed, @r"
    nat-3.5-ta890fxe-4g-gbpages: kernel about 3.5, native
    era 3.6.5 - 3.7: low, then each region; buffer counted by piece, highest fit in
      what is mapped
    could be of 3.5 - 3.6.4 or 3.8 too: no other fits better

      line  what                    log                     model
        25  mapping call            0-cffb0000              0-cffb0000
        26  piece                   0-c0000000 1G           0-c0000000 1G
        27  piece                   c0000000-cfe00000 2M    c0000000-cfe00000 2M
        28  piece                   cfe00000-cffb0000 4K    cfe00000-cffb0000 4K
        29  tables up to cffb0000   1fffd000-20000000       1fffd000-20000000
        30  mapping call            100000000-130000000     100000000-130000000
        31  piece                   100000000-130000000 2M  100000000-130000000 2M
        32  tables up to 130000000  cffae000-cffb0000       cffae000-cffb0000

    8 lines, all as predicted
    ");
}

#[test]
fn a_log_of_a_kernel_that_died_tells_what_is_not_predicted() {
    let replayed = succeeds(&["replay", "core/tests/logs/fragments/vm-3.5next-kvm-65g-128Mbuf.txt"]).stdout;
    insta::assert_snapshot!(replayed, @r"
    vm-3.5next-kvm-65g-128Mbuf: kernel 3.5-rc2, vm
    era 3.5 - 3.6.4: low, then high; the first piece counted in 4K pages too, low
      buffer
    assumed: no memory map in the log; RAM is 0-d0000000 and 100000000-1030000000,
      as other lines have it
    assumed: memory is mapped in 4K pages, as the walk of the fault shows

      line  what                     log                model
         5  tables up to 1030000000  c7e3e000-d0000000  c7e3e000-d0000000
         6  PGTABLE                  c7e3e000-cf7fb000  c7e3e000-cf7fb000

    not predicted: line 13, fault ffff88102febd948: the model's boot does not die
      there

    2 lines, all as predicted
    ");
}

#[test]
fn a_difference_is_marked_and_makes_the_exit_status_1() {
    let ran = run_in(Path::new("."), &["replay", "-"], &LOG.replace("1fffc000-20000000", "1fff0000-1fff4000"));
    assert_eq!((ran.status, &*ran.stderr), (1, ""));
    insta::assert_snapshot!(ran.stdout, @r"
    stdin: kernel 2.6.38, native
    era 2.6.37 - 2.6.38: low, then high; buffer counted from 0, highest fit in what
      is mapped

      line  what                   log                model
         5  mapping call           0-7ff00000         0-7ff00000
    !    6  tables up to 7ff00000  1fff0000-1fff4000  1fffc000-20000000

    2 lines, of which 1 differs
    likely cause: something that no line names was reserved in the 12 pages below
      20000000
    ");
}

#[test]
fn json_has_a_record_for_the_log_and_one_for_each_line() {
    let ran = run_in(Path::new("."), &["replay", "-", "--format", "json"], LOG);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for line in ran.stdout.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|record| record["log"] == "stdin"), "{line}");
    }
    insta::assert_snapshot!(ran.stdout, @r#"
    {"record":"replay","log":"stdin","kernel":"2.6.38","kind":"native","era":"2.6.37 - 2.6.38","rule":"low, then high; buffer counted from 0, highest fit in what is mapped","could_be":[],"assumed":[],"lines":2,"differing":0,"death":null,"causes":[]}
    {"record":"line","log":"stdin","line":5,"what":"mapping call","printed":"0-7ff00000","predicted":"0-7ff00000","equal":true}
    {"record":"line","log":"stdin","line":6,"what":"tables up to 7ff00000","printed":"1fffc000-20000000","predicted":"1fffc000-20000000","equal":true}
    "#);
}

#[test]
fn no_line_is_wider_than_80_columns() {
    for log in ["dom0-3.8+-h61m-8g-init_mem_mapping-regression", "nat-3.2-m5a88-16g-gbpages", "domU-3.13-ec2-622m"] {
        let replayed = succeeds(&["replay", log]).stdout;
        assert_eq!(replayed.lines().find(|line| 80 < line.chars().count()), None, "{log}");
    }
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let refused = |args: &[&str]| refused_in(Path::new("."), args);
    insta::assert_snapshot!(refused(&["replay", "nat-6.14-32entries-32g"]), @"error: nat-6.14-32entries-32g: nothing in this log that the model predicts; expected lines like `kernel direct mapping tables up to ..`, `init_memory_mapping: ..`, `BRK [..] PGTABLE` or an early reservation named PGTABLE (kernels from 5.8 on print none of them)");
    insta::assert_snapshot!(refused(&["replay", "nat-3.0-vaio"]), @"error: unknown layout `nat-3.0-vaio`: no layout of that name, and no such file (nearest name: nat-3.0-vaio-ns140e-4g-high); `pgtlab list` shows the names");
    insta::assert_snapshot!(refused(&["replay", "01-native-6g"]), @"error: snapshots/01-native-6g/machine.layout is a layout file; expected a boot log");
    insta::assert_snapshot!(refused(&["replay", "no/such.log"]), @"error: cannot read no/such.log: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused(&["replay", "-"]), @"error: standard input is empty; expected a layout file or a boot log");
    assert_eq!(run(&["replay"]).status, 2);
}
