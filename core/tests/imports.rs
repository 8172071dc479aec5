// SPDX-License-Identifier: MIT OR Apache-2.0
//! Imports of all that a log says: the corpus, fragments of logs, logs of kernels that print every early
//! table page, and layouts that were printed as logs.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use pgtlab_core::addr::{PfnRange, PhysAddr, PhysRange};
use pgtlab_core::bootlog::{Assumed, BootLog, Fact, LogKind, MapStage, Note, NoteKind, Stage, Style, print};
use pgtlab_core::e820::{E820Entry, E820Map, E820Type};
use pgtlab_core::geometry::Geometry;
use pgtlab_core::layout::{Backend, Layout, Node, P2m, Reservation, Switches, XenBoot};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// The texts below a folder by file or, for the corpus, by folder.
fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).expect("the logs are there") {
        let path: PathBuf = entry.expect("the logs can be listed").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().trim_end_matches(".txt").to_owned();
        let file = if path.is_dir() { path.join("machine.txt") } else { path };
        if let Ok(text) = fs::read_to_string(&file)
            && file.extension().is_some_and(|extension| extension == "txt")
        {
            texts.push((name, text));
        }
    }
    texts.sort();
    texts
}

fn doubts(log: &BootLog) -> Vec<&Note> {
    log.notes().iter().filter(|note| note.kind.is_doubt()).collect()
}

#[test]
fn every_log_is_imported_with_no_line_left_unexplained() {
    let mut n_cells = 0;
    let mut n_typeless = 0;
    let mut refused: Vec<String> = Vec::new();
    let corpus = texts("../snapshots");
    let brk = texts("tests/logs/brk");
    assert_eq!((corpus.len(), brk.len()), (57, 18));
    for (name, text) in corpus.iter().chain(&brk) {
        let log = BootLog::parse(text);
        // Some of these logs lost the types of their map on the way, and are told so line by line.
        let doubts = doubts(&log);
        assert!(doubts.iter().all(|note| note.kind == NoteKind::NoType), "{name}: {doubts:?}");
        n_typeless += doubts.len();
        for backend in [Backend::Native, Backend::Xen] {
            if backend == Backend::Native && !log.kind().has_native_cell() {
                continue;
            }
            match log.import(name, backend, Stage::Last) {
                Ok(imported) => {
                    n_cells += 1;
                    let text = imported.layout.render();
                    assert_eq!(Layout::parse(&text, "stem").as_ref(), Ok(&imported.layout), "{name}\n{text}");
                }
                Err(error) => refused.push(format!("{name}@{}: {error}", backend.name())),
            }
        }
    }
    assert_eq!((n_cells, n_typeless), (129, 46));
    let no_room = [
        "dom0-6.8-amd-nuc-64g-kernel-conflict",
        "domU-2.6.29-32bit-360m-gt",
        "nat-4.19-8node-1t-ht-hole",
        "nat-5.10-amd-64g-nvs-at-a200000",
        "nat-6.13-amd-64g-ht-hole",
        "nat-6.14-framework-desktop-128g",
        "30-5.4.0-0.bpo.4-amd64-linux-scsi",
    ];
    let (no_room_found, others): (Vec<String>, Vec<String>) =
        refused.into_iter().partition(|text| text.ends_with("@xen: no room for Xen's boot objects"));
    assert!(no_room_found.iter().zip(no_room).all(|(text, name)| text.starts_with(name)), "{no_room_found:?}");
    assert_eq!(no_room_found.len(), no_room.len());
    // The map of one log has lost all its types, so it has no usable range.
    assert!(others.iter().all(|text| text.starts_with("12-4.4.218.") && text.ends_with("has no usable range")));
}

#[test]
fn every_printed_range_of_the_map_arrives() {
    for (name, text) in texts("../snapshots") {
        let log = BootLog::parse(&text);
        let backend = if log.kind().has_native_cell() { Backend::Native } else { Backend::Xen };
        let Ok(imported) = log.import(&name, backend, Stage::Firmware) else { continue };
        let map = log.first_map().expect("it has a map");
        for entry in map.entries.iter().filter(|entry| 0x10_0000 <= entry.range.start.get()) {
            let arrived = E820Entry { range: entry.range, kind: entry.kind };
            assert!(imported.layout.e820.entries().contains(&arrived), "{name}: {arrived:?}");
            assert!(imported.taken.contains(&entry.line), "{name}: line {}", entry.line);
        }
    }
}

/// Whether a line names a range of addresses: two hexadecimal numbers of four digits or more with what can
/// stand between them. Written without the reader's words, so that a form it does not know is seen.
fn names_a_range(line: &str) -> bool {
    let is_hex = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        4 <= digits.len() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let last_word = |text: &str| text.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().is_some_and(is_hex);
    let first_word = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).next().is_some_and(is_hex);
    [" - ", "-", ", ", "->", " -> "].iter().any(|between| {
        line.match_indices(between).any(|(at, _)| last_word(&line[..at]) && first_word(&line[at + between.len()..]))
    })
}

#[test]
fn every_line_with_a_range_is_of_a_map_or_a_fact_or_its_stage_is_told() {
    let mut n_lines = 0;
    for (name, text) in
        texts("../snapshots").iter().chain(&texts("tests/logs/brk")).chain(&texts("tests/logs/fragments"))
    {
        let log = BootLog::parse(text);
        let backend = if log.kind().has_native_cell() { Backend::Native } else { Backend::Xen };
        let mut told: Vec<usize> = log.maps().iter().flat_map(|map| &map.entries).map(|entry| entry.line).collect();
        told.extend(log.notes().iter().filter_map(|note| note.line));
        let imported = log.import(name, backend, Stage::Last);
        let is_machine = imported.is_ok();
        match imported {
            Ok(imported) => {
                told.extend(imported.taken);
                told.extend(imported.asides.iter().map(|(line, _)| *line));
            }
            Err(_) => {
                told.extend(log.facts().iter().map(|taken| taken.line));
                told.extend(log.asides().iter().map(|(line, _)| *line));
            }
        }
        let is_comment = |line: &str| line.starts_with('#') && !line[1..].starts_with(|c: char| c.is_ascii_digit());
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !is_comment(line) && names_a_range(line)) {
            let is_other = line.contains("[gap ") || !is_machine && line.contains("RAMDISK: ");
            assert!(told.contains(&number) || is_other, "{name}: line {number}: {line}");
            n_lines += 1;
        }
    }
    assert_eq!(n_lines, 2925);
}

#[test]
fn fragments_have_facts_and_no_line_left_unexplained() {
    let fragments = texts("tests/logs/fragments");
    assert_eq!(fragments.len(), 7);
    for (name, text) in fragments {
        let log = BootLog::parse(&text);
        assert_eq!(doubts(&log), Vec::<&Note>::new(), "{name}");
        assert!(!log.facts().is_empty() || !log.maps().is_empty(), "{name}");
    }
}

#[test]
fn lines_of_early_tables_are_facts() {
    let mut n_brk = 0;
    for (name, text) in texts("tests/logs/brk") {
        let n_lines = text.lines().filter(|line| line.ends_with("PGTABLE") && line.contains("BRK [")).count();
        let log = BootLog::parse(&text);
        let n_facts = log.facts().iter().filter(|taken| matches!(taken.fact, Fact::BrkTable(_))).count();
        assert_eq!(n_facts, n_lines, "{name}");
        n_brk += n_facts;
    }
    assert_eq!(n_brk, 152);
}

fn import(text: &str, backend: Backend) -> (Layout, Vec<Assumed>) {
    let imported = BootLog::parse(text).import("machine", backend, Stage::Last).expect("a machine");
    (imported.layout, imported.assumed)
}

#[test]
fn the_stages_of_a_map_stay_apart_and_the_last_one_counts() {
    let text = "BIOS-e820: [mem 0x00100000-0x7fffffff] usable\nuser: [mem 0x00100000-0x5fffffff] usable\n\
                modified: [mem 0x00100000-0x4fffffff] usable\nmodified: [mem 0x50000000-0x5fffffff] reserved\n";
    let log = BootLog::parse(text);
    let end = |stage| {
        let imported = log.import("machine", Backend::Native, stage).expect("a machine");
        imported.layout.e820.ram().next_back().map(|ram| ram.end.get())
    };
    assert_eq!(end(Stage::Firmware), Some(0x8000_0000));
    assert_eq!(end(Stage::User), Some(0x6000_0000));
    assert_eq!(end(Stage::Last), Some(0x5000_0000));
    assert_eq!(
        log.maps().iter().map(|map| map.stage).collect::<Vec<_>>(),
        [MapStage::Bios, MapStage::User, MapStage::Modified]
    );
}

#[test]
fn options_of_the_command_line_change_a_map_that_was_printed_before_them() {
    let text = "Command line: root=/dev/sda mem=1G memmap=16M$0x10000000 memtest=4 memmap=odd\n\
                BIOS-e820: [mem 0x00100000-0x7fffffff] usable\n";
    let (layout, assumed) = import(text, Backend::Native);
    assert_eq!(layout.e820.ram_bytes(), 0x4000_0000 - 0x10_0000 - 0x100_0000);
    assert!(layout.switches.memtest);
    assert!(assumed.contains(&Assumed::Option { line: 1, option: "memmap=odd".to_owned() }));
}

#[test]
fn nodes_come_from_the_kernel_then_from_the_firmware_without_hotplug() {
    let map = "BIOS-e820: [mem 0x00100000-0x7fffffff] usable\nBIOS-e820: [mem 0x100000000-0x17fffffff] usable\n";
    let srat = "SRAT: Node 0 PXM 0 [mem 0x0-0x9ffff]\nSRAT: Node 0 PXM 0 [mem 0x100000-0x7fffffff]\n\
                SRAT: Node 1 PXM 1 [mem 0x100000000-0x17fffffff]\nSRAT: Node 1 PXM 1 [mem 0x200000000-0x2ffffffff] hotplug\n";
    let nodes = |text: &str| {
        let (layout, _) = import(&format!("{map}{text}"), Backend::Native);
        layout.nodes.iter().map(|node| (node.id, node.range.start.get(), node.range.end.get())).collect::<Vec<_>>()
    };
    assert_eq!(nodes(srat), [(0, 0, 0x8000_0000), (1, 0x1_0000_0000, 0x1_8000_0000)]);
    assert_eq!(nodes(&format!("{srat}SRAT: SRAT not used.\n")), []);
    let set_up = "Initmem setup node 0 [mem 0x1000-0x7fffffff]\nInitmem setup node 1 [mem 0x100000000-0x17fffffff]\n";
    assert_eq!(nodes(&format!("{srat}{set_up}"))[0], (0, 0x1000, 0x8000_0000));
}

#[test]
fn early_brk_tables_lie_in_the_image_where_what_follows_it_is_somebodys() {
    let map = "Xen: [mem 0x0000000000000000-0x000000000009ffff] usable\n\
               Xen: [mem 0x0000000000100000-0x000000003fffffff] usable\n";
    let builder = |kernel_end: u64| {
        format!(
            "(XEN) VIRTUAL MEMORY ARRANGEMENT:\n(XEN)  Loaded kernel: ffffffff81000000->ffffffff{kernel_end:x}\n\
             (XEN)  Init. ramdisk: ffffffff82000000->ffffffff82800000\n\
             (XEN)  Phys-Mach map: ffffffff82800000->ffffffff82a00000\n\
             (XEN)  Start info:    ffffffff82a00000->ffffffff82a004b4\n\
             (XEN)  Page tables:   ffffffff82a01000->ffffffff82a1c000\n\
             (XEN)  TOTAL:         ffffffff80000000->ffffffff82c00000\n"
        )
    };
    // A table's page that was printed says where; that of another kernel, behind the image, does not.
    let brk = |kernel_end: u64, line: &str| {
        let (layout, assumed) = import(&format!("{}{map}{line}", builder(kernel_end)), Backend::Xen);
        (layout.brk.get(), assumed.contains(&Assumed::BrkInImage(layout.brk)))
    };
    assert_eq!(brk(0x8200_0000, ""), (0x1fc_5000, true));
    assert_eq!(brk(0x8200_0000, "BRK [0x01cd2000, 0x01cd2fff] PGTABLE\n"), (0x1cd_2000, false));
    assert_eq!(brk(0x8200_0000, "BRK [0x02cd2000, 0x02cd2fff] PGTABLE\n"), (0x1fc_5000, true));
    // Room enough behind the image.
    assert_eq!(brk(0x81fc_5000, ""), (0x1fc_5000, false));
    assert_eq!(brk(0x81fc_6000, ""), (0x1f8_b000, true));
}

#[test]
fn a_guests_own_ramdisk_is_where_its_log_has_it() {
    let guest = "Xen: [mem 0x0000000000100000-0x000000003fffffff] usable\nRAMDISK: [mem 0x0249f000-0x0472efff]\n";
    let (layout, assumed) = import(guest, Backend::Xen);
    let ramdisk = Reservation { range: PhysRange::from_numbers(0x249_f000, 0x472_f000), name: "RAMDISK".to_owned() };
    assert_eq!(layout.reservations, [ramdisk]);
    assert_eq!(layout.xen.map(|boot| boot.mfn_list.get()), Some(0x472_f000));
    assert!(!assumed.contains(&Assumed::XenRamdisk { line: 2 }));
    // A native log's lies where a boot loader put it.
    let native = "BIOS-e820: [mem 0x00100000-0x3fffffff] usable\nRAMDISK: [mem 0x3249f000-0x3472efff]\n";
    let (layout, assumed) = import(native, Backend::Xen);
    assert_eq!(layout.reservations.first().map(|ramdisk| ramdisk.range.start.get()), Some(0x203_b000));
    assert!(assumed.contains(&Assumed::XenRamdisk { line: 2 }));
}

#[test]
fn a_crash_kernel_is_where_it_was_put_or_where_the_command_line_has_it_put() {
    let crash = |lines: &str| {
        let text = format!("BIOS-e820: [mem 0x00100000-0x7fffffff] usable\n{lines}");
        let (layout, assumed) = import(&text, Backend::Native);
        let ranges =
            layout.reservations.iter().map(|reservation| (reservation.range.start.get(), reservation.range.end.get()));
        (ranges.collect::<Vec<_>>(), assumed)
    };
    let (ranges, assumed) = crash("Command line: crashkernel=256M\n");
    assert_eq!(ranges, [(0x2800_0000, 0x3800_0000)]);
    assert!(assumed.contains(&Assumed::CrashKernel(PhysRange::from_numbers(0x2800_0000, 0x3800_0000))));
    let (ranges, assumed) = crash(
        "Command line: crashkernel=256M,high\ncrashkernel low memory reserved: 0x30000000 - 0x34000000 (64 MB)\n\
         crashkernel reserved: 0x0000000060000000 - 0x0000000070000000 (256 MB)\n",
    );
    assert_eq!(ranges, [(0x3000_0000, 0x3400_0000), (0x6000_0000, 0x7000_0000)]);
    assert!(!assumed.iter().any(|assumed| matches!(assumed, Assumed::CrashKernel(_))));
    let (ranges, assumed) = crash("Command line: crashkernel=8G\n");
    assert_eq!((ranges, assumed.contains(&Assumed::NoCrashKernel { line: 2 })), (vec![], true));
    let (ranges, assumed) = crash("Command line: crashkernel=bar\n");
    let option = Assumed::Option { line: 2, option: "crashkernel=bar".to_owned() };
    assert_eq!((ranges, assumed.contains(&option)), (vec![], true));
}

#[test]
fn a_node_whose_memory_an_option_took_is_none() {
    let text = "Command line: mem=1G\nBIOS-e820: [mem 0x00100000-0x7fffffff] usable\n\
                SRAT: Node 0 PXM 0 [mem 0x0-0x3fffffff]\nSRAT: Node 1 PXM 1 [mem 0x40000000-0x7fffffff]\n";
    let nodes = import(text, Backend::Native).0.nodes;
    assert_eq!(nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [0]);
}

#[test]
fn the_ramdisk_of_a_builder_is_the_one_in_the_kernels_map() {
    let text = "(XEN) PHYSICAL MEMORY ARRANGEMENT:\n(XEN)  Init. ramdisk: 000000022cbdc000->000000022d3dc000\n\
                (XEN) VIRTUAL MEMORY ARRANGEMENT:\n(XEN)  Loaded kernel: ffffffff81000000->ffffffff82000000\n\
                (XEN)  Init. ramdisk: ffffffff82000000->ffffffff82800000\n\
                (XEN)  Phys-Mach map: ffffffff82800000->ffffffff82a00000\n\
                (XEN)  Page tables:   ffffffff82a01000->ffffffff82a1c000\n\
                (XEN)  TOTAL:         ffffffff80000000->ffffffff82c00000\n\
                Xen: [mem 0x0000000000100000-0x000000003fffffff] usable\n";
    let (layout, _) = import(text, Backend::Xen);
    let ramdisk = Reservation { range: PhysRange::from_numbers(0x200_0000, 0x280_0000), name: "RAMDISK".to_owned() };
    assert_eq!(layout.reservations, [ramdisk]);
}

#[test]
fn what_cannot_stand_in_a_layout_file_is_taken_out_of_a_name() {
    // Found by fuzzing: each of these made a layout that was no other's.
    for (name, expected) in [
        ("BIOS data\tpage", "BIOS-data-page"),
        ("A\u{fffd}B", "A-B"),
        ("A\u{1}\0B", "A--B"),
        ("A#B", "A-B"),
        ("\u{feff}A", "-A"),
        ("", "-"),
    ] {
        let text = format!(
            "BIOS-e820: [mem 0x00100000-0x7fffffff] usable\n  #1 [0003000000 - 0003001000] {name} ==> [0003000000 - 0003001000]\n"
        );
        let (layout, _) = import(&text, Backend::Native);
        assert_eq!(layout.reservations.first().map(|reservation| &*reservation.name), Some(expected), "{name:?}");
        assert_eq!(Layout::parse(&layout.render(), "stem"), Ok(layout));
    }
}

/// Layouts as an import can make them.
fn layouts() -> impl Strategy<Value = Layout> {
    let pieces = prop::collection::vec((0u64..0x2000, 1u64..0x4_0000, 0usize..5), 0..8);
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let gap = prop::sample::select(vec![0u64, 0x10_0000]);
    let extra = (0u64..4, 0u64..3, 0u64..0x1000, gap, any::<bool>(), any::<bool>());
    (pieces, switches, extra).prop_map(|(pieces, switches, extra)| layout(&pieces, switches, extra))
}

fn layout(
    pieces: &[(u64, u64, usize)],
    (nx, gbpages, pse, memtest): (bool, bool, bool, bool),
    (n_reservations, n_nodes, kernel_pages, gap, is_xen, is_dom0): (u64, u64, u64, u64, bool, bool),
) -> Layout {
    let range = PhysRange::from_numbers;
    let mut e820 = E820Map::new();
    let mut push = |range, kind| e820.push(E820Entry { range, kind }).expect("entries ascend");
    push(range(0, 0x1000), E820Type::Reserved);
    push(range(0x1000, 0x9_fc00), E820Type::Ram);
    push(range(0x10_0000, 0x4000_0000), E820Type::Ram);
    let mut end = 0x4000_0000;
    for (gap, len, kind) in pieces {
        let start = end + (gap << 12);
        end = start + (len << 12);
        push(range(start, end), E820Type::ALL[*kind]);
    }
    let kernel = range(0x100_0000, 0x180_0000 + (kernel_pages << 12));
    let mut reservations: Vec<Reservation> = (0..n_reservations)
        .map(|n| Reservation { range: range(0x8_0000 + n * 0x1000, 0x8_0800 + n * 0x1000), name: format!("TABLE-{n}") })
        .collect();
    let ramdisk = range(kernel.end.get() + gap, kernel.end.get() + gap + 0x20_0000);
    reservations.push(Reservation { range: ramdisk, name: "RAMDISK".to_owned() });
    let node = |id: u64| Node { id: u32::try_from(id).expect("few nodes"), range: range(id << 29, (id + 1) << 29) };
    let xen = XenBoot {
        mapped_end: PhysAddr::new(0x800_0000),
        pt_base: PhysAddr::new(0x600_0000),
        pt_frames: 68,
        mfn_list: PhysAddr::new(0x500_0000),
    };
    let identity = [PfnRange::from_numbers(0x8_0000_0000, 0x8_0000_1000)];
    let invalid = [PfnRange::from_numbers(0x2_0000, 0x2_0100)];
    let mut layout = Layout {
        name: "machine".to_owned(),
        geometry: Geometry::X86_64,
        e820,
        kernel,
        // Behind the image if there is room.
        brk: if gap == 0 { kernel.end.saturating_sub(0x3_b000) } else { kernel.end },
        reservations,
        boot_mapped: PhysAddr::new(0x1fe0_0000),
        switches: Switches { nx, gbpages, pse, memtest, trampoline: true, ..Switches::DEFAULT },
        nodes: if n_nodes < 2 { Vec::new() } else { (0..n_nodes).map(node).collect() },
        acpi: None,
        backend: Backend::Native,
        xen: None,
        p2m: P2m::default(),
    };
    if is_xen {
        layout.backend = Backend::Xen;
        layout.xen = Some(xen);
        layout.switches = Switches { dom0: is_dom0, gbpages: false, pse: true, ..layout.switches };
        let tables = |entry: &&E820Entry| entry.kind == E820Type::AcpiData;
        let first = layout.e820.entries().iter().find(tables);
        layout.acpi = first.filter(|_| is_dom0).map(|entry| entry.range.start);
        let memory = || layout.e820.entries().iter().filter(|entry| entry.kind.is_memory()).map(|entry| entry.range);
        let holes = memory().zip(memory().skip(1)).filter(|(below, _)| is_dom0 && 0x10_0000 < below.end.get());
        let frames = |(below, above): (PhysRange, PhysRange)| {
            PfnRange::from_numbers(below.end.get() >> 12, above.start.get() >> 12)
        };
        let identity: Vec<PfnRange> = holes.map(frames).chain(identity).collect();
        layout.p2m = P2m::new(&invalid, &identity);
    }
    layout
}

proptest! {
    #[test]
    fn a_layout_printed_as_a_log_comes_back(layout in layouts()) {
        for style in Style::ALL {
            let text = print(&layout, style);
            let log = BootLog::parse(&text);
            prop_assert_eq!(doubts(&log), Vec::<&Note>::new());
            let kind = if layout.backend == Backend::Native { LogKind::Native } else if layout.switches.dom0 { LogKind::Dom0 } else { LogKind::DomU };
            prop_assert_eq!(log.kind(), kind);
            let imported = log.import("machine", layout.backend, Stage::Last);
            let imported = imported.map(|imported| imported.layout.render());
            prop_assert_eq!(imported, Ok(layout.render()), "{:?}\n{}", style, text);
        }
    }

    #[test]
    fn nothing_makes_an_import_panic(lines in prop::collection::vec(nearly_a_fact(), 0..40)) {
        let text = format!("BIOS-e820: [mem 0x00100000-0x7fffffff] usable\n{}", lines.join("\n"));
        let log = BootLog::parse(&text);
        for backend in [Backend::Native, Backend::Xen] {
            if let Ok(imported) = log.import("machine", backend, Stage::Last) {
                let text = imported.layout.render();
                prop_assert_eq!(Layout::parse(&text, "stem"), Ok(imported.layout), "{}", text);
            }
        }
    }
}

/// Lines of facts with any numbers in them.
fn nearly_a_fact() -> impl Strategy<Value = String> {
    let forms = vec![
        "SRAT: Node A PXM A [mem 0xB-0xC]",
        "SRAT: Node A PXM A B-C",
        "Initmem setup node A [mem 0xB-0xC]",
        "  #1 [B - C] TEXT DATA BSS ==> [B - C]",
        "  #1 [B - C] SOME THING ==> [B - C]",
        "RAMDISK: [mem 0xB-0xC]",
        "Reserving AMB of memory at AMB for crashkernel (System RAM: AMB)",
        "(XEN)  Loaded kernel: ffffffff8B->ffffffff8C",
        "(XEN)  Page tables: ffffffff8B->ffffffff8C",
        "(XEN)  Phys-Mach map: B->C",
        "(XEN)  Start info: ffffffff8B->ffffffff8C",
        "(XEN)  TOTAL: ffffffff80000000->ffffffff8C",
        "1-1 mapping on B->C",
        "Freeing B-C pfn range: 1 pages freed",
        "initial memory mapped: [mem 0x0-0xC]",
        "Command line: mem=0xC memmap=0xB@0xC memmap=0xB$0xC",
        " [mem 0xB-0xC] page 4k",
        "modified: [mem 0xB-0xC] usable",
    ];
    let number = prop_oneof![0u64..0x10, 0u64..0x1_0000_0000, any::<u64>()];
    (prop::sample::select(forms), 0u32..9, number.clone(), number).prop_map(|(form, a, b, c)| {
        form.replace('A', &a.to_string()).replace('B', &format!("{b:x}")).replace('C', &format!("{c:x}"))
    })
}
