// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every form of every fact, with what a console or a system log puts before it.

use super::*;

#[track_caller]
fn check(line: &str, expected: &Fact) {
    for before in ["", "[    0.000000] ", "Nov 22 10:00:00 user kernel: [    0.000000] "] {
        assert_eq!(read(&format!("{before}{line}")), Some(Some(expected.clone())), "{before}{line}");
    }
}

const fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::from_numbers(start, end)
}

#[test]
fn nodes_are_read_in_every_form() {
    let node = |id, start, end, is_hotplug| Fact::SratNode { id, range: range(start, end), is_hotplug };
    check("SRAT: Node 0 PXM 0 0-80000000", &node(0, 0, 0x8000_0000, false));
    check("SRAT: Node 1 PXM 1 0-1ffffffff", &node(1, 0, 0x2_0000_0000, false));
    check("ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x0009ffff]", &node(0, 0, 0xa_0000, false));
    check("SRAT: Node 3 PXM 3 [mem 0x380000000-0x83c7fffffff] hotplug", &node(3, 0x3_8000_0000, 0x83c_8000_0000, true));
    check("(XEN) SRAT: Node 0 PXM 0 [0000000000000000, 000000007fffffff]", &node(0, 0, 0x8000_0000, false));
    check(
        "Bootmem setup node 0 0000000000000000-0000000080000000",
        &Fact::SetUpNode { id: 0, range: range(0, 0x8000_0000) },
    );
    check(
        "Initmem setup node 0 [mem 0x00001000-0x26efffff]",
        &Fact::SetUpNode { id: 0, range: range(0x1000, 0x26f0_0000) },
    );
    check("  NODE_DATA [0000000000001000 - 0000000000005fff]", &Fact::NodeData(range(0x1000, 0x6000)));
    check("NODE_DATA(0) allocated [mem 0x266fb000-0x266fffff]", &Fact::NodeData(range(0x266f_b000, 0x2670_0000)));
    assert_eq!(read("    NODE_DATA(0) on node 5"), None);
    assert_eq!(read("Initmem setup node 1 [mem 0x0000000000000000-0x0000000000000000]"), None);
}

#[test]
fn what_was_reserved_and_mapped_is_read() {
    check(
        "  #2 [0001000000 - 0001a29e64]    TEXT DATA BSS ==> [0001000000 - 0001a29e64]",
        &Fact::Kernel(range(0x100_0000, 0x1a2_9e64)),
    );
    let name = "BIOS data page".to_owned();
    check(
        "  #0 [0000000000 - 0000001000]   BIOS data page ==> [0000000000 - 0000001000]",
        &Fact::Reserved { range: range(0, 0x1000), name },
    );
    check(
        "Reserving 128MB of memory at 736MB for crashkernel (System RAM: 17150MB)",
        &Fact::CrashKernel(range(736 << 20, 864 << 20)),
    );
    check(
        "Reserving 72MB of low memory at 2016MB for crashkernel (low RAM limit: 4096MB)",
        &Fact::CrashKernel(range(2016 << 20, 2088 << 20)),
    );
    check(
        "crashkernel reserved: 0x000000009f000000 - 0x00000000bf000000 (512 MB)",
        &Fact::CrashKernel(range(0x9f00_0000, 0xbf00_0000)),
    );
    check(
        "init_memory_mapping: 0000000100000000-000000011e600000",
        &Fact::MappingCall(range(0x1_0000_0000, 0x1_1e60_0000)),
    );
    check("init_memory_mapping: [mem 0x00000000-0x000fffff]", &Fact::MappingCall(range(0, 0x10_0000)));
    let space = range(0xc7e3_e000, 0xd000_0000);
    check(
        "kernel direct mapping tables up to 0x102fffffff @ [mem 0xc7e3e000-0xcfffffff]",
        &Fact::TableSpace { end: PhysAddr::new(0x10_3000_0000), space },
    );
    let space = range(0x8000, 0xe000);
    check(
        "kernel direct mapping tables up to 120000000 @ 8000-e000",
        &Fact::TableSpace { end: PhysAddr::new(0x1_2000_0000), space },
    );
    check("BRK [0x01fd6000, 0x01fd6fff] PGTABLE", &Fact::BrkTable(range(0x1fd_6000, 0x1fd_7000)));
    check(" 0000000000 - 00cfe00000 page 2M", &Fact::Piece { range: range(0, 0xcfe0_0000), page_shift: 21 });
    check(" [mem 0x00000000-0x000fffff] page 4k", &Fact::Piece { range: range(0, 0x10_0000), page_shift: 12 });
    check("initial memory mapped : 0 - 20000000", &Fact::BootMapped(PhysAddr::new(0x2000_0000)));
    check("initial memory mapped: [mem 0x00000000-0x1fffffff]", &Fact::BootMapped(PhysAddr::new(0x2000_0000)));
    check("Base memory trampoline at [ffff880000096000] 96000 size 20480", &Fact::Trampoline(PhysAddr::new(0x9_6000)));
    check("NX (Execute Disable) protection: active", &Fact::Nx(true));
    check("Notice: NX (Execute Disable) protection cannot be enabled: non-PAE kernel!", &Fact::Nx(false));
}

#[test]
fn what_xen_made_is_read() {
    let (start, end) = (VirtAddr::new(0xffff_ffff_8100_0000), VirtAddr::new(0xffff_ffff_820d_7000));
    let line = "(XEN)  Loaded kernel: ffffffff81000000->ffffffff820d7000";
    check(line, &Fact::Xen { block: XenBlock::Kernel, start, end });
    check("1-1 mapping on 40000->40200", &Fact::Identity(PfnRange::from_numbers(0x4_0000, 0x4_0200)));
    check(
        "Freeing 20000-20200 pfn range: 512 pages freed",
        &Fact::Released(PfnRange::from_numbers(0x2_0000, 0x2_0200)),
    );
    check(
        "Populating 1acb65-1f20c4 pfn range: 283999 pages added",
        &Fact::Populated(PfnRange::from_numbers(0x1a_cb65, 0x1f_20c4)),
    );
}

#[test]
fn what_begins_like_a_fact_and_is_none_is_told_apart() {
    for line in
        ["SRAT: Node 0 PXM 0 [mem 0x0", "BRK [0x1", "init_memory_mapping: [mem 0x2000-0x1", "1-1 mapping on 5->4"]
    {
        assert_eq!(read(line), Some(None), "{line}");
    }
    for line in [
        "",
        "SRAT: PXM 0 -> APIC 0x00 -> Node 0",
        "pci 0000:00:02.0: reg 0x10: [mem 0xd0000000-0xd0ffffff 64bit]",
        "turn the page 4k",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}
