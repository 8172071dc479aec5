// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of a memory map, in every form Linux and Xen have printed.
//!
//! ```text
//!  BIOS-e820: 0000000000100000 - 00000000cfff0000 (usable)             end exclusive, up to 3.4
//! BIOS-e820: [mem 0x0000000000100000-0x00000000cffeffff] usable        end inclusive, since 3.5
//! BIOS-e820: [gap 0x00000000000a0000-0x00000000000effff]               since 2025
//! BIOS-e820: [mem 0x0000000000100000-0x000000007ffdbfff] 1.9 GB System RAM
//! (XEN)  [0000000000100000, 00000000cffeffff] (usable)                 Xen's own map, end inclusive
//! (XEN)  0000000000100000 - 00000000cfff0000 (usable)                  the same, older
//! ```
//!
//! Source: Linux `e820_print_map`, `e820__print_table` (arch/x86/kernel/e820.c), Xen `print_e820_memory_map`
//! (xen/arch/x86/e820.c). The forms are those of the corpus and of the kernel patches that changed them.

use super::MapStage;
use crate::addr::PhysRange;
use crate::e820::E820Type;
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// What stands before the range, and whose map that makes it.
pub(super) const PREFIXES: [(&str, MapStage); 9] = [
    ("BIOS-e820:", MapStage::Bios),
    ("BIOS-e801:", MapStage::Bios),
    ("BIOS-88:", MapStage::Bios),
    ("Xen:", MapStage::Xen),
    ("user:", MapStage::User),
    ("modified:", MapStage::Modified),
    ("setup_data:", MapStage::SetupData),
    ("extended:", MapStage::SetupData),
    (HYPERVISOR, MapStage::Hypervisor),
];

/// Tells in one pass whether a line has any of them; most lines of a log have none.
static WORDS: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::new(PREFIXES.map(|(prefix, _)| prefix)).expect("a few short words"));

/// Of these words, each line has one that ends in a type of memory.
pub(super) const TYPES: [&str; 8] =
    ["usable", "System RAM", "reserved", "ACPI data", "ACPI NVS", "persistent (", " type ", "(type "];

/// What Xen puts before each line of its own.
pub(super) const HYPERVISOR: &str = "(XEN)";

/// A range and its type are looked for in so many bytes; the longest real ones take 75.
const REACH_BYTES: usize = 120;

/// A line of a memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapLine<'t> {
    /// One range.
    Entry {
        stage: MapStage,
        /// As the line says it: the end may be at or before the start.
        range: PhysRange,
        kind: TypeText<'t>,
    },
    /// A range between two entries.
    Gap,
    /// It looks like one.
    NotUnderstood,
}

/// What a line says its range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypeText<'t> {
    /// A type of Linux's or Xen's; those a layout cannot name are reserved.
    Known(E820Type),
    /// Nothing, or the first word of two: the line may have been wrapped.
    Cut(&'t str),
    /// Some other words.
    Unknown(&'t str),
}

/// Reads a line of the log; `None` if it belongs to no memory map.
pub(super) fn read(line: &str) -> Option<MapLine<'_>> {
    // Once, here: each attempt below would walk the same blanks again.
    let line = line.trim_end();
    let mut is_suspect = false;
    let prefixes = if WORDS.is_match(line) { PREFIXES.as_slice() } else { &[] };
    for &(prefix, stage) in prefixes {
        for (at, _) in line.match_indices(prefix) {
            // `superuser:` and `libxl-Xen:` are other words.
            if line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_')) {
                continue;
            }
            let behind = line[at + prefix.len()..].trim_start();
            if let Some(found) = read_behind(behind, stage) {
                // Another entry ran into this one, and would be lost.
                return Some(if is_suspect { MapLine::NotUnderstood } else { found });
            }
            is_suspect |= match stage {
                MapStage::Bios => true,
                MapStage::Xen | MapStage::User | MapStage::Modified | MapStage::SetupData => begins_like_range(behind),
                MapStage::Hypervisor => false,
            };
        }
    }
    (is_suspect || is_bare_entry(line)).then_some(MapLine::NotUnderstood)
}

fn read_behind(behind: &str, stage: MapStage) -> Option<MapLine<'_>> {
    let found = read_range(behind).or_else(|| match stage {
        MapStage::Hypervisor => read_hypervisor_range(behind),
        MapStage::Bios | MapStage::Xen | MapStage::User | MapStage::Modified | MapStage::SetupData => None,
    })?;
    let kind = read_type(found.rest);
    match (found.is_gap, stage, kind) {
        (true, ..) => Some(MapLine::Gap),
        // Xen prints ranges of many other things, so there only a type makes it an entry.
        (false, MapStage::Hypervisor, TypeText::Cut(_) | TypeText::Unknown(_)) => None,
        // Two lines run into one, or the like: half of it would be lost.
        (false, _, TypeText::Unknown(text)) if !is_plain_words(text) => None,
        (false, ..) => Some(MapLine::Entry { stage, range: found.range, kind }),
    }
}

/// A range at the beginning of a text, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundRange<'t> {
    pub(super) range: PhysRange,
    is_gap: bool,
    rest: &'t str,
}

/// Reads `[mem 0xS-0xE]` or `[gap 0xS-0xE]`, whose end is inclusive, or `S - E`, whose end is not.
pub(super) fn read_range(text: &str) -> Option<FoundRange<'_>> {
    let text = text.trim_start();
    let head = &text[..text.floor_char_boundary(REACH_BYTES)];
    if let Some(inner) = head.strip_prefix("[mem").or_else(|| head.strip_prefix("[gap")) {
        let (inner, _) = inner.split_once(']')?;
        let (start, last) = inner.split_once('-')?;
        let rest = &text["[mem".len() + inner.len() + "]".len()..];
        return Some(FoundRange { range: inclusive(start, last)?, is_gap: head.starts_with("[gap"), rest });
    }
    let (start, behind) = head.split_once(" - ")?;
    let behind = behind.trim_start();
    let end = behind.split([' ', '\t', ',']).next()?;
    let range = PhysRange::from_numbers(hex(start)?, hex(end)?);
    let end_at = head.len() - behind.len() + end.len();
    Some(FoundRange { range, is_gap: false, rest: &text[end_at..] })
}

/// Reads Xen's `[S, E]`, with or without a time stamp before it.
fn read_hypervisor_range(text: &str) -> Option<FoundRange<'_>> {
    let (mut inner, mut rest) = bracket(text)?;
    if !inner.contains(',') {
        (inner, rest) = bracket(rest.trim_start())?;
    }
    let (start, last) = inner.split_once(',')?;
    Some(FoundRange { range: inclusive(start, last)?, is_gap: false, rest })
}

fn bracket(text: &str) -> Option<(&str, &str)> {
    let head = &text[..text.floor_char_boundary(REACH_BYTES)];
    let (inner, _) = head.strip_prefix('[')?.split_once(']')?;
    Some((inner, &text[inner.len() + 2..]))
}

/// The end is held at 2^64 - 1, which no layout reaches.
pub(super) fn inclusive(start: &str, last: &str) -> Option<PhysRange> {
    Some(PhysRange::from_numbers(hex(start)?, hex(last)?.saturating_add(1)))
}

/// A number past 2^64 counts as the largest, so that its range is refused as too high and not overlooked.
pub(crate) fn hex(word: &str) -> Option<u64> {
    let word = word.trim();
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_number.then(|| u64::from_str_radix(digits, 16).unwrap_or(u64::MAX))
}

/// What follows a range. Words are compared as the kernel prints them, without parentheses and the size
/// that newer kernels put first.
pub(super) fn read_type(text: &str) -> TypeText<'_> {
    let text = text.trim();
    let text = text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(text);
    let text = strip_size(text);
    match text {
        "usable" | "System RAM" | "kernel usable RAM" => TypeText::Known(E820Type::Ram),
        "reserved" | "device reserved" | "soft reserved" => TypeText::Known(E820Type::Reserved),
        "ACPI data" => TypeText::Known(E820Type::AcpiData),
        "ACPI NVS" => TypeText::Known(E820Type::AcpiNvs),
        "unusable" => TypeText::Known(E820Type::Unusable),
        "" | "ACPI" | "(ACPI" | "type" | "soft" | "device" | "System" => TypeText::Cut(text),
        _ => {
            let number = text.strip_prefix("persistent (").and_then(|inner| inner.strip_suffix(')')).unwrap_or(text);
            match number.strip_prefix("type ") {
                Some(digits) if digits.parse::<u32>().is_ok() => TypeText::Known(E820Type::Reserved),
                _ => TypeText::Unknown(text),
            }
        }
    }
}

/// Takes `639   KB` or `1.9 GB` off (Linux `e820_print_size`).
fn strip_size(text: &str) -> &str {
    let behind_number = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim_start();
    let units = ["KB ", "MB ", "GB ", "TB "];
    let unit =
        units.iter().find(|unit| text.starts_with(|c: char| c.is_ascii_digit()) && behind_number.starts_with(**unit));
    unit.map_or(text, |unit| behind_number[unit.len()..].trim_start())
}

/// Whether an unknown type is at least the kind of thing a kernel could print there.
fn is_plain_words(text: &str) -> bool {
    text.len() <= 40 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '(' | ')'))
}

fn begins_like_range(text: &str) -> bool {
    let n_digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    ["[mem", "[gap", "0x"].iter().any(|start| text.starts_with(start)) || 8 <= n_digits
}

/// Whether a line without a known prefix ends in a range and a type, and is none of those that report a
/// change to the map (`e820: remove [mem ..] usable`).
fn is_bare_entry(line: &str) -> bool {
    let tail_start = line.ceil_char_boundary(line.len().saturating_sub(REACH_BYTES));
    let tail = &line[tail_start..];
    let at = tail.rfind("[mem 0x").or_else(|| {
        let (before, _) = tail.rsplit_once(" - ")?;
        Some(before.rfind([' ', '\t']).map_or(0, |blank| blank + 1))
    });
    let Some((before, range)) = at.map(|at| tail.split_at(at)) else { return false };
    let is_entry = read_range(range).is_some_and(|found| matches!(read_type(found.rest), TypeText::Known(_)));
    is_entry
        && !["remove", "remove range:", "update", "update range:"].iter().any(|end| before.trim_end().ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<MapLine<'_>>) {
        assert_eq!(read(line), expected, "{line}");
    }

    fn entry(stage: MapStage, start: u64, end: u64, kind: E820Type) -> Option<MapLine<'static>> {
        Some(MapLine::Entry { stage, range: PhysRange::from_numbers(start, end), kind: TypeText::Known(kind) })
    }

    #[test]
    fn every_form_of_the_corpus_is_read() {
        use E820Type::{AcpiData, AcpiNvs, Ram, Reserved, Unusable};
        use MapStage::{Bios, Hypervisor, Modified, SetupData, User, Xen};
        check(" BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)", entry(Bios, 0, 0x9_fc00, Ram));
        check(
            "BIOS-e820: [mem 0x0000000000001000-0x0000000000001fff] ACPI data",
            entry(Bios, 0x1000, 0x2000, AcpiData),
        );
        check("BIOS-e820: [mem 0x0000000000001000-0x0000000000001fff] type 20", entry(Bios, 0x1000, 0x2000, Reserved));
        check("Xen: [mem 0x0000000000001000-0x0000000000001fff] unusable", entry(Xen, 0x1000, 0x2000, Unusable));
        check(" Xen: 0000000000001000 - 0000000000002000 (ACPI NVS)", entry(Xen, 0x1000, 0x2000, AcpiNvs));
        check("user: [mem 0x0000000000001000-0x0000000000001fff] usable", entry(User, 0x1000, 0x2000, Ram));
        check(" modified: 0000000000001000 - 0000000000002000 (reserved)", entry(Modified, 0x1000, 0x2000, Reserved));
        check("reserve setup_data: [mem 0x00001000-0x00001fff] usable", entry(SetupData, 0x1000, 0x2000, Ram));
        check("(XEN)  [0000000000001000, 0000000000001fff] (ACPI data)", entry(Hypervisor, 0x1000, 0x2000, AcpiData));
        check("(XEN)  0000000000001000 - 0000000000002000 (usable)", entry(Hypervisor, 0x1000, 0x2000, Ram));
        check("BIOS-e820: [gap 0x00000000000a0000-0x00000000000effff]", Some(MapLine::Gap));
    }

    #[test]
    fn what_stands_before_an_entry_does_not_matter() {
        let expected = entry(MapStage::Bios, 0x1000, 0x2000, E820Type::Ram);
        for before in ["[    0.000000] ", "Nov 22 10:00:00 user kernel: [    0.000000] ", "<6>", "user: ", "Xen: "] {
            check(&format!("{before}BIOS-e820: [mem 0x1000-0x1fff] usable "), expected);
            check(&format!("{before} BIOS-e820: 0000000000001000 - 0000000000002000 (usable)\r"), expected);
        }
        let expected = entry(MapStage::Hypervisor, 0x1000, 0x2000, E820Type::Ram);
        check("(XEN) [2024-08-07 10:00:00]  [0000000000001000, 0000000000001fff] (usable)", expected);
    }

    #[test]
    fn the_sizes_of_newer_kernels_are_no_part_of_the_type() {
        let ram = entry(MapStage::Bios, 0, 0x1000, E820Type::Ram);
        check("BIOS-e820: [mem 0x0000-0x0fff]    4   KB System RAM", ram);
        check("BIOS-e820: [mem 0x0000-0x0fff]    1.9 GB kernel usable RAM", ram);
        check("BIOS-e820: [gap 0x0000-0x0fff] 1005.1 MB ...", Some(MapLine::Gap));
    }

    #[test]
    fn what_only_looks_like_an_entry_is_told_apart() {
        let suspect = Some(MapLine::NotUnderstood);
        check("BIOS-e820: [mem 0x000000000000", suspect);
        check("BIOS-e820: none", suspect);
        check("Xen: [mem 0x0-0x1", suspect);
        check("BIOS-e820: [mem 0x0-0xfff] usable BIOS-e820: [mem 0x1000-0x1fff] usable", suspect);
        check("[mem 0x0000000000001000-0x0000000000001fff] usable", suspect);
        check(" 0000000000001000 - 0000000000002000 (usable)", suspect);
    }

    #[test]
    fn other_lines_with_ranges_are_no_map() {
        for line in [
            "e820: remove [mem 0x000a0000-0x000fffff] usable",
            "e820 remove range: 00000000000a0000 - 0000000000100000 (usable)",
            "e820: update [mem 0x00000000-0x00000fff] usable ==> reserved",
            "e820 update range: 00000000000a0000 - 0000000000100000 (usable) ==> (reserved)",
            "e820: reserve RAM buffer [mem 0x87bfe000-0x87ffffff]",
            "system 00:01: [mem 0xfec00000-0xfec00fff] could not be reserved",
            "crashkernel reserved: 0x000000009f000000 - 0x00000000bf000000 (512 MB)",
            "Hypervisor detected: Xen PV",
            "user: root",
            "\u{85} - x",
            "",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn a_wrapped_or_new_type_is_kept_as_it_stands() {
        let range = PhysRange::from_numbers(0, 0x1000);
        let with = |kind| Some(MapLine::Entry { stage: MapStage::Bios, range, kind });
        check("BIOS-e820: [mem 0x0-0xfff]", with(TypeText::Cut("")));
        check("BIOS-e820: [mem 0x0-0xfff] ACPI", with(TypeText::Cut("ACPI")));
        check("BIOS-e820: [mem 0x0-0xfff] quantum foam", with(TypeText::Unknown("quantum foam")));
    }
}
