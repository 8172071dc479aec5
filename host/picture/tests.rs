// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a picture shows, and that it fits.

use super::{Kind, Picture};
use crate::owner::{Owned, Owner, Owners};
use pgtlab_core::layout::Layout;
use pgtlab_core::ptdump::Dump;
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

const MACHINE: &str = "name machine\ne820 0 9f000 1\ne820 100000 80000000 1\ne820 80000000 80001000 3\n\
                       e820 100000000 c0000000000 1\nkernel 1000000 2000000\nreserve 3000000 4000000 RAMDISK\n\
                       node 0 0 100000000\nnode 1 100000000 60000000000\nnode 12 60000000000 c0000000000\n";

fn picture(layout: &str) -> Picture {
    let layout = Layout::parse(layout, "machine").expect("the layout is sound");
    Picture::new("machine@native".to_owned(), &layout, &Owners::new(&layout, None).ranges(), None)
}

#[test]
fn a_bar_shows_a_page_beside_terabytes_and_says_that_it_is_not_to_scale() {
    let bar = anstream::adapter::strip_str(&picture(MACHINE).bar(76)).to_string();
    insta::assert_snapshot!(bar, @"
    machine@native

              0 ---...-----KKKKK-----IIIII-------ff.......----------------------
           node 0__0__0____0____0____0____0______0_0______1__________12_________
    c0000000000

    - free RAM  . hole  f firmware  K kernel  I initrd
    (not to scale: a range's length grows with the logarithm of its size)

    [mem 0x0000000000000000-0x000000000009efff]   636K - free, node 0
    [mem 0x000000000009f000-0x00000000000fffff]   388K . hole, node 0
    [mem 0x0000000000100000-0x0000000000ffffff]    15M - free, node 0
    [mem 0x0000000001000000-0x0000000001ffffff]    16M K kernel, node 0
    [mem 0x0000000002000000-0x0000000002ffffff]    16M - free, node 0
    [mem 0x0000000003000000-0x0000000003ffffff]    16M I RAMDISK, node 0
    [mem 0x0000000004000000-0x000000007fffffff]  1984M - free, node 0
    [mem 0x0000000080000000-0x0000000080000fff]     4K f ACPI data, node 0
    [mem 0x0000000080001000-0x00000000ffffffff]   1.9G . hole, node 0
    [mem 0x0000000100000000-0x000005ffffffffff]  6140G - free, node 1
    [mem 0x0000060000000000-0x00000bffffffffff]     6T - free, node 12
    ");
}

#[test]
fn read_only_memory_that_is_no_table_stands_out() {
    let layout = Layout::parse("e820 0 800000 1\nkernel 100000 200000\n", "machine").expect("the layout is sound");
    let owned = |start, end, owner| Owned { start, end, owner };
    let owners = [
        owned(0, 0x40_0000, Owner::Free),
        owned(0x40_0000, 0x60_0000, Owner::Spare(2)),
        owned(0x60_0000, 0x80_0000, Owner::Table(2)),
    ];
    let line = |start: u64, end: u64, write: &str| {
        let (base, size) = (0xffff_8800_0000_0000, pgtlab_core::ptdump::size_text(end - start));
        format!("0x{:016x}-0x{:016x}   {size:>10}     {write}                     NX pte\n", base + start, base + end)
    };
    let text = line(0, 0x50_0000, "RW") + &line(0x50_0000, 0x80_0000, "ro");
    let dump = Dump::parse(&text).expect("a dump");
    let picture = Picture::new(String::new(), &layout, &owners, Some(&dump));
    let kinds: Vec<(u64, Kind)> = picture.segments.iter().map(|segment| (segment.start, segment.kind)).collect();
    let expected =
        [(0, Kind::Free), (0x40_0000, Kind::Spare), (0x50_0000, Kind::LeftReadOnly), (0x60_0000, Kind::Tables)];
    assert_eq!(kinds, expected);
}

#[test]
fn an_image_is_the_same_every_time_and_holds_names_safely() {
    let layout = MACHINE.replace("RAMDISK", "<script>&\"x");
    let svg = picture(&layout).svg();
    assert_eq!(svg, picture(&layout).svg());
    assert!(svg.contains("&lt;script&gt;&amp;") && !svg.contains("<script"), "{svg}");
    assert!(svg.contains("not to scale") && svg.contains("node 12") && svg.ends_with("</svg>\n"));
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(
        sizes in prop::collection::vec((1u64..1 << 31, 1u32..4), 1..80),
        width in 20usize..200,
        n_nodes in 0u64..40,
    ) {
        let mut layout = String::from("name a-rather-long-name-for-a-m\u{e4}chine-\u{6a5f}\u{68b0}\ne820 0 10000000 1\nkernel 1000000 2000000\n");
        let mut start = 0x1000_0000;
        for (pages, kind) in sizes {
            let end = start + (pages << 12);
            if kind != 3 && end < 1 << 52 {
                layout += &format!("e820 {start:x} {end:x} {kind}\n");
            }
            start = end;
        }
        for node in 0..n_nodes {
            layout += &format!("node {} {:x} {:x}\n", node * 7, node << 30, (node + 1) << 30);
        }
        let picture = picture(&layout);
        for line in anstream::adapter::strip_str(&picture.bar(width)).to_string().lines() {
            prop_assert!(line.width() <= width, "{}: {line}", line.width());
        }
        prop_assert!(picture.svg().len() < 1 << 20);
    }
}
