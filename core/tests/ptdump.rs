// SPDX-License-Identifier: MIT OR Apache-2.0
//! The direct map as the kernel's `page_tables` dump: its exact columns, and that it says what the trace
//! says.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use pgtlab_core::build::{Built, Watch, boot};
use pgtlab_core::layout::Layout;
use pgtlab_core::permission::PermissionMap;
use pgtlab_core::strategy::Strategy;
use pgtlab_core::{ptdump, trace};
use std::fs;
use std::path::Path;

/// Every default: the build of 2.6.39 with its tables low.
struct Plain;

impl Strategy for Plain {}

fn built(text: &str) -> (Layout, Built) {
    let layout = Layout::parse(text, "machine").expect("the layout is sound");
    let built = boot(&layout, &mut Plain, Watch::RULES).expect("the layout holds together");
    (layout, built)
}

fn map(built: &Built) -> &PermissionMap {
    built.map.as_ref().or(built.map_at_death.as_ref()).expect("the map was read")
}

#[track_caller]
fn check(layout: &str, physical: bool, expected: &[&str]) {
    let (layout, built) = built(layout);
    let dump = ptdump::render(&layout, map(&built), physical);
    let lines: Vec<&str> = dump.lines().collect();
    assert_eq!(lines, expected);
}

const PC: &str = "e820 0 9f000 1\ne820 100000 60000000 1\nkernel 1000000 2000000\n";

#[test]
fn a_line_has_the_kernels_columns_and_absent_runs_end_in_their_level() {
    check(
        PC,
        false,
        &[
            "---[ Low Kernel Mapping ]---",
            "0xffff880000000000-0xffff880040000000           1G     RW         PSE     GLB x  pmd",
            "0xffff880040000000-0xffff880060000000         512M     RW         PSE     GLB NX pmd",
            "0xffff880060000000-0xffff880080000000         512M                               pmd",
            "0xffff880080000000-0xffff880100000000           2G                               pud",
        ],
    );
}

#[test]
fn physical_addresses_stand_behind_the_level() {
    let (layout, built) = built(PC);
    let dump = ptdump::render(&layout, map(&built), true);
    let ends: Vec<&str> = dump.lines().skip(1).filter_map(|line| line.get(84..)).collect();
    assert_eq!(ends, ["  0x0000000000000000", "  0x0000000040000000", "", ""]);
    let plain = ptdump::render(&layout, map(&built), false);
    assert!(dump.lines().zip(plain.lines()).all(|(with, without)| with.starts_with(without)));
}

/// Memory without machine frames is mapped by tables of absent entries: the level shows them.
#[test]
fn an_empty_table_is_not_a_hole() {
    let guest = "e820 0 a0000 1\ne820 100000 10800000 1\nkernel 1000000 1f00000\nxen 1\nxen_mapped 3c00000\n\
                 xen_pt 3b3d000 33\nxen_mfn_list 2c3a000\nreserve 10000000 10800000 XEN_EXTRA\n\
                 p2m invalid 10000000 10800000\n";
    let (layout, built) = built(guest);
    let dump = ptdump::render(&layout, map(&built), false);
    let tail: Vec<&str> = dump.lines().rev().take(3).collect();
    let expected = [
        "0xffff880040000000-0xffff880100000000           3G                               pud",
        "0xffff880010800000-0xffff880040000000         760M                               pmd",
        "0xffff880010000000-0xffff880010800000           8M                               pte",
    ];
    assert_eq!(tail, expected);
}

#[test]
fn the_verdict_counts_pages_that_are_writable_and_executable() {
    let (_, built) = built(PC);
    let text = "x86/mm: Checked W+X mappings: FAILED, 262144 W+X pages found.";
    assert_eq!(ptdump::wx_verdict(map(&built)), text);
    let text = "x86/mm: Checked W+X mappings: passed, no W+X pages found.";
    assert_eq!(ptdump::wx_verdict(&PermissionMap::default()), text);
}

/// A dump read back: start and end page, level, and the columns that the trace's `map` lines show too.
fn read_back(line: &str) -> (u64, u64, String) {
    let page = |text: &str| {
        let address = u64::from_str_radix(text, 16).expect("an address is hexadecimal");
        (address - ptdump::BASE.get()) >> 12
    };
    let columns = &line[51..];
    let mut shown = match (&columns[30..33], columns.starts_with("    ") && columns[..30].trim().is_empty()) {
        (_, true) => return (page(&line[2..18]), page(&line[21..37]), "- absent".to_owned()),
        ("pte", _) => "4K".to_owned(),
        ("pmd", _) => "2M".to_owned(),
        (_, _) => "1G".to_owned(),
    };
    shown += if &columns[4..7] == "RW " { " RW" } else { " RO" };
    shown += if &columns[27..30] == "NX " { " NX" } else { " X" };
    for (at, column, word) in [(23, "GLB ", " G"), (0, "USR ", " U")] {
        if &columns[at..at + 4] == column {
            shown += word;
        }
    }
    (page(&line[2..18]), page(&line[21..37]), shown)
}

#[test]
fn the_dump_says_what_the_trace_says_on_every_golden_layout() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut n_layouts = 0;
    for entry in fs::read_dir(folder).expect("the goldens are there") {
        let path = entry.expect("a golden").path();
        if path.extension().is_none_or(|extension| extension != "layout") {
            continue;
        }
        n_layouts += 1;
        let (layout, built) = built(&fs::read_to_string(&path).expect("a golden"));
        let map = map(&built);
        let mut runs: Vec<(u64, u64, String)> = Vec::new();
        for line in ptdump::render(&layout, map, false).lines().skip(1) {
            let (start, end, shown) = read_back(line);
            match runs.last_mut() {
                Some((_, last_end, last)) if *last == shown && *last_end == start => *last_end = end,
                _ => runs.push((start, end, shown)),
            }
        }
        let mut expected: Vec<(u64, u64, String)> = Vec::new();
        for line in trace::map_lines(&layout, map) {
            let (start, rest) = line.split_once(' ').expect("a start");
            let (end, shown) = rest.split_once(' ').expect("an end");
            let page = |text| u64::from_str_radix(text, 16).expect("a page number is hexadecimal");
            // The dump has no column for machine frames.
            let (start, end, shown) = (page(start), page(end), shown.replace(" IO", ""));
            match expected.last_mut() {
                Some((_, last_end, last)) if *last == shown && *last_end == start => *last_end = end,
                _ => expected.push((start, end, shown)),
            }
        }
        assert_eq!(runs, expected, "{}", path.display());
    }
    assert_eq!(n_layouts, 231);
}
