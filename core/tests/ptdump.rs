// SPDX-License-Identifier: MIT OR Apache-2.0
//! The direct map as the kernel's `page_tables` dump: its exact columns, and that it says what the trace
//! says.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use pgtlab_core::addr::PhysAddr;
use pgtlab_core::build::{Built, Watch, boot};
use pgtlab_core::layout::Layout;
use pgtlab_core::permission::PermissionMap;
use pgtlab_core::ptdump::{Columns, Dump, DumpLevel, DumpLine, DumpRange};
use pgtlab_core::strategy::Strategy as Answers;
use pgtlab_core::{ptdump, trace};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// Every default: the build of 2.6.39 with its tables low.
struct Plain;

impl Answers for Plain {}

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

#[track_caller]
fn comes_back(text: &str) {
    let dump = Dump::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(dump.render(), text);
}

/// The forms of a real kernel's file: other areas, columns the model does not have, five levels, lines left
/// out, and a range that ends with the address space.
const REAL: &str = "\
---[ User Space ]---
0x0000000000000000-0xffff800000000000    16777088T                               pgd
---[ Low Kernel Mapping ]---
0xffff888000000000-0xffff888000099000         612K     RW                 GLB NX pte
0xffff888000099000-0xffff88800009a000           4K     ro                 GLB x  pte
0xffff888000200000-0xffff888040000000        1022M     RW         PSE     GLB NX pmd
0xffff888040000000-0xffff890000000000         511G                               pud
0xffff890000000000-0xffffc90000000000          64T                               p4d
---[ ESPfix Area ]---
... 131059 entries skipped ...\x20
---[ High Kernel Mapping ]---
0xffffffff81000000-0xffffffff82400000          20M     ro         PSE         x  pmd
0xffffffffff5ff000-0xffffffffff600000           4K USR ro PWT PCD     PAT GLB NX pte
0xffffffffff600000-0x0000000000000000          10M                               pmd
";

#[test]
fn a_real_kernels_dump_goes_in_and_comes_out_byte_for_byte() {
    comes_back(REAL);
    let dump = Dump::parse(REAL).expect("it is one");
    let DumpLine::Range(last) = &dump.lines[dump.lines.len() - 2] else { panic!("the last but one is a range") };
    let expected = Columns::USR | Columns::PWT | Columns::PCD | Columns::PAT | Columns::GLB | Columns::NX;
    assert_eq!((last.columns, last.len_bytes()), (Some(expected), 0x1000));
    let as_mailed = REAL.replace('\n', "  \r\n");
    assert_eq!(Dump::parse(&as_mailed).expect("blanks at the end do not count"), dump);
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(Dump::parse(text).expect_err("it is broken").to_string(), expected);
}

#[test]
fn what_is_no_dump_is_refused_with_its_line() {
    let example = "`0xffff880000000000-0xffff880040000000           1G     RW         PSE     GLB NX pmd`";
    check_error("", &format!("line 1: no line of a page_tables dump; expected lines like {example}"));
    check_error(
        "---[ Vmemmap ]---\nhello\n",
        &format!("line 2: found `hello`; expected `---[ NAME ]---` or a line like {example}"),
    );
    let line = |size: &str, rest: &str| format!("0xffff880000000000-0xffff880040000000   {size:>10} {rest}");
    check_error(&line("2G", "x"), "line 1: found the size `2G`; expected 1G for this range");
    check_error(
        &line("1G", &format!("{:30}pxd", "")),
        "line 1: found `pxd`; expected a level: pte, pmd, pud, p4d, pgd or cr3",
    );
    check_error(
        &line("1G", "    RW  PWT          NX        pmd"),
        "line 1: found `RW  PWT          NX`; expected the columns `USR RW PWT PCD PSE PAT GLB NX`, blank, `ro` or \
         `x` where unset",
    );
    let twice = format!("{0}\n{0}", line("1G", &format!("{:30}pud", "")));
    check_error(
        &twice,
        "line 2: the range starts at 0xffff880000000000, before the end 0xffff880040000000 of the one above",
    );
}

proptest! {
    #[test]
    fn any_dump_comes_back(
        ranges in prop::collection::vec((1u64..1 << 20, any::<u8>(), any::<bool>(), 0usize..6, any::<bool>()), 1..40),
    ) {
        let levels = [DumpLevel::Pte, DumpLevel::Pmd, DumpLevel::Pud, DumpLevel::P4d, DumpLevel::Pgd, DumpLevel::Cr3];
        let mut start = ptdump::BASE;
        let mut lines = Vec::new();
        for (n_pages, bits, is_present, level, has_phys) in ranges {
            let end = start.saturating_add(n_pages << 12);
            let columns = is_present.then(|| Columns::from_bits_truncate(bits));
            let phys = (is_present && has_phys).then(|| PhysAddr::new(n_pages << 12));
            lines.push(DumpLine::Range(DumpRange { start, end, columns, level: levels[level], phys }));
            if bits == 0 {
                lines.push(DumpLine::Marker("vmalloc() Area".to_owned()));
                lines.push(DumpLine::Skipped(n_pages));
            }
            start = end.saturating_add(u64::from(bits % 2) << 21);
        }
        let dump = Dump { lines };
        prop_assert_eq!(Dump::parse(&dump.render()), Ok(dump));
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "[-0-9a-fx \\n\\[\\]RWroNXptemdGLB.K]{0,300}") {
        let _ = Dump::parse(&text);
    }
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
        comes_back(&ptdump::render(&layout, map, false));
        comes_back(&ptdump::render(&layout, map, true));
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
