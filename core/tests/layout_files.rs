// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layout files: the examples, every fault with its place, and that writing undoes reading.

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pgtlab_core::addr::{PfnRange, PhysAddr, PhysRange};
    use pgtlab_core::e820::{E820Entry, E820Map, E820Type};
    use pgtlab_core::geometry::Geometry;
    use pgtlab_core::layout::{
        Backend, Layout, LayoutError, Node, P2m, Reservation, Switches, XenBoot, looks_like_layout,
    };
    use proptest::prelude::*;

    const GOOD: &str = "e820 100000 80000000 1\nkernel 1000000 2000000\n";

    /// What the default of every line is.
    fn least() -> Layout {
        Layout::parse(GOOD, "stem").expect("it is good")
    }

    #[test]
    fn every_golden_layout_is_read_and_comes_back() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut n_files = 0;
        for file in std::fs::read_dir(folder).expect("the examples are there") {
            let path = file.expect("the examples can be listed").path();
            if path.extension().is_none_or(|extension| extension != "layout") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("the example can be read");
            let layout = Layout::parse(&text, "stem").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(Layout::parse(&layout.render(), "").as_ref(), Ok(&layout), "{}", path.display());
            assert!(looks_like_layout(&text));
            n_files += 1;
        }
        assert_eq!(n_files, 231);
    }

    #[test]
    fn what_a_file_leaves_out_has_its_default() {
        let layout = least();
        assert_eq!(layout.name, "stem");
        assert_eq!(layout.brk, PhysAddr::new(0x200_0000));
        assert_eq!(layout.boot_mapped, PhysAddr::new(0x2000_0000));
        assert_eq!(layout.switches, Switches::DEFAULT);
        assert_eq!((layout.backend, layout.xen, layout.acpi), (Backend::Native, None, None));
        assert!(layout.nodes.is_empty() && layout.reservations.is_empty() && layout.p2m.is_plain());
    }

    #[track_caller]
    fn check_same(text: &str, expected: &Layout) {
        assert_eq!(Layout::parse(text, "stem").as_ref(), Ok(expected));
    }

    #[test]
    fn the_way_a_line_is_written_does_not_matter() {
        check_same(&GOOD.replace('\n', "\r\n"), &least());
        check_same(&format!("\u{feff}# text \0\n\n{}", GOOD.replace(' ', " \t ")), &least());
        check_same("kernel 0x1000000 0X2000000 # image\ne820 0100000 80000000 1# RAM", &least());
    }

    #[test]
    fn what_is_no_error_is_none() {
        let good = |lines: &str| Layout::parse(&format!("{GOOD}{lines}"), "stem").expect("it is good");
        assert_eq!(good("reserve 5 3000 A\nreserve 1 9000000000 B\n").reservations.len(), 2);
        assert!(!good("p2m identity 9000 a000\np2m invalid 1000 9800\n").p2m.is_plain());
        let xen = "xen_mapped 1\nxen_pt 2 10\nxen_mfn_list 3\n";
        let expected = XenBoot {
            mapped_end: PhysAddr::new(1),
            pt_base: PhysAddr::new(2),
            pt_frames: 10,
            mfn_list: PhysAddr::new(3),
        };
        assert_eq!((good(xen).backend, good(xen).xen), (Backend::Native, Some(expected)));
        assert_eq!(good("xen 0\nxen_mapped 1\n").xen, None);
        let under_xen = good(&format!("xen 1\n{xen}pse 1\npge 0\n"));
        assert_eq!((under_xen.backend, under_xen.switches.pse), (Backend::Xen, true));
        assert!(!under_xen.features().pse);
        let touching = "e820 100000 1800000 1\ne820 1800000 80000000 1\nkernel 1000000 2000000\n";
        assert_eq!(Layout::parse(touching, "stem").map(|layout| layout.kernel), Ok(least().kernel));
        let to_the_top = "e820 0 10000000000000 1\nkernel 1000000 2000000\n";
        assert_eq!(Layout::parse(to_the_top, "stem").map(|layout| layout.kernel), Ok(least().kernel));
    }

    /// `lines` follow two good ones (line 1 and 2); the span is checked by the text it covers.
    #[track_caller]
    fn check_error(lines: &str, expected: &str, expected_span: &str) {
        check_error_of(&format!("{GOOD}{lines}"), expected, expected_span);
    }

    #[track_caller]
    fn check_error_of(text: &str, expected: &str, expected_span: &str) {
        let error = Layout::parse(text, "stem").expect_err("it is broken");
        assert_eq!(error.to_string(), expected);
        assert_eq!(&text[error.span.clone()], expected_span);
        assert_place(text, &error);
    }

    /// Line and column are those of the span.
    #[track_caller]
    fn assert_place(text: &str, error: &LayoutError) {
        let before = &text[..error.span.start];
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        let line = before.split('\n').next_back().unwrap_or("");
        assert_eq!(error.line, before.matches('\n').count() + 1);
        assert_eq!(error.column, line.chars().count() + 1);
    }

    #[test]
    fn a_line_that_is_no_fact_is_an_error_at_its_word() {
        check_error(
            "\n  colour 1",
            "line 4, column 3: found `colour`; expected one of name, geometry, e820, kernel, brk, reserve, boot_mapped, \
             pse, gbpages, nx, pge, trampoline, numa, memtest, dom0, xen, node, acpi, xen_mapped, xen_pt, \
             xen_mfn_list, p2m",
            "colour",
        );
        check_error("brk", "line 3, column 4: found the end of the line; expected START, a hex address", "");
        check_error("reserve 0 1 # N", "line 3, column 12: found the end of the line; expected NAME", "");
        check_error(
            "brk 1 é",
            "line 3, column 7: found `é` behind the last word of `brk`; expected the end of the line",
            "é",
        );
        check_error("p2m valid 0 1", "line 3, column 5: found `valid`; expected `invalid` or `identity`", "valid");
        check_error("nx 2", "line 3, column 4: found `2`; expected 0 or 1", "2");
        check_error("nx true", "line 3, column 4: found `true`; expected 0 or 1", "true");
    }

    #[test]
    fn a_number_that_is_none_is_an_error_at_its_word() {
        for word in ["12g", "+1", "-1", "0x", "1_000", "٣"] {
            let expected = format!("line 3, column 5: found `{word}`; expected START, a hex address");
            check_error(&format!("brk {word}"), &expected, word);
        }
        check_error("xen_pt 0 2f", "line 3, column 10: found `2f`; expected NFRAMES, a decimal number", "2f");
        check_error("xen_pt 0 0x2", "line 3, column 10: found `0x2`; expected NFRAMES, a decimal number", "0x2");
        check_error("node a 0 1", "line 3, column 6: found `a`; expected NID, a decimal number", "a");
        for word in ["10000000000001", "0x10000000000001", "fffffffffffffffff"] {
            let expected =
                format!("line 3, column 6: found `{word}`; expected ADDR, a hex address of at most 0x10000000000000",);
            check_error(&format!("acpi {word}"), &expected, word);
        }
        check_error(
            "node 4294967296 0 1",
            "line 3, column 6: found `4294967296`; expected NID, a decimal number of at most 0xffffffff",
            "4294967296",
        );
    }

    #[test]
    fn an_unknown_type_is_an_error_that_lists_the_known_ones() {
        for word in ["6", "0x1", "99999999999999999999", "RAM"] {
            let expected = format!(
                "line 3, column 24: found `{word}`; expected TYPE: 1 RAM, 2 reserved, 3 ACPI data, 4 ACPI NVS, 5 \
                 unusable or 128 kernel-reserved",
            );
            check_error(&format!("e820 80000000 90000000 {word}"), &expected, word);
        }
    }

    #[test]
    fn ranges_have_bytes_and_ascend() {
        check_error("reserve 1000 fff X", "line 3, column 9: range ends at 0xfff, before its start 0x1000", "1000 fff");
        check_error("reserve 8 8 X", "line 3, column 9: range ends at 0x8, at its start 0x8", "8 8");
        check_error(
            "\ne820 7fffffff 80000001 2",
            "line 4, column 6: range starts at 0x7fffffff, before the end 0x80000000 of the one in line 1",
            "7fffffff 80000001",
        );
        check_error(
            "e820 0 1000 2",
            "line 3, column 6: range starts at 0x0, before the end 0x80000000 of the one in line 1",
            "0 1000",
        );
        check_error(
            "node 0 0 1000\nnode 1 fff 2000",
            "line 4, column 8: range starts at 0xfff, before the end 0x1000 of the one in line 3",
            "fff 2000",
        );
    }

    #[test]
    fn a_key_that_stands_once_does_not_stand_twice() {
        let rows = [
            "name a",
            "brk 1",
            "boot_mapped 1",
            "pse 1",
            "gbpages 1",
            "nx 1",
            "pge 1",
            "trampoline 1",
            "numa 1",
            "memtest 1",
            "dom0 1",
            "xen 0",
            "acpi 1",
            "xen_mapped 1",
            "xen_pt 1 1",
            "xen_mfn_list 1",
        ];
        for row in rows {
            let key = row.split(' ').next().unwrap_or(row);
            let expected = format!("line 4, column 1: `{key}` stands a second time; the first is line 3");
            check_error(&format!("{row}\n{row}"), &expected, key);
        }
        check_error("kernel 0 1", "line 3, column 1: `kernel` stands a second time; the first is line 2", "kernel");
    }

    #[test]
    fn a_file_needs_a_kernel_in_ram() {
        check_error_of("", "line 1, column 1: found the end of the file; expected a line `kernel START END`", "");
        check_error_of(
            "e820 0 1000 1\n",
            "line 2, column 1: found the end of the file; expected a line `kernel START END`",
            "",
        );
        check_error_of(
            "kernel 0 8000",
            "line 1, column 14: found the end of the file; expected a line `e820 START END 1`: there is no RAM",
            "",
        );
        for map in ["e820 0 1fff000 1", "e820 1001000 2000000 1", "e820 0 1800000 1\ne820 1801000 2000000 1"] {
            let line = map.matches('\n').count() + 2;
            check_error_of(
                &format!("{map}\nkernel 1000000 2000000"),
                &format!("line {line}, column 8: the kernel image [0x1000000, 0x2000000) lies outside RAM"),
                "1000000 2000000",
            );
        }
        check_error_of(
            "e820 0 10000 1\nkernel 1000 7fff",
            "line 2, column 8: the kernel image ends at 0x7fff; expected at least 0x8000, its static page tables",
            "1000 7fff",
        );
    }

    #[test]
    fn xen_needs_its_three_lines() {
        let rows = [
            ("xen_mapped", "xen_pt 1 1\nxen_mfn_list 1", "xen_mapped END"),
            ("xen_pt", "xen_mapped 1\nxen_mfn_list 1", "xen_pt BASE NFRAMES"),
            ("xen_mfn_list", "xen_pt 1 1\nxen_mapped 1", "xen_mfn_list ADDR"),
        ];
        for (_, others, missing) in rows {
            let expected = format!("line 3, column 1: `xen 1` needs a line `{missing}`");
            check_error(&format!("xen 1\n{others}"), &expected, "xen");
        }
    }

    #[test]
    fn junk_is_shown_escaped_and_short() {
        check_error("brk 1\0", "line 3, column 6: found the character `\\0`; expected a text file", "\0");
        check_error("a\u{1b}[31m", "line 3, column 2: found the character `\\u{1b}`; expected a text file", "\u{1b}");
        check_error("\u{fffd}", "line 3, column 1: found the character `\u{fffd}`; expected a text file", "\u{fffd}");
        check_error("brk 1\rnx 1", "line 3, column 6: found the character `\\r`; expected a text file", "\r");
        let long = "z".repeat(1000);
        let expected = format!("line 3, column 5: found `{}..`; expected START, a hex address", &long[..40]);
        check_error(&format!("brk {long}"), &expected, &long);
    }

    #[test]
    fn a_layout_is_told_from_a_log_by_its_first_word() {
        for (text, expected) in [
            ("# x\n\n  kernel 1", true),
            ("name", true),
            ("e820: BIOS-provided physical RAM map:", false),
            ("BIOS-e820: [mem 0x0-0xfff] usable", false),
            ("\0\0", false),
            ("", false),
        ] {
            assert_eq!(looks_like_layout(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_written_as_one_word() {
        for (name, expected) in [("my layout#1", "my-layout-1"), ("", "-"), ("é\n", "é-")] {
            let layout = Layout { name: name.to_owned(), ..least() };
            let back = Layout::parse(&layout.render(), "stem").expect("it is good");
            assert_eq!(back.name, expected);
        }
    }

    /// Ranges that ascend and do not overlap: from gaps and lengths.
    fn ascending(most: usize) -> impl Strategy<Value = Vec<PhysRange>> {
        let step = (0_u64..0x1_0000_0000, 1_u64..0x1_0000_0000);
        proptest::collection::vec(step, 0..most).prop_map(|steps| {
            let mut end = 0;
            let place = |(gap, len)| {
                let start = end + gap;
                end = start + len;
                PhysRange::from_numbers(start, end)
            };
            steps.into_iter().map(place).collect()
        })
    }

    fn range() -> impl Strategy<Value = PhysRange> {
        (0_u64..0xf_0000_0000, 1_u64..0x1000_0000).prop_map(|(start, len)| PhysRange::from_numbers(start, start + len))
    }

    fn address() -> impl Strategy<Value = PhysAddr> {
        (0_u64..=1 << 52).prop_map(PhysAddr::new)
    }

    fn p2m() -> impl Strategy<Value = P2m> {
        let frames = (0_u64..1 << 30, 1_u64..0x10_0000);
        let frames = frames.prop_map(|(start, len)| PfnRange::from_numbers(start, start + len));
        let ranges = || proptest::collection::vec(frames.clone(), 0..4);
        (ranges(), ranges()).prop_map(|(invalid, identity)| P2m::new(&invalid, &identity))
    }

    fn xen_boot() -> impl Strategy<Value = XenBoot> {
        let fields = (address(), address(), 0_u64..=1 << 52, address());
        fields.prop_map(|(mapped_end, pt_base, pt_frames, mfn_list)| XenBoot {
            mapped_end,
            pt_base,
            pt_frames,
            mfn_list,
        })
    }

    fn switches() -> impl Strategy<Value = Switches> {
        any::<[bool; 8]>().prop_map(|[pse, gbpages, nx, pge, trampoline, numa, memtest, dom0]| Switches {
            pse,
            gbpages,
            nx,
            pge,
            trampoline,
            numa,
            memtest,
            dom0,
        })
    }

    /// A firmware map whose first entry is RAM and holds the kernel.
    fn memory() -> impl Strategy<Value = (E820Map, PhysRange)> {
        let kinds = proptest::collection::vec(proptest::sample::select(E820Type::ALL.to_vec()), 8);
        let kernel = (0_u64..0x100_0000, 0x8000_u64..0x100_0000);
        (ascending(8), kinds, kernel).prop_map(|(ranges, kinds, (start, len))| {
            let kernel = PhysRange::from_numbers(start, start + len);
            let mut map = E820Map::new();
            let ram = PhysRange::new(PhysAddr::new(start / 2), kernel.end);
            map.push(E820Entry { range: ram, kind: E820Type::Ram }).expect("it is the first");
            for (range, kind) in ranges.into_iter().zip(kinds) {
                // What starts below the RAM's end is no part of this machine.
                let _ = map.push(E820Entry { range, kind });
            }
            (map, kernel)
        })
    }

    fn layout() -> impl Strategy<Value = Layout> {
        let word = "[!-\"$-~é]{1,12}";
        let reservation = (range(), word).prop_map(|(range, name)| Reservation { range, name });
        let reservations = proptest::collection::vec(reservation, 0..4);
        let nodes = (ascending(4), any::<[u32; 4]>())
            .prop_map(|(ranges, ids)| ranges.into_iter().zip(ids).map(|(range, id)| Node { id, range }).collect());
        let boot = (address(), address(), proptest::option::of(address()));
        let xen = (proptest::option::of(xen_boot()), any::<bool>());
        (word, memory(), reservations, nodes, boot, switches(), xen, p2m()).prop_map(
            |(name, (e820, kernel), reservations, nodes, (brk, boot_mapped, acpi), switches, (xen, is_xen), p2m)| {
                Layout {
                    name,
                    geometry: Geometry::X86_64,
                    e820,
                    kernel,
                    brk,
                    reservations,
                    boot_mapped,
                    switches,
                    nodes,
                    acpi,
                    backend: if is_xen && xen.is_some() { Backend::Xen } else { Backend::Native },
                    xen,
                    p2m,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn writing_undoes_reading(layout in layout()) {
            prop_assert_eq!(Layout::parse(&layout.render(), "stem"), Ok(layout));
        }

        #[test]
        fn no_text_makes_the_reader_panic(
            text in prop_oneof![
                "[a-z0-9_ x#\r\n\u{0}é\u{feff}]{0,80}",
                "((e820|node 0|kernel) [0-9a-f]{1,3} [0-9a-f]{1,4} ?[1-5]?\r?\n){0,6}",
                any::<String>(),
            ],
        ) {
            if let Err(error) = Layout::parse(&text, "stem") {
                assert_place(&text, &error);
                prop_assert!(error.to_string().len() < 500);
            }
        }
    }
}
