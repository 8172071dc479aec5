// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each option does to a machine.

use super::{WhatIf, changes};
use clap::Parser;
use pgtlab_core::layout::Layout;

#[derive(Debug, Parser)]
struct Typed {
    #[command(flatten)]
    what_if: WhatIf,
}

const NATIVE: &str = "name machine\ne820 0 1000 2\ne820 1000 a0000 1\ne820 100000 80000000 1\ne820 100000000 180000000 1\n\
                      kernel 1000000 2000000\n";
const XEN: &str = "name machine\ne820 1000 a0000 1\ne820 100000 40000000 1\nkernel 1000000 2000000\nxen 1\nxen_mapped 4000000\n\
                   xen_pt 3000000 36\nxen_mfn_list 2800000\n";

fn typed(options: &[&str]) -> WhatIf {
    Typed::try_parse_from([&["pgtlab"], options].concat()).unwrap_or_else(|error| panic!("{error}")).what_if
}

fn changed(layout: &str, options: &[&str]) -> Result<String, String> {
    let layout = Layout::parse(layout, "machine").expect("the layout is sound");
    typed(options).apply(&layout).map(|after| changes(&layout, &after))
}

#[track_caller]
fn check(layout: &str, options: &[&str], expected: &[&str]) {
    let text = changed(layout, options).unwrap_or_else(|error| panic!("{error}"));
    let changed: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(changed, expected);
}

#[test]
fn memory_options_change_the_map() {
    check(
        NATIVE,
        &["--mem", "1G"],
        &[
            "- [mem 0x0000000000100000-0x000000007fffffff] usable",
            "- [mem 0x0000000100000000-0x000000017fffffff] usable",
            "+ [mem 0x0000000000100000-0x000000003fffffff] usable",
        ],
    );
    check(
        NATIVE,
        &["--memmap", "1G$4G"],
        &[
            "- [mem 0x0000000100000000-0x000000017fffffff] usable",
            "+ [mem 0x0000000100000000-0x000000013fffffff] reserved",
            "+ [mem 0x0000000140000000-0x000000017fffffff] usable",
        ],
    );
    check(NATIVE, &["--reserve", "40000000-50000000"], &["+ reserve 40000000 50000000 what-if"]);
    check(NATIVE, &["--crashkernel", "128M"], &["+ reserve 30000000 38000000 crashkernel"]);
    check(NATIVE, &["--crashkernel", "64M@0x4000000"], &["+ reserve 4000000 8000000 crashkernel"]);
    check(NATIVE, &["--crashkernel", "8G-:64M"], &[]);
}

#[test]
fn a_crash_kernel_takes_the_place_of_the_one_before() {
    let with_one = format!("{NATIVE}reserve 20000000 28000000 crashkernel\n");
    check(
        &with_one,
        &["--crashkernel", "128M"],
        &["- reserve 20000000 28000000 crashkernel", "+ reserve 30000000 38000000 crashkernel"],
    );
}

#[test]
fn a_node_whose_memory_is_gone_is_none() {
    let two = format!("{NATIVE}node 0 0 100000000\nnode 1 100000000 180000000\n");
    let text = changed(&two, &["--mem", "1G"]).expect("a machine");
    assert!(text.contains("- node 1 100000000 180000000\n") && !text.contains("- node 0"), "{text}");
}

#[test]
fn memory_above_the_direct_map_is_told_and_can_be_left_out() {
    let huge = "name machine\ne820 1000 a0000 1\ne820 100000 1000000000000 1\nkernel 1000000 2000000\n";
    let refused = changed(huge, &[]).expect_err("no kernel maps it");
    let expected =
        "its RAM ends at 0x1000000000000, above the end of the direct map at 64 TiB; `--mem 64T` leaves that out";
    assert_eq!(refused, expected);
    let text = changed(huge, &["--mem", "64T"]).expect("a machine");
    assert!(text.contains("+ [mem 0x0000000000100000-0x00003fffffffffff] usable"), "{text}");
}

#[test]
fn switches_and_nodes_are_set() {
    check(NATIVE, &["--no-pse"], &["+ pse 0"]);
    check(NATIVE, &["--gbpages"], &["- gbpages 0", "+ gbpages 1"]);
    check(NATIVE, &["--nodes", "2"], &["+ node 0 1000 100030000", "+ node 1 100030000 180000000"]);
}

#[test]
fn extra_memory_is_xens_alone() {
    check(NATIVE, &["--xen-extra"], &[]);
    check(
        XEN,
        &["--xen-extra=16M"],
        &[
            "+ [mem 0x0000000100000000-0x0000000100ffffff] usable",
            "+ reserve 100000000 101000000 XEN_EXTRA",
            "+ p2m invalid 100000000 101000000",
        ],
    );
}

#[test]
fn what_leaves_no_machine_is_told() {
    let refused = |options: &[&str]| changed(NATIVE, options).expect_err("nothing is left");
    assert!(refused(&["--mem", "16M"]).starts_with("the options leave no machine: "), "{}", refused(&["--mem", "16M"]));
    assert_eq!(
        refused(&["--crashkernel", "1G"]),
        "no room for a crash kernel of 0x40000000 bytes where the option asks for it"
    );
}

#[test]
fn options_that_are_none_are_refused() {
    for (option, value) in [
        ("--mem", "x"),
        ("--memmap", "1G%0"),
        ("--crashkernel", "big"),
        ("--reserve", "2-1"),
        ("--nodes", "0"),
        ("--xen-extra", "1"),
    ] {
        let refused = Typed::try_parse_from(["pgtlab", &format!("{option}={value}")]);
        let text = refused.expect_err("it is none").to_string();
        assert!(text.contains(value) && text.contains(option), "{text}");
    }
}
