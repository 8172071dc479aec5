// SPDX-License-Identifier: MIT OR Apache-2.0
//! What counts as a change, and how it is printed.

use super::{Side, compare, render};
use crate::owner::{Owned, Owner};
use pgtlab_core::ptdump::Dump;

const BASE: u64 = 0xffff_8800_0000_0000;

/// A dump of the direct map at `base`: pages from, to, columns (empty for absent), level.
fn dump(base: u64, ranges: &[(u64, u64, &str, &str)]) -> Dump {
    let mut text = String::from("---[ Low Kernel Mapping ]---\n");
    for (start, end, columns, level) in ranges {
        let (start, end) = (base + (start << 12), base + (end << 12));
        let size = pgtlab_core::ptdump::size_text(end - start);
        text += &format!("0x{start:016x}-0x{end:016x}   {size:>10} {columns:30}{level}\n");
    }
    Dump::parse(&text).expect("a dump")
}

const RW: &str = "    RW                     NX ";
const RO: &str = "    ro                     NX ";

fn side(name: &str, base: u64, ranges: &[(u64, u64, &str, &str)], owners: &[(u64, u64, Owner)]) -> Side {
    let owned =
        |(start, end, owner): &(u64, u64, Owner)| Owned { start: start << 12, end: end << 12, owner: owner.clone() };
    Side::new(name.to_owned(), &dump(base, ranges), owners.iter().map(owned).collect())
}

#[test]
fn equal_maps_do_not_differ_however_their_lines_are_cut() {
    let whole = side("a", BASE, &[(0, 0x400, RW, "pte"), (0x400, 0x800, "", "pmd")], &[]);
    let cut = side("b", BASE, &[(0, 0x100, RW, "pte"), (0x100, 0x400, RW, "pte"), (0x400, 0x800, "", "pud")], &[]);
    assert_eq!(compare(&whole, &cut), []);
    assert!(render(&whole, &cut).ends_with("\nno range differs in permission or page size\n"));
}

#[test]
fn a_change_has_permission_size_and_owner_on_each_side() {
    let before = side(
        "a",
        BASE,
        &[(0, 0x100, RW, "pte"), (0x100, 0x180, RO, "pte"), (0x180, 0x200, "", "pte")],
        &[(0, 0x100, Owner::Free), (0x100, 0x180, Owner::Spare(2)), (0x180, 0x200, Owner::Hole)],
    );
    let after = side(
        "b",
        BASE,
        &[(0, 0x180, RW, "pte"), (0x180, 0x200, "", "pte")],
        &[(0, 0x180, Owner::Free), (0x180, 0x200, Owner::Hole)],
    );
    let text = anstream::adapter::strip_str(&render(&before, &after)).to_string();
    insta::assert_snapshot!(text, @"
    --- a
    +++ b

    [mem 0x0000000000100000-0x000000000017ffff] 512K
    - 4K   ro NX               spare table space of call 2
    + 4K   RW NX               free

    totals                       first            second            change
    4K pages                       384               384                 -
    2M pages                         0                 0                 -
    1G pages                         0                 0                 -
    mapped                       1536K             1536K                 -
    read-only                     512K                 0             -512K
    W+X                              0                 0                 -
    GLB                              0                 0                 -
    gaps                             0                 0                 -
    in gaps                          0                 0                 -

    1 range differs in permission, page size or owner, 512K
    ");
}

#[test]
fn areas_that_start_elsewhere_are_compared_from_their_starts() {
    let before = side("a", BASE, &[(0, 0x200, RW, "pte")], &[]);
    let after = side("b", BASE + (8 << 40), &[(0, 0x100, RW, "pte"), (0x100, 0x200, RO, "pte")], &[]);
    let changes = compare(&before, &after);
    assert_eq!((changes.len(), changes[0].start, changes[0].end), (1, 0x10_0000, 0x20_0000));
    let text = render(&before, &after);
    assert!(text.contains("starts at 0xffff880000000000 and at 0xffff900000000000; compared from its start"), "{text}");
}

#[test]
fn an_area_that_one_side_lacks_is_all_change() {
    let before = side("a", BASE, &[(0, 0x200, RW, "pte")], &[]);
    let mut text = dump(BASE, &[(0, 0x200, RW, "pte")]).render();
    text += "---[ Vmemmap ]---\n0xffffea0000000000-0xffffea0000200000           2M     RW         PSE     GLB NX pmd\n";
    let after = Side::new("b".to_owned(), &Dump::parse(&text).expect("a dump"), Vec::new());
    let changes = compare(&before, &after);
    assert_eq!((changes.len(), &*changes[0].area), (1, "Vmemmap"));
    assert!(render(&before, &after).contains("---[ Vmemmap ]--- only in the second\n"));
}
