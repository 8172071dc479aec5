// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a what-if did to a machine: its map and facts before and after, as a diff.

use pgtlab_core::e820::E820Type;
use pgtlab_core::layout::Layout;
use similar::{ChangeTag, TextDiff};

/// The map's lines and every other fact that changed, each with ` `, `-` or `+` before it.
#[must_use]
pub fn changes(before: &Layout, after: &Layout) -> String {
    let (before, after) = (facts(before), facts(after));
    let diff = TextDiff::from_lines(&before, &after);
    let mut out = String::new();
    for change in diff.iter_all_changes() {
        let line = change.value();
        let sign = match change.tag() {
            // Of what stays, only the map is of interest.
            ChangeTag::Equal if !line.starts_with('[') => continue,
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        out.push(sign);
        out.push(' ');
        out.push_str(line);
    }
    out
}

/// The map as a kernel prints it, then the other lines of the layout file.
fn facts(layout: &Layout) -> String {
    let mut out = String::new();
    for entry in layout.e820.entries() {
        let name = match entry.kind {
            E820Type::Ram => "usable",
            E820Type::Reserved => "reserved",
            E820Type::AcpiData => "ACPI data",
            E820Type::AcpiNvs => "ACPI NVS",
            E820Type::Unusable => "unusable",
            E820Type::ReservedKern => "kernel-reserved",
        };
        let (start, last) = (entry.range.start, entry.range.end.saturating_sub(1));
        out += &format!("[mem 0x{start:016x}-0x{last:016x}] {name}\n");
    }
    for line in layout.render().lines().filter(|line| !line.starts_with("e820 ")) {
        out += line;
        out.push('\n');
    }
    out
}
