// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `pgtlab explain` tells: the boot in a screen, one page through it, and who reserved what.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod program;

use program::{refused_in, succeeds};
use std::path::Path;

#[test]
fn the_published_oops_is_explained_in_a_screen() {
    let explained = succeeds(&["explain", "workaround", "05-xen-ec2-7680m"]).stdout;
    insta::assert_snapshot!(explained, @r"
    xen-mmu-rw-fixup/05-xen-ec2-7680m@xen: FAULT
      in numa: NODE_DATA writes pfn 1dfffb of [1dfffb000,1e0000000): direct map not
        writable

    why: NODE_DATA wrote 1dfffb000, left read-only: promised as table space of call
         2 (1df0f3-1e0000, used up to 1df7fb), never used, and no set_pte came after
         call 2's reserve

    before: RAM up to 1e0800; mapped: 0-4400 (Xen's builder, and BRK tables)
    call 1: map 0-100000 in 4K pages
      set aside  buffer ff7fb-100000, 2,053 pages of this range, not mapped yet
      taken      2,017 tables in ff7fb-fffdc, filled through the fixmap
    ! Reach      ff7fb and 2,016 more: not mapped when taken
    ! Claim      ff7fb and 2,016 more: taken as a table and still free
      mapped     4400-100000; of it read-only: ff7fb-100000
      reserved   ff7fb-fffdc (PGTABLE)
      not used   fffdc-100000, 36 pages
    ! Return     fffdc and 35 more: left read-only
    call 2: map 100000-1e0800 in 4K pages
      set aside  buffer 1df0f3-1e0000, 3,853 pages of this range, not mapped yet
      set_pte    for the fixmap slot of 1df0f3: before it, fffdc-100000 made
                 writable, 36 pages
      taken      1,800 tables in 1df0f3-1df7fb, filled through the fixmap
    ! Reach      1df0f3 and 1,799 more: not mapped when taken
    ! Claim      1df0f3 and 1,799 more: taken as a table and still free
      mapped     100000-1e0800; of it read-only: 1df0f3-1e0000
      reserved   1df0f3-1df7fb (PGTABLE)
      not used   1df7fb-1e0000, 2,053 pages
    ! Return     1df7fb and 2,052 more: left read-only
    after the last call
      set_pte    none comes after call 2's reserve. The strategy acts at the next
                 one, so 1df7fb-1e0000 stays read-only
      NODE_DATA  is put at 1dfffb-1e0000, set aside by call 2 and not used; the
                 write to 1dfffb faults: read-only
    ! Least      fffdc and 2,088 more: never linked
    what the machine prints
      BUG: unable to handle kernel paging request at ffff8801dfffb000
      IP: setup_node_bootmem
      PGD 1ef9067 PUD 1df6f6067 PMD 1df7f6067 PTE 80000001dfffb061
      Oops: 0003 [#1] SMP
    ");
}

#[test]
fn the_mapping_that_saved_the_same_machine_is_named() {
    let explained = succeeds(&["explain", "workaround", "06-xen-dom0-acpi-7680m"]).stdout;
    let after = explained.split_once("after the last call\n").expect("something comes after the calls").1;
    insta::assert_snapshot!(after, @r"
      set_pte    for the ACPI table at df000 (early_ioremap): before it,
                 1df7fb-1e0000 made writable, 2,053 pages
      NODE_DATA  is put at 1dfffb-1e0000, set aside by call 2 and not used, and
                 written
      range array is put at 1dfffa-1dfffb, set aside by call 2 and not used, and
                 written
    ! Least      fffdc and 2,088 more: never linked
    ");
    assert!(explained.contains("the ACPI table at df000 was mapped in time"), "{explained}");
}

#[test]
fn guard_is_told_at_the_hand_out_before_the_refusal() {
    let explained = succeeds(&["explain", "rc5", "05-xen-ec2-7680m"]).stdout;
    let call = explained.split_once("\ncall 2").expect("call 2 is told").1;
    insta::assert_snapshot!(call, @r"
    : map 100000-1e0800 in 4K pages
      set aside  buffer 1df0f3-1e0000, 3,853 pages of this range, not mapped yet
      taken      1,793 tables in 1df0f3-1df7f4, filled through the fixmap; only
                 1,791 of them linked
    ! Reach      1df0f3 and 1,792 more: not mapped when taken
    ! Guard      1df7f3: handed out, but mapped writable a moment ago (leaves
                 1df600-1df800 in table 1df7f2, below 1df6f6). No live table links
                 1df6f6 yet: a walk from the root does not find that leaf, so nobody
                 can make it read-only; 4 steps later, at the pin, Xen refuses
    ! Claim      1df0f3 and 1,792 more: taken as a table and still free
      mapped     100000-1dfa00; of it read-only: 1df0f3-1df7f3; not finished
    what the machine prints
      (XEN) mm.c: Bad type (saw 7400000000000001 != exp 1000000000000000) for mfn 1df7f3 (pfn 1df7f3)
      (XEN) mm.c: Error while pinning mfn 1df7f3
      kernel BUG at arch/x86/xen/mmu.c!
      IP: pin_pagetable_pfn
    ");
}

#[test]
fn an_explanation_has_one_screen_whatever_the_boot() {
    let mut n = 0;
    for strategy in ["workaround", "rc5", "v3.9", "semantic-builder", "node-local"] {
        for layout in ["05-xen-ec2-7680m", "13-native-step-bug", "15-xen-3g-memtest", "19-native-unaligned-high-v38"] {
            let explained = succeeds(&["explain", strategy, layout]).stdout;
            let wide: Vec<&str> =
                explained.lines().filter(|line| 80 < line.len() && !line.contains("(XEN) ")).collect();
            assert!(wide.is_empty(), "{strategy}/{layout}: {wide:?}");
            assert!(explained.lines().count() <= 40, "{explained}");
            n += 1;
        }
    }
    assert_eq!(n, 20);
}

#[test]
fn a_page_is_followed_through_the_boot() {
    let followed = succeeds(&["explain", "workaround", "05-xen-ec2-7680m", "--at", "1dfffb000"]).stdout;
    insta::assert_snapshot!(followed, @r"
    xen-mmu-rw-fixup/05-xen-ec2-7680m@xen: FAULT
      in numa: NODE_DATA writes pfn 1dfffb of [1dfffb000,1e0000000): direct map not
        writable

    page 1dfffb: physical 1dfffb000, direct map ffff8801dfffb000, machine frame
      1dfffb
      boot       as the boot code left it
                 => free, not reserved; direct map: not mapped
      call 2     set aside in the buffer 1df0f3-1e0000
                 => table space of call 2, not reserved; direct map: not mapped
      call 2     a leaf for it, read-only, written to table 1df7f6 at slot 507
                 => table space of call 2, not reserved; direct map: not mapped; RO
                 NX in table 1df7f6, which no walk from the root reaches
      call 2     table 1df6f6 (L2) linked at slot 7 of 1ef9
                 => table space of call 2, not reserved; direct map: 4K RO NX
      call 2     the call is done and did not use it
                 => free (set aside by call 2 and not used), not reserved; direct
                 map: 4K RO NX
    ! Return     left read-only; expected writable and free, as it was promised and
                 not taken
    ! Least      never linked; expected linked in the end, as it was set aside for
                 tables
      build done node data writes to it: page fault
                 => NODE_DATA, reserved; direct map: 4K RO NX
      build done the boot dies: NODE_DATA writes pfn 1dfffb of
                 [1dfffb000,1e0000000): direct map not writable
    Pagetable walk from ffff8801dfffb000, at the end:
     L4[0x110] = 0000000001ef9067 0000000000001ef9  PGD in table 1ef8
     L3[0x007] = 00000001df6f6067 00000000001df6f6  PUD in table 1ef9
     L2[0x0ff] = 00000001df7f6067 00000000001df7f6  PMD in table 1df6f6
     L1[0x1fb] = 80000001dfffb061 00000000001dfffb  PTE in table 1df7f6
    other aliases when the boot died: none
    the rule that broke first on it: Return (call 2, stage range done): left
      read-only; expected writable and free, as it was promised and not taken
    ");
    let by_its_mapping = succeeds(&["explain", "workaround", "05-xen-ec2-7680m", "--at", "ffff8801dfffb123"]).stdout;
    assert_eq!(by_its_mapping, followed);
    let table = succeeds(&["explain", "rc5", "05-xen-ec2-7680m", "--at", "1df7f3000"]).stdout;
    insta::assert_snapshot!(table, @r"
    linux-2-6-39-rc5/05-xen-ec2-7680m@xen: BUG
      in init_memory_mapping: BUG() in pin_pagetable_pfn (Bad type: pfn 1df7f3
        wanted as L1 table but has 1 writable mapping(s))

    page 1df7f3: physical 1df7f3000, direct map ffff8801df7f3000, machine frame
      1df7f3
      boot       as the boot code left it
                 => free, not reserved; direct map: not mapped
      call 2     set aside in the buffer 1df0f3-1e0000
                 => table space of call 2, not reserved; direct map: not mapped
      call 2     a leaf for it, writable, written to table 1df7f2 at slot 499
                 => table space of call 2, not reserved; direct map: not mapped; RW
                 NX in table 1df7f2, which no walk from the root reaches
      call 2     handed out to become a table (L1)
                 => table of call 2 (L1), not linked yet, not reserved; direct map:
                 not mapped; RW NX in table 1df7f2, which no walk from the root
                 reaches
    ! Reach      not mapped; expected mapped by live tables when taken
    ! Guard      mapped writable by a table that is not attached yet; expected no
                 writable mapping but the live direct map's
    ! Claim      taken as a table and still free; expected reserved before anything
                 else happens
      call 2     fixmap slot made for 1df7f3, writable
      call 2     the boot dies: BUG() in pin_pagetable_pfn (Bad type: pfn 1df7f3
                 wanted as L1 table but has 1 writable mapping(s))
    Pagetable walk from ffff8801df7f3000, at the end:
     L4[0x110] = 0000000001ef9067 0000000000001ef9  PGD in table 1ef8
     L3[0x007] = 0000000000000000 0000000000000000  PUD in table 1ef9
    not reached by that walk:
     L1[0x1f3] = 80000001df7f3063 00000000001df7f3  PTE in table 1df7f2
    other aliases when the boot died: none
    the rule that broke first on it: Reach (call 2, stage page): not mapped;
      expected mapped by live tables when taken
    ");
    let outside = refused_in(Path::new("."), &["explain", "hook", "01-native-6g", "--at", "fffffffffffff"]);
    assert!(outside.contains("expected a hexadecimal physical address below 64 TiB"), "{outside}");
}

#[test]
fn reservations_are_listed_with_owner_and_stage() {
    let listed = succeeds(&["explain", "workaround", "05-xen-ec2-7680m", "--reserved"]).stdout;
    insta::assert_snapshot!(listed, @r"
    xen-mmu-rw-fixup/05-xen-ec2-7680m@xen: FAULT
      in numa: NODE_DATA writes pfn 1dfffb of [1dfffb000,1e0000000): direct map not
        writable

    10 reservations in memblock.reserved, 66664K in all
    [mem 0x000000000009b000-0x000000000009ffff]    20K TRAMPOLINE, boot
    [mem 0x0000000001000000-0x0000000001efffff]    15M TEXT DATA BSS, boot
    [mem 0x0000000001f00000-0x0000000001f03fff]    16K BRK, boot
    [mem 0x000000000203b000-0x0000000002c39fff] 12284K RAMDISK, boot
    [mem 0x0000000002c3a000-0x0000000003b3cfff] 15372K XEN START INFO, boot
    [mem 0x0000000003b3d000-0x0000000003b5dfff]   132K XEN PAGETABLES, boot
    [mem 0x00000000ff7fb000-0x00000000fffdbfff]  8068K PGTABLE, call 1, range done
    [mem 0x00000001df0f3000-0x00000001df7fafff]  7200K PGTABLE, call 2, range done
    [mem 0x00000001dfffb000-0x00000001dfffffff]    20K NODE_DATA, numa
    [mem 0x00000001e0000000-0x00000001e07fffff]     8M XEN_EXTRA, boot
    ");
}
