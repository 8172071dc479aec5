// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replays: every line of every log of the corpus that a kernel prints about its early page tables, beside what
//! the model says it prints; logs made of the kernel's own traces; and logs that are of neither.

#[cfg(test)]
mod tests {
    use pgtlab_core::bootlog::{Style, print};
    use pgtlab_core::layout::Layout;
    use pgtlab_core::replay::{Kind, Replay, ReplayError, Row, replay};
    use proptest::prelude::*;
    use std::fmt::Write as _;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn here(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    /// Name and text of every log, fragments and those of kernels that print BRK tables among them.
    fn corpus() -> Vec<(String, String)> {
        let entries = |folder: &str| {
            fs::read_dir(here(folder))
                .expect("the corpus is there")
                .map(|entry| entry.expect("it can be listed").path())
        };
        let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).expect("names are text").to_owned();
        let maps = entries("../snapshots").filter_map(|folder| {
            let name = folder.file_name()?.to_str()?.to_owned();
            Some((name, fs::read_to_string(folder.join("machine.txt")).ok()?))
        });
        let others = ["fragments", "brk"].into_iter().flat_map(|folder| {
            entries(&format!("tests/logs/{folder}"))
                .map(move |path| (format!("{folder}/{}", stem(&path)), fs::read_to_string(&path).expect("a log")))
        });
        let mut logs: Vec<(String, String)> = maps.chain(others).collect();
        logs.sort();
        logs
    }

    fn shown(row: &Row) -> String {
        let subject = row.log.map(|(_, line)| line).or(row.model).map_or_else(String::new, |line| line.subject());
        let number = row.log.map_or_else(|| "-".to_owned(), |(number, _)| number.to_string());
        let log = row.log.map_or_else(|| "-".to_owned(), |(_, line)| line.to_string());
        let model = row.model.map_or_else(|| "-".to_owned(), |line| line.to_string());
        let mark = if row.is_equal() { ' ' } else { '!' };
        format!("{mark} {number:>4}  {subject:<23}  {log:<25}  {model}").trim_end().to_owned()
    }

    /// What the replay says, the lines and what it had to assume.
    fn told(name: &str, replay: &Replay) -> String {
        let mut out = format!("{name}\n  era {}\n", replay.era);
        for assumed in &replay.assumed {
            let _ = writeln!(out, "  assumed: {assumed}");
        }
        for row in &replay.rows {
            let _ = writeln!(out, "{}", shown(row));
        }
        for (number, line) in &replay.unpredicted {
            let _ = writeln!(out, "  not predicted: line {number}, {} {line}", line.subject());
        }
        out
    }

    /// The log that a version's kernel would have printed of a golden machine: its map and what lies in it, then
    /// the lines of its trace.
    fn golden_log(layout: &Layout, version: &str, style: Style, trace: &str) -> String {
        let mut text = format!("Linux version {version}\n");
        // That one is the printer's own, to say which pages there are.
        for line in print(layout, style).lines().filter(|line| !line.contains(" page ")) {
            let _ = writeln!(text, "{line}");
        }
        if let Some(table) = layout.acpi {
            let _ = writeln!(text, "ACPI: RSDP {table:016x} 00014");
        }
        for line in trace.lines().filter_map(|line| line.strip_prefix("dmesg: ")) {
            let _ = writeln!(text, "{line}");
        }
        // The words in which the kernel reports a write that its page tables do not let through.
        let words = trace.lines().find_map(|line| line.split_once(" writes pfn "));
        if let Some(pfn) = words.and_then(|(_, rest)| rest.split([' ', ':']).next()) {
            let address = 0xffff_8800_0000_0000 + (u64::from_str_radix(pfn, 16).expect("a frame") << 12);
            let _ = writeln!(text, "BUG: unable to handle kernel paging request at {address:x}");
        }
        text
    }

    /// Replays what the kernel's own code printed on every golden machine: so many lines on so many machines, of
    /// them so many faults.
    #[track_caller]
    fn check_golden(version: &str, suffix: &str, style: Style, expected: [usize; 3]) {
        let (mut n_machines, mut n_lines, mut n_faults) = (0, 0, 0);
        for entry in fs::read_dir(here("tests/golden")).expect("the goldens are there") {
            let path = entry.expect("they can be listed").path();
            if path.extension().is_none_or(|extension| extension != "layout") {
                continue;
            }
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("names are text");
            let layout = fs::read_to_string(&path).expect("a golden");
            let layout = Layout::parse(&layout, stem).expect("golden layouts parse");
            // A log does not tell of a kernel without nodes, and where this one faults depends on them.
            if suffix == "workaround" && !layout.switches.numa {
                continue;
            }
            let trace = fs::read_to_string(path.with_file_name(format!("{stem}.{suffix}.trace"))).expect("a golden");
            let replay =
                replay(&golden_log(&layout, version, style, &trace)).unwrap_or_else(|error| panic!("{stem}: {error}"));
            assert_eq!(replay.n_differing(), 0, "{version}: {}", told(stem, &replay));
            n_machines += 1;
            n_lines += replay.rows.len();
            n_faults += replay.rows.iter().filter(|row| row.kind() == Some(Kind::Fault)).count();
        }
        assert_eq!([n_lines, n_machines, n_faults], expected, "{version}");
    }

    #[test]
    fn the_lines_of_the_kernels_own_code_are_predicted_on_every_golden_machine() {
        check_golden("2.6.38", "v2.6.38", Style::Old, [1334, 231, 0]);
        check_golden("2.6.39-rc5", "rc5", Style::Old, [1287, 231, 0]);
        check_golden("2.6.39-rc7", "workaround", Style::Old, [1245, 189, 43]);
        check_golden("2.6.39", "hook", Style::Old, [1592, 231, 0]);
        check_golden("3.8.13", "v3.8", Style::Mem, [1622, 231, 0]);
        check_golden("3.9.6", "v3.9", Style::Mem, [4691, 231, 0]);
    }

    #[test]
    fn every_line_of_the_corpus_is_predicted() {
        let mut listing = String::new();
        let mut equal: Vec<(Kind, usize)> = Kind::ALL.map(|kind| (kind, 0)).to_vec();
        let (mut n_logs, mut n_differing) = (0, 0);
        for (name, text) in corpus() {
            let Ok(replay) = replay(&text) else { continue };
            n_logs += 1;
            n_differing += replay.n_differing();
            let rows = || replay.rows.iter().filter(|row| row.is_equal());
            for (kind, n) in &mut equal {
                *n += rows().filter(|row| row.kind() == Some(*kind)).count();
            }
            let _ = writeln!(listing, "{}", told(&name, &replay));
        }
        let n_equal: usize = equal.iter().map(|(_, n)| n).sum();
        let counts: Vec<String> = equal.iter().map(|(kind, n)| format!("{n} {}", kind.name())).collect();
        let _ =
            writeln!(listing, "{n_logs} logs, {n_equal} lines as predicted, {n_differing} not\n{}", counts.join(", "));
        let place = here("tests/logs/replays.txt");
        if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
            fs::write(&place, &listing).expect("the listing can be written");
        }
        let expected = fs::read_to_string(&place).unwrap_or_default();
        let differs = expected.lines().zip(listing.lines()).find(|(expected, got)| expected != got);
        assert!(expected == listing, "{differs:?}; `just bless` writes {} anew", place.display());
        assert_eq!((n_logs, n_equal, n_differing), (37, 300, 0));
    }

    #[test]
    fn time_stamps_and_quotes_change_nothing() {
        for (name, text) in corpus() {
            for prefix in
                ["[    0.000000] ", "<6>[    0.000000] ", "Oct 22 11:02:01 host kernel: [    0.000000] ", "> > "]
            {
                let disguise = |line: &str| match line.starts_with("# ") {
                    true => format!("{line}\n"),
                    false => format!("{prefix}{line}\n"),
                };
                let disguised: String = text.lines().map(disguise).collect();
                let rows = |text: &str| replay(text).map(|replay| replay.rows);
                assert_eq!(rows(&disguised), rows(&text), "{name}: {prefix}");
            }
        }
    }

    #[test]
    fn a_log_tells_its_era_without_comments() {
        let mut n_logs = 0;
        for (name, text) in corpus() {
            let Ok(stated) = replay(&text) else { continue };
            let bare: String =
                text.lines().filter(|line| !line.starts_with("# ")).map(|line| format!("{line}\n")).collect();
            let replay = replay(&bare).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((replay.rows.len(), replay.n_differing()), (stated.rows.len(), 0), "{}", told(&name, &replay));
            n_logs += 1;
        }
        assert_eq!(n_logs, 37);
    }

    #[test]
    fn every_line_about_table_space_is_among_them() {
        let texts: Vec<String> = corpus().into_iter().map(|(_, text)| text).collect();
        let is_predicted = |row: &&Row| row.is_equal() && row.kind() == Some(Kind::Tables);
        let n_predicted: usize = texts
            .iter()
            .filter_map(|text| replay(text).ok())
            .map(|replay| replay.rows.iter().filter(is_predicted).count())
            .sum();
        let is_line = |line: &&str| !line.starts_with('#') && line.contains("kernel direct mapping tables up to");
        let n_printed: usize = texts.iter().map(|text| text.lines().filter(is_line).count()).sum();
        assert_eq!((n_predicted, n_printed), (20, 20));
    }

    /// A log of no machine that is anywhere else, with what it should say worked out by hand.
    #[track_caller]
    fn check(era: &str, text: &str, n_lines: usize) -> Replay {
        let replay = replay(text).unwrap_or_else(|error| panic!("{error}"));
        let told = told("by hand", &replay);
        assert_eq!((replay.era, replay.n_differing(), replay.rows.len()), (era, 0, n_lines), "{told}");
        replay
    }

    const TWO_GIB: &str = "\
Linux version 2.6.38-1-custom
 BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)
 BIOS-e820: 0000000000100000 - 000000007ff00000 (usable)
initial memory mapped : 0 - 20000000
init_memory_mapping: 0000000000000000-000000007ff00000
 0000000000 - 007fe00000 page 2M
 007fe00000 - 007ff00000 page 4k
kernel direct mapping tables up to 7ff00000 @ 1fffc000-20000000
  NODE_DATA [000000007fefb000 - 000000007fefffff]
";

    #[test]
    fn a_low_buffer_of_a_machine_outside_the_corpus() {
        // 2 entries of level 3, 1024 of level 2, 256 of level 1: 1 + 2 + 1 pages below 512 MiB.
        check("2.6.37 - 2.6.38", TWO_GIB, 5);
    }

    #[test]
    fn a_large_leaf_that_was_split_later_changes_nothing() {
        let text = format!(
            "{TWO_GIB}BUG: unable to handle kernel paging request at ffff88007a000000\n\
             PGD 1c06063 PUD 1c0a063 PMD 36f5a063 PTE 800000007a000160\n"
        );
        let replay = check("2.6.37 - 2.6.38", &text, 5);
        assert_eq!(replay.unpredicted.len(), 1);
    }

    #[test]
    fn the_lowest_fit_goes_on_behind_what_the_first_call_used() {
        // Call 1: 1 + 3 + 1 pages set aside; level 2 tables for GiB 1 and 2, and one for the end: 3 used.
        // Call 2: 5 entries of level 3, 2304 of level 2: 1 + 5 pages.
        let text = "\
Linux version 2.6.32-5-amd64
 BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)
 BIOS-e820: 0000000000100000 - 00000000bff80000 (usable)
 BIOS-e820: 0000000100000000 - 0000000120000000 (usable)
kernel direct mapping tables up to bff80000 @ 8000-d000
kernel direct mapping tables up to 120000000 @ b000-11000
(7 early reservations) ==> bootmem [0000000000 - 0120000000]
  #1 [0000006000 - 0000008000]       TRAMPOLINE ==> [0000006000 - 0000008000]
  #2 [0001000000 - 00018d1e30]    TEXT DATA BSS ==> [0001000000 - 00018d1e30]
  #5 [0000008000 - 000000b000]          PGTABLE ==> [0000008000 - 000000b000]
  #6 [000000b000 - 000000c000]          PGTABLE ==> [000000b000 - 000000c000]
";
        check("2.6.31 - 2.6.36", text, 4);
    }

    #[test]
    fn the_descent_of_a_machine_outside_the_corpus() {
        // facts of QEMU's 4 GiB machine: what is mapped, and that the pool maps the kernel's own range: there,
        // three pages come from the top.
        let text = "\
Linux version 4.1.0
BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable
BIOS-e820: [mem 0x0000000100000000-0x000000013fffffff] usable
init_memory_mapping: [mem 0x00000000-0x000fffff]
BRK [0x02a01000, 0x02a01fff] PGTABLE
BRK [0x02a02000, 0x02a02fff] PGTABLE
BRK [0x02a03000, 0x02a03fff] PGTABLE
init_memory_mapping: [mem 0x13fe00000-0x13fffffff]
BRK [0x02a04000, 0x02a04fff] PGTABLE
init_memory_mapping: [mem 0x120000000-0x13fdfffff]
init_memory_mapping: [mem 0x00100000-0xbffdffff]
init_memory_mapping: [mem 0x100000000-0x11fffffff]
NODE_DATA(0) allocated [mem 0x13fff9000-0x13fffcfff]
";
        check("3.19 - 4.7", text, 10);
    }

    /// The machine of 92bdaef7b2c5's message, and the first mapping call of its boot.
    const PUBLISHED: &str = "\
# kind: xen-domU
(XEN)  Loaded kernel: ffffffff81000000->ffffffff81f00000
(XEN)  Init. ramdisk: ffffffff8203b000->ffffffff82c3a000
(XEN)  Phys-Mach map: ffffffff82c3a000->ffffffff83b3d000
(XEN)  Page tables:   ffffffff83b3d000->ffffffff83b5e000
(XEN)  TOTAL:         ffffffff80000000->ffffffff83c00000
 Xen: 0000000000000000 - 00000000000a0000 (usable)
 Xen: 0000000000100000 - 00000001e0800000 (usable)
init_memory_mapping: 0000000000000000-0000000100000000
kernel direct mapping tables up to 100000000 @ ff7fb000-100000000
";

    #[test]
    fn the_published_boot_under_xen_tells_what_was_made_writable() {
        let text = PUBLISHED.to_owned()
            + "\
Linux version 2.6.39
xen: setting RW the range fffdc000 - 100000000
init_memory_mapping: 0000000100000000-00000001e0800000
kernel direct mapping tables up to 1e0800000 @ 1df0f3000-1e0000000
xen: setting RW the range 1df7fb000 - 1e0000000
  NODE_DATA [00000001dfffb000 - 00000001dfffffff]
";
        check("2.6.39 - 3.1", &text, 7);
    }

    #[test]
    fn the_published_oops_is_predicted_down_to_its_address() {
        // 2.6.39-rc7, whose fix-up comes too late for the second buffer.
        let text = PUBLISHED.to_owned()
            + "\
Linux version 2.6.39-rc7
init_memory_mapping: 0000000100000000-00000001e0800000
kernel direct mapping tables up to 1e0800000 @ 1df0f3000-1e0000000
xen: setting RW the range fffdc000 - 100000000
  NODE_DATA [00000001dfffb000 - 00000001dfffffff]
BUG: unable to handle kernel paging request at ffff8801dfffb000
";
        let replay = check("2.6.39-rc6 - rc7", &text, 7);
        let death = replay.death.expect("it dies as the machine did");
        assert_eq!(death, "NODE_DATA writes pfn 1dfffb of [1dfffb000,1e0000000): direct map not writable");
    }

    #[test]
    fn a_32_bit_kernel_counts_its_fixmap_too() {
        // Entries of 4 bytes: 128 of the root and as many of level 2, 2032 of level 1, 2 pages of the fixmap.
        let text = "\
Linux version 2.6.28-11-generic
 BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)
 BIOS-e820: 0000000000100000 - 000000001fff0000 (usable)
last_pfn = 0x1fff0 max_arch_pfn = 0x100000
kernel direct mapping tables up to 1fff0000 @ 7000-d000
";
        check("2.6.27 - 2.6.36, 32-bit", text, 1);
        let later = text.replace("2.6.28", "2.6.38");
        let refused = replay(&later).expect_err("of that time they are not modelled").to_string();
        assert_eq!(refused, "a 32-bit kernel 2.6.38; of 32-bit kernels those before 2.6.37 are modelled");
    }

    /// What differs when a part of a log is another, and why.
    #[track_caller]
    fn check_cause(text: &str, replaced: &str, by: &str, expected: &[&str]) {
        assert!(text.contains(replaced), "{replaced}");
        let replay = replay(&text.replace(replaced, by)).unwrap_or_else(|error| panic!("{error}"));
        let differing = replay.rows.iter().filter(|row| !row.is_equal()).map(shown);
        let causes = replay.causes.iter().map(|cause| format!("cause: {cause}"));
        assert_eq!(differing.chain(causes).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_difference_is_told_with_its_likely_cause() {
        check_cause(
            TWO_GIB,
            "1fffc000-20000000",
            "1fffb000-1ffff000",
            &[
                "!    8  tables up to 7ff00000    1fffb000-1ffff000          1fffc000-20000000",
                "cause: something that no line names was reserved in the 1 page below 20000000",
            ],
        );
        check_cause(
            TWO_GIB,
            "1fffc000-20000000",
            "7fefc000-7ff00000",
            &[
                "!    8  tables up to 7ff00000    7fefc000-7ff00000          1fffc000-20000000",
                "cause: it lies above where the model looks for a place: more was mapped by then, or other rules held",
            ],
        );
        check_cause(
            TWO_GIB,
            "000000007fefb000 - 000000007fefffff",
            "000000007fef0000 - 000000007fef4fff",
            &[
                "!    9  NODE_DATA                7fef0000-7fef5000          7fefb000-7ff00000",
                "cause: something that no line names was reserved in the 11 pages below 7ff00000",
            ],
        );
        check_cause(
            TWO_GIB,
            "1fffc000-20000000",
            "1fffd000-20000000",
            &[
                "!    8  tables up to 7ff00000    1fffd000-20000000          1fffc000-20000000",
                "cause: the kernel counted 3 pages of tables where the model counts 4: other page sizes, or rules of \
                 another version",
            ],
        );
    }

    #[test]
    fn rules_carried_into_another_kernel_are_recognised() {
        let high = TWO_GIB.replace("7fefb000 - 000000007fefffff", "7fef7000 - 000000007fefbfff");
        check_cause(
            &high,
            "1fffc000-20000000",
            "7fefc000-7ff00000",
            &[
                "!    8  tables up to 7ff00000    7fefc000-7ff00000          1fffc000-20000000",
                "!    9  NODE_DATA                7fef7000-7fefc000          7fefb000-7ff00000",
                "cause: every line is as predicted by the rules of 2.6.39 - 3.1 (carried into this kernel?)",
            ],
        );
    }

    #[test]
    fn what_the_log_leaves_open_is_tried() {
        // The pool gives 3 pages to the first MiB, 1 to the top GiB, and 1 to the trampoline if the direct map
        // is at a random address.
        let text = "\
Linux version 5.4.0
Kernel command line: quiet
BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable
BIOS-e820: [mem 0x0000000100000000-0x000000013fffffff] usable
BRK [0x02a01000, 0x02a01fff] PGTABLE
BRK [0x02a02000, 0x02a02fff] PGTABLE
BRK [0x02a03000, 0x02a03fff] PGTABLE
BRK [0x02a04000, 0x02a04fff] PGTABLE
BRK [0x02a05000, 0x02a05fff] PGTABLE
";
        check("4.8 - 5.7", text, 5);
        let last = "BRK [0x02a05000, 0x02a05fff] PGTABLE\n";
        check("4.8 - 5.7", &text.replace(last, "").replace("quiet", "quiet nokaslr"), 4);
        check_cause(
            text,
            last,
            "",
            &[
                "!    -  BRK table                -                          2a05000-2a06000",
                "cause: every line is as predicted if the direct map was not at a random address (no KASLR)",
            ],
        );
    }

    /// A number of a log's line changed, a line left out, or one put in twice.
    fn damaged(text: &str, at: usize, damage: u8, digit: char) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let at = at % lines.len();
        let mut out = String::new();
        for (number, line) in lines.iter().enumerate() {
            match (number == at, damage % 3) {
                (true, 0) => {}
                (true, 1) => out.push_str(&format!("{line}\n{line}\n")),
                (true, _) => {
                    let mut place = line.char_indices().filter(|(_, c)| c.is_ascii_hexdigit()).map(|(place, _)| place);
                    let place = place.nth(usize::from(damage)).unwrap_or(0);
                    let changed = line.char_indices().map(|(at, c)| if at == place { digit } else { c });
                    out.extend(changed.chain(['\n']));
                }
                (false, _) => out.push_str(&format!("{line}\n")),
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn a_damaged_log_is_replayed_or_refused(
            log in any::<prop::sample::Index>(),
            damages in prop::collection::vec((any::<usize>(), any::<u8>(), prop::char::range('0', 'f')), 1..8),
        ) {
            let logs = corpus();
            let (name, text) = &logs[log.index(logs.len())];
            let text = damages.iter().fold(text.clone(), |text, (at, damage, digit)| damaged(&text, *at, *damage, *digit));
            if let Ok(replay) = replay(&text) {
                prop_assert_eq!(replay.causes.is_empty(), replay.n_differing() == 0, "{}", name);
            }
        }
    }

    #[test]
    fn a_log_without_such_lines_is_refused() {
        let text = "Linux version 6.1.0\nBIOS-e820: [mem 0x0000000000100000-0x000000007fffffff] usable\n\
                    NODE_DATA(0) allocated [mem 0x7fffb000-0x7fffffff]\n";
        assert_eq!(replay(text).err(), Some(ReplayError::Nothing));
        assert_eq!(replay("").err(), Some(ReplayError::Nothing));
        let lines_alone = "BRK [0x02a01000, 0x02a01fff] PGTABLE\n";
        assert!(matches!(replay(lines_alone), Err(ReplayError::NoMachine(_))));
    }
}
