// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot logs: the corpus against the layouts made of it by another program, the forms a log can come in,
//! and what is said of one that is broken.

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use pgtlab_core::bootlog::{BootLog, BootLogError, LogKind, NoteKind, derive_xen};
    use pgtlab_core::e820::E820Type;
    use pgtlab_core::layout::Layout;
    use proptest::prelude::*;

    /// The machines whose Xen cell cannot exist.
    const SKIPPED: [&str; 6] = [
        "dom0-6.8-amd-nuc-64g-kernel-conflict",
        "domU-2.6.27-4g-initrd-hole",
        "nat-4.19-8node-1t-ht-hole",
        "nat-5.10-amd-64g-nvs-at-a200000",
        "nat-6.13-amd-64g-ht-hole",
        "nat-6.14-framework-desktop-128g",
    ];

    const THIRTY_TWO_BIT: [&str; 4] = [
        "domU-2.6.29-32bit-360m-gt",
        "nat-2.5.59-numaq-4node-16g",
        "nat-2.6.1-unaligned-acpi-16g",
        "vm-6.4-i386-qemu-4g",
    ];

    /// Name and text of every log of the corpus.
    fn corpus() -> Vec<(String, String)> {
        let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshots");
        let folders = std::fs::read_dir(snapshots).expect("the corpus is there");
        let mut logs: Vec<(String, String)> = folders
            .filter_map(|folder| {
                let folder = folder.expect("the corpus can be listed");
                let text = std::fs::read_to_string(folder.path().join("machine.txt")).ok()?;
                Some((folder.file_name().into_string().expect("names are text"), text))
            })
            .collect();
        logs.sort();
        logs
    }

    fn golden(name: &str) -> Option<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.layout"));
        std::fs::read_to_string(path).ok()
    }

    /// Compares a cell with its golden file; `true` if there is one.
    #[track_caller]
    fn check_golden(name: &str, cell: impl FnOnce(&str) -> Result<Layout, BootLogError>) -> bool {
        let Some(expected) = golden(name) else { return false };
        let layout = cell(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(layout.render(), expected, "{name}");
        assert_eq!(Layout::parse(&expected, "stem").as_ref(), Ok(&layout), "{name}");
        true
    }

    #[test]
    fn the_corpus_makes_the_golden_layouts_line_for_line() {
        let logs = corpus();
        assert_eq!(logs.len(), 57);
        let parsed = || logs.iter().map(|(name, text)| (name, BootLog::parse(text)));
        let n_native = parsed().filter(|(name, log)| check_golden(&format!("m-{name}"), |m| log.native(m))).count();
        let n_xen = parsed().filter(|(name, log)| check_golden(&format!("x-{name}"), |x| log.xen(x))).count();
        assert_eq!((n_native, n_xen), (42, 49));
    }

    #[test]
    fn the_corpus_makes_every_cell_but_six() {
        let mut n_native = 0;
        let mut n_xen = 0;
        for (name, text) in corpus() {
            let log = BootLog::parse(&text);
            assert_eq!(log.native(&name).is_ok(), log.kind().has_native_cell(), "{name}");
            n_native += usize::from(log.native(&name).is_ok());
            match log.xen(&name) {
                Ok(_) => n_xen += 1,
                Err(error) => {
                    assert!(SKIPPED.contains(&name.as_str()), "{name}: {error}");
                    assert!(error.is_skipped_cell(), "{name}");
                    assert_eq!(error.to_string(), "no room for Xen's boot objects");
                }
            }
        }
        assert_eq!((n_native, n_xen), (45, 51));
    }

    #[test]
    fn every_line_of_the_corpus_is_understood() {
        for (name, text) in corpus() {
            let log = BootLog::parse(&text);
            let kinds: Vec<&NoteKind> = log.notes().iter().map(|note| &note.kind).collect();
            let expected: &[&NoteKind] =
                if THIRTY_TWO_BIT.contains(&name.as_str()) { &[&NoteKind::ThirtyTwoBit] } else { &[] };
            assert_eq!(kinds, expected, "{name}");
            assert_eq!(log.is_32_bit(), !expected.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_log_without_comments_shows_where_its_kernel_ran() {
        for (name, text) in corpus() {
            let stated = BootLog::parse(&text).kind();
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            let deduced = BootLog::parse(&lines.join("\n")).kind();
            // Some virtual machines print nothing of their hypervisor; their cells are the same.
            let is_right = deduced == stated || (stated, deduced) == (LogKind::Vm, LogKind::Native);
            assert!(is_right, "{name}: {deduced}");
        }
    }

    #[test]
    fn a_native_layout_file_gets_the_xen_cell_of_its_log() {
        for (name, text) in corpus() {
            let log = BootLog::parse(&text);
            if let Ok(native) = log.native(&name) {
                assert_eq!(derive_xen(&native), log.xen(&name), "{name}");
            }
        }
    }

    #[test]
    fn what_a_layout_file_reserves_besides_its_ramdisk_stays_under_xen() {
        let text = "e820 0 80000000 1\nkernel 1000000 2000000\nreserve 0 1000 A\nreserve 3000000 4000000 RAMDISK\n";
        let native = Layout::parse(text, "stem").expect("it is good");
        let xen = derive_xen(&native).expect("there is room");
        let found: Vec<_> = xen.reservations.iter().map(|r| (r.name.as_str(), r.range.start.get())).collect();
        assert_eq!(found, [("A", 0), ("RAMDISK", 0x203_b000)]);
        assert!(xen.switches.dom0);
        assert_eq!(derive_xen(&xen), Ok(xen));
        let small = Layout::parse("e820 0 2fff000 1\nkernel 1000000 2000000", "stem").expect("it is good");
        assert_eq!(derive_xen(&small), Err(BootLogError::NoRoomForXen));
    }

    #[test]
    fn the_builders_tables_fit_into_what_they_map() {
        let text = "e820 0 80000000 1\ne820 100000000 6000000000 1\nkernel 1000000 2000000\n";
        let layout = Layout::parse(text, "stem").expect("it is good");
        let xen = derive_xen(&layout).expect("there is room").xen.expect("it is under Xen");
        let tables_end = xen.pt_base.get() + xen.pt_frames * 0x1000;
        assert!(tables_end <= xen.mapped_end.get());
        assert_eq!(xen.pt_frames, xen.mapped_end.get() / 0x20_0000 + 4);
    }

    #[track_caller]
    fn check_disguise(disguise: impl Fn(&str) -> String) {
        for (name, text) in corpus() {
            let (plain, disguised) = (BootLog::parse(&text), BootLog::parse(&disguise(&text)));
            assert_eq!(disguised.native(&name), plain.native(&name), "{name}");
            assert_eq!(disguised.xen(&name), plain.xen(&name), "{name}");
            assert!(!disguised.notes().iter().any(|note| note.kind.is_doubt()), "{name}: {:?}", disguised.notes());
        }
    }

    fn each_line(text: &str, change: impl Fn(&str) -> String) -> String {
        text.lines().map(change).collect()
    }

    fn with_prefix(text: &str, prefix: &str) -> String {
        let is_comment = |line: &str| line.starts_with('#');
        each_line(text, |line| if is_comment(line) { format!("{line}\n") } else { format!("{prefix}{line}\n") })
    }

    /// As mailers encode: `=` as `=3D`, lines cut to 76 characters.
    fn quoted_printable(text: &str) -> String {
        each_line(text, |line| {
            let mut encoded = String::new();
            let mut column = 0;
            for c in line.chars() {
                let written = if c == '=' || !c.is_ascii() {
                    c.to_string().bytes().fold(String::new(), |mut all, byte| {
                        let _ = write!(all, "={byte:02X}");
                        all
                    })
                } else {
                    c.to_string()
                };
                if 75 < column + written.len() {
                    encoded.push_str("=\n");
                    column = 0;
                }
                column += written.len();
                encoded.push_str(&written);
            }
            encoded + "\n"
        })
    }

    #[test]
    fn the_way_a_log_was_taken_does_not_change_its_cells() {
        check_disguise(|text| with_prefix(text, "[    0.000000] "));
        check_disguise(|text| with_prefix(text, "May  5 12:00:00 user kernel: [    0.000000] "));
        check_disguise(|text| with_prefix(text, "<6>"));
    }

    #[test]
    fn mail_does_not_change_a_logs_cells() {
        check_disguise(|text| text.replace('\n', "\r\n"));
        check_disguise(|text| each_line(text, |line| format!("> {line}\n")));
        check_disguise(|text| each_line(text, |line| format!(">> > [    0.000000] {line}\n")));
        check_disguise(|text| quoted_printable(&with_prefix(text, "[    0.000000] ")));
        check_disguise(|text| quoted_printable(&each_line(text, |line| format!("> [    0.000000] {line}\n"))));
        check_disguise(|text| each_line(&quoted_printable(text), |line| format!("> {line}\n")));
        check_disguise(|text| each_line(text, |line| line.replacen("] usable", "]\nusable", 1) + "\n"));
        check_disguise(|text| each_line(text, |line| line.replacen("] ACPI ", "] ACPI\n> ", 1) + "\n"));
    }

    #[test]
    fn only_the_first_boot_counts() {
        check_disguise(|text| format!("{text}{}", text.replace("] usable", "] reserved")));
    }

    const GOOD: &str = "BIOS-e820: [mem 0x0-0x9fbff] usable\nBIOS-e820: [mem 0x100000-0x7fffffff] usable\n";

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = BootLog::parse(text).native("name").expect_err("the log is broken");
        assert_eq!(error.to_string(), expected);
        assert!(!error.is_skipped_cell());
    }

    #[test]
    fn a_log_that_makes_no_layout_says_why_and_where() {
        check_error("", "no e820 lines");
        check_error("user: [mem 0x0-0x7fffffff] usable", "no e820 lines");
        check_error(
            "x\nBIOS-e820: [mem 0x0-0xfff] usable",
            "line 2: the memory map that starts here has no usable range",
        );
        check_error("BIOS-e820: [mem 0x2000-0x0fff] usable", "line 1: range ends at 0x1000, before its start 0x2000");
        check_error(" BIOS-e820: 00001000 - 00001000 (usable)", "line 1: range ends at 0x1000, at its start 0x1000");
        check_error(
            "BIOS-e820: [mem 0x0-0x1fff] usable\n\nBIOS-e820: [mem 0x1000-0x2fff] reserved",
            "line 3: range starts at 0x1000, before the end 0x2000 of the one in line 1",
        );
        check_error(
            "BIOS-e820: [mem 0x0-0xffffffffffffffff] usable",
            "line 1: range ends at 0xffffffffffffffff; expected at most 0x10000000000000",
        );
        check_error(
            "BIOS-e820: [mem 0x0-0xffffff] reserved\nBIOS-e820: [mem 0x1000000-0x1ffefff] usable",
            "no room for the kernel image: neither [0x1000000, 0x2000000) nor [0x200000, 0x1000000) lies in one \
             usable range",
        );
        check_error(
            &format!("# kind: xen-dom0\n{GOOD}"),
            "the memory map of a dom0 log is Xen's making; it has no native cell",
        );
    }

    #[track_caller]
    fn check_notes(text: &str, expected: &[&str]) {
        let log = BootLog::parse(&format!("# kind: native\n{text}"));
        let found: Vec<String> = log.notes().iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_understood_is_reported_with_its_line() {
        check_notes(GOOD, &[]);
        check_notes("Just text.", &[]);
        check_notes(
            "BIOS-e820: [mem 0x0000",
            &["line 2: looks like a memory map but is not understood: `BIOS-e820: [mem 0x0000`"],
        );
        check_notes(
            "RAMDISK: [mem 0x2000-0x0fff]",
            &["line 2: looks like a memory map but is not understood: `RAMDISK: [mem 0x2000-0x0fff]`"],
        );
        check_notes(
            "BIOS-e820: [mem 0x0-0xfff] odd\nBIOS-e820: [mem 0x1000-0x1fff]\nx",
            &[
                "line 2: `odd` is no known type of memory; taken as reserved",
                "line 3: the range has no type; taken as reserved",
            ],
        );
        check_notes(
            "Xen: [mem 0x1000-0x1fff] usable\nXen: [mem 0x0-0xfff] usable",
            &["line 3: the range starts below the one above it; taken as the start of another map"],
        );
        check_notes("Xen: [mem 0x0-0xfff] usable\n[0.0] Xen: [mem 0x0-0xfff] usable", &["line 3: repeats line 2"]);
        check_notes("max_arch_pfn = 0x100000", &["line 2: the kernel is a 32-bit one; its machine is run as 64-bit"]);
    }

    #[test]
    fn notes_and_maps_of_junk_do_not_grow_without_end() {
        let log = BootLog::parse(&"BIOS-e820: junk\n".repeat(1_500));
        assert_eq!(log.notes().len(), 1_002);
        assert_eq!(log.notes()[1_000].to_string(), "500 further notes are not listed");
        let starts = (1..2_000_u64).rev();
        let log =
            BootLog::parse(&starts.map(|n| format!("user: [mem {n:#x}000-{n:#x}fff] usable\n")).collect::<String>());
        assert!(log.maps().len() <= 256);
    }

    /// A log of lines like one, which has the line's number in it.
    #[track_caller]
    fn check_first_lost(n_lines: usize, line: impl Fn(usize) -> String, expected: &str) {
        let log = BootLog::parse(&(1..=n_lines).map(line).collect::<String>());
        let doubts: Vec<String> =
            log.notes().iter().filter(|note| note.kind.is_doubt()).map(ToString::to_string).collect();
        assert_eq!(doubts, [expected]);
        assert!(log.facts().len() <= 20_000 && log.maps().iter().all(|map| map.entries.len() <= 10_000));
    }

    #[test]
    fn what_no_machine_prints_so_often_is_cut_and_that_is_told() {
        check_first_lost(
            10_002,
            |n| format!("BIOS-e820: [mem {n:#x}000-{n:#x}fff] usable\n"),
            "line 10001: the memory map has more than 10000 ranges; from here on they are not kept",
        );
        check_first_lost(
            20_002,
            |n| format!("1-1 mapping on {n:x}0->{n:x}1\n"),
            "line 20001: more than 20000 lines say something about memory; from here on they are not kept",
        );
        check_first_lost(
            250_002,
            |n| format!("{n} is reserved\n"),
            "line 250001: more than 250000 lines could be about memory; from here on no line is read",
        );
        let long = "x".repeat(5_000);
        check_first_lost(
            1,
            |_| format!("{long} BIOS-e820: [mem 0x0-0xfff] usable\n"),
            "line 1: the line has 5034 bytes; only its last 4096 were looked at",
        );
    }

    #[test]
    fn what_is_no_text_hides_nothing() {
        let mut bytes = b"\xff\xfe\0\0[    0.0] \xc3BIOS-e820: [mem 0x0-0x9fbff] usable\r\n\0\0".to_vec();
        bytes.extend(b"BIOS-e820: [mem 0x100000-0x7fffffff] usable\n\xf0\x9f");
        let log = BootLog::from_bytes(&bytes);
        assert_eq!(log.first_map().map(|map| map.entries.len()), Some(2));
        assert!(!log.notes().iter().any(|note| note.kind.is_doubt()), "{:?}", log.notes());
    }

    #[test]
    fn page_0_and_the_isa_hole_are_never_ram() {
        let log = BootLog::parse("BIOS-e820: [mem 0x100-0x7fffffff] usable");
        let map = log.native("name").expect("the map is good").e820;
        let found: Vec<_> = map.entries().iter().map(|e| (e.range.start.get(), e.range.end.get(), e.kind)).collect();
        assert_eq!(
            found,
            [
                (0, 0x1000, E820Type::Reserved),
                (0x1000, 0xa_0000, E820Type::Ram),
                (0x10_0000, 0x8000_0000, E820Type::Ram),
            ]
        );
    }

    /// Text that comes close to a log: pieces of its lines in any order.
    fn nearly_a_log() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            proptest::sample::select(vec![
                "BIOS-e820:",
                " Xen: ",
                "user:",
                "reserve setup_data: ",
                "(XEN) ",
                "[mem 0x",
                "[gap ",
                "-0x",
                "]",
                " - ",
                " usable",
                "(usable)",
                " ACPI",
                "\n",
                "\r\n",
                "=\n",
                "=3D",
                "=C3",
                "> ",
                "#",
                "# kind: xen-domU\n",
                "RAMDISK:",
                "page 1G\n",
                " 12 KB ",
                "[",
                ", ",
                "type 20",
                "physical RAM map:\n",
                "HighMem ",
                "é",
                "\0",
            ])
            .prop_map(str::to_owned),
            any::<u64>().prop_map(|number| format!("{number:x}")),
            (0_u64..0x1000).prop_map(|page| format!("BIOS-e820: [mem {page:#x}000-{:#x}fff] usable\n", page + 8)),
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in prop_oneof![nearly_a_log(), any::<String>()]) {
            let log = BootLog::parse(&text);
            for layout in [log.native("name"), log.xen("name")].into_iter().flatten() {
                prop_assert_eq!(Layout::parse(&layout.render(), "stem"), Ok(layout));
            }
            prop_assert!(log.notes().iter().all(|note| note.line.is_none_or(|line| 0 < line)));
        }
    }
}
