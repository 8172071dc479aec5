// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptions of memory that are no logs, each turned into the lines a kernel would print: the folder
//! `/sys/firmware/memmap`, the JSON of `lsmem -J`, and the machine this runs on.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::Path;

/// More ranges than any machine has; a description with more is junk.
const MAX_RANGES: usize = 10_000;

/// Why a description is none.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A file could not be read.
    #[error("cannot read {place}: {source}")]
    Unreadable {
        /// The file.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the folder does not hold what it should.
    #[error("{place}: found `{found}`; expected {expected}")]
    Entry {
        /// The file.
        place: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The JSON is not that of lsmem.
    #[error("{0}; expected the output of `lsmem -J`")]
    Json(#[from] serde_json::Error),
    /// The folder has more entries than a map has.
    #[error("{place} has more than {MAX_RANGES} entries; expected a folder like /sys/firmware/memmap")]
    TooManyEntries {
        /// The folder.
        place: String,
    },
}

/// Whether a folder has the shape of `/sys/firmware/memmap`.
#[must_use]
pub fn is_memmap(folder: &Path) -> bool {
    folder.join("0/start").is_file()
}

/// Reads the folder `/sys/firmware/memmap`: a folder each for the entries of the firmware's map, which hold
/// `start`, `end` (inclusive) and `type`.
///
/// # Errors
/// If a file cannot be read or does not hold what it should.
pub fn read_memmap(folder: &Path) -> Result<String, LiveError> {
    let mut entries: Vec<(u64, u64, String)> = Vec::new();
    for number in 0.. {
        let entry = folder.join(number.to_string());
        if !entry.is_dir() {
            break;
        }
        if entries.len() == MAX_RANGES {
            return Err(LiveError::TooManyEntries { place: folder.display().to_string() });
        }
        let address = |file: &str| {
            let text = read(&entry.join(file))?;
            let number = u64::from_str_radix(text.trim().trim_start_matches("0x"), 16);
            number.map_err(|_| LiveError::Entry {
                place: entry.join(file).display().to_string(),
                found: text.trim().to_owned(),
                expected: "a hexadecimal address",
            })
        };
        entries.push((address("start")?, address("end")?, read(&entry.join("type"))?.trim().to_owned()));
    }
    entries.sort();
    let mut out = String::new();
    for (start, last, kind) in entries {
        let _ = writeln!(out, "BIOS-e820: [mem 0x{start:016x}-0x{last:016x}] {}", printed(&kind));
    }
    Ok(out)
}

/// What `e820_print_type` prints for a type that `/sys/firmware/memmap` and `/proc/iomem` call so.
fn printed(name: &str) -> &str {
    match name {
        "System RAM" => "usable",
        "Reserved" => "reserved",
        "ACPI Tables" => "ACPI data",
        "ACPI Non-volatile Storage" => "ACPI NVS",
        "Unusable memory" => "unusable",
        "Soft Reserved" => "soft reserved",
        "Persistent Memory" => "persistent (type 7)",
        _ => "reserved",
    }
}

#[derive(Deserialize)]
struct Lsmem {
    #[serde(deserialize_with = "online")]
    memory: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct LsmemRange {
    range: String,
    #[serde(default)]
    state: Option<String>,
}

/// The ranges that are online, ascending as they come, the ends exclusive; those that touch are one, since
/// `lsmem --all` lists every block of memory.
fn online<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<(u64, u64)>, D::Error> {
    struct Ranges;
    impl<'d> Visitor<'d> for Ranges {
        type Value = Vec<(u64, u64)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of ranges of memory")
        }

        fn visit_seq<A: SeqAccess<'d>>(self, mut found: A) -> Result<Self::Value, A::Error> {
            let mut ranges: Vec<(u64, u64)> = Vec::new();
            while let Some(LsmemRange { range, state }) = found.next_element()? {
                let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
                let ends = range.split_once('-').and_then(|(start, last)| Some((number(start)?, number(last)?)));
                let Some((start, last)) = ends.filter(|(start, last)| start <= last) else {
                    let expected = "ranges like 0x0000000000000000-0x000000007fffffff";
                    return Err(A::Error::custom(format_args!("found the range `{range}`, expected {expected}")));
                };
                if state.is_some_and(|state| state != "online") {
                    continue;
                }
                match ranges.last_mut() {
                    Some((_, end)) if *end == start => *end = last.saturating_add(1),
                    _ => ranges.push((start, last.saturating_add(1))),
                }
                if MAX_RANGES < ranges.len() {
                    return Err(A::Error::custom(format_args!(
                        "found more than {MAX_RANGES} ranges with holes between"
                    )));
                }
            }
            Ok(ranges)
        }
    }
    deserializer.deserialize_seq(Ranges)
}

/// Reads the JSON of `lsmem -J`. It knows blocks of memory only, holes inside them count as RAM; offline
/// blocks are left out.
///
/// # Errors
/// If it is not that.
pub fn read_lsmem(text: &[u8]) -> Result<String, LiveError> {
    let found: Lsmem = serde_json::from_slice(text)?;
    let mut out = String::new();
    for (start, end) in found.memory {
        let _ = writeln!(out, "BIOS-e820: [mem 0x{start:016x}-0x{:016x}] usable", end - 1);
    }
    Ok(out)
}

/// The machine this runs on: the firmware's map (or, where the system does not show it, `/proc/iomem`'s),
/// and what `/proc` says of kernel, nodes, processor and command line.
///
/// # Errors
/// If neither map can be read.
pub fn read_machine() -> Result<String, LiveError> {
    let memmap = Path::new("/sys/firmware/memmap");
    let iomem = read(Path::new("/proc/iomem"));
    let mut out = if is_memmap(memmap) { read_memmap(memmap)? } else { map_of(iomem.as_deref().map_err(owned)?) };
    if let Ok(options) = read(Path::new("/proc/cmdline")) {
        let _ = writeln!(out, "Command line: {}", options.trim());
    }
    if let Some((start, end)) = iomem.ok().as_deref().and_then(kernel_of) {
        let _ = writeln!(out, "  #1 [{start:010x} - {end:010x}]    TEXT DATA BSS");
    }
    for (node, (start, end)) in read(Path::new("/proc/zoneinfo")).map(|text| nodes_of(&text)).unwrap_or_default() {
        let (start, last) = (start << 12, (end << 12).saturating_sub(1));
        let _ = writeln!(out, "Initmem setup node {node} [mem 0x{start:016x}-0x{last:016x}]");
    }
    if let Ok(processor) = read(Path::new("/proc/cpuinfo")) {
        let flags = processor.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        let state = if has("nx") { "active" } else { "missing in CPU!" };
        let _ = writeln!(out, "NX (Execute Disable) protection: {state}");
        if has("pdpe1gb") {
            out.push_str("Using GB pages for direct mapping\n");
        }
    }
    Ok(out)
}

fn owned(error: &LiveError) -> LiveError {
    let place = "/proc/iomem".to_owned();
    LiveError::Unreadable { place, source: io::Error::other(error.to_string()) }
}

fn read(path: &Path) -> Result<String, LiveError> {
    let unreadable = |source| LiveError::Unreadable { place: path.display().to_string(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A range of `/proc/iomem`, its end exclusive, and its name.
fn iomem_lines(text: &str) -> impl Iterator<Item = (&str, u64, u64)> {
    text.lines().filter_map(|line| {
        let (range, name) = line.split_once(" : ")?;
        let (start, last) = range.trim().split_once('-')?;
        let (start, last) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(last, 16).ok()?);
        Some((name, start, last.checked_add(1)?)).filter(|_| 0 < last)
    })
}

fn map_of(iomem: &str) -> String {
    let mut out = String::new();
    let top: String = iomem.lines().filter(|line| !line.starts_with(' ')).map(|line| format!("{line}\n")).collect();
    let names =
        ["System RAM", "Reserved", "ACPI Tables", "ACPI Non-volatile Storage", "Unusable memory", "Soft Reserved"];
    for (name, start, end) in iomem_lines(&top).filter(|(name, ..)| names.contains(name)) {
        let _ = writeln!(out, "BIOS-e820: [mem 0x{start:016x}-0x{:016x}] {}", end - 1, printed(name));
    }
    out
}

fn kernel_of(iomem: &str) -> Option<(u64, u64)> {
    let parts: Vec<(u64, u64)> = iomem_lines(iomem)
        .filter(|(name, ..)| name.starts_with("Kernel "))
        .map(|(_, start, end)| (start, end))
        .collect();
    Some((parts.iter().map(|(start, _)| *start).min()?, parts.iter().map(|(_, end)| *end).max()?))
}

/// The first frame of each node and the one behind its last, by the zones that have memory.
fn nodes_of(zoneinfo: &str) -> BTreeMap<u32, (u64, u64)> {
    let mut nodes = BTreeMap::new();
    let (mut node, mut spanned, mut present) = (None, 0, 0);
    for line in zoneinfo.lines() {
        let number = |key: &str| line.trim().strip_prefix(key)?.trim().parse::<u64>().ok();
        if let Some(rest) = line.strip_prefix("Node ") {
            node = rest.split(',').next().and_then(|id| id.parse::<u32>().ok());
        } else if let Some(n) = number("spanned ") {
            spanned = n;
        } else if let Some(n) = number("present ") {
            present = n;
        } else if let (Some(start), Some(node), true) = (number("start_pfn:"), node, 0 < present) {
            let (first, end) = nodes.entry(node).or_insert((start, start + spanned));
            (*first, *end) = (start.min(*first), (start + spanned).max(*end));
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_firmwares_folder_becomes_a_map() {
        let folder = tempfile::tempdir().expect("a folder");
        for (number, start, end, kind) in [
            (0, "0x100000", "0x3fffffff", "System RAM"),
            (1, "0x0", "0x9fbff", "System RAM"),
            (2, "0xf0000", "0xfffff", "Reserved"),
        ] {
            let entry = folder.path().join(number.to_string());
            fs::create_dir(&entry).expect("a folder");
            for (file, text) in [("start", start), ("end", end), ("type", kind)] {
                fs::write(entry.join(file), format!("{text}\n")).expect("a file");
            }
        }
        assert!(is_memmap(folder.path()));
        let text = read_memmap(folder.path()).expect("a map");
        let expected = "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n\
                        BIOS-e820: [mem 0x00000000000f0000-0x00000000000fffff] reserved\n\
                        BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable\n";
        assert_eq!(text, expected);
        fs::write(folder.path().join("1/end"), "x").expect("a file");
        let error = read_memmap(folder.path()).expect_err("an entry is broken").to_string();
        assert!(error.ends_with("1/end: found `x`; expected a hexadecimal address"), "{error}");
    }

    #[test]
    fn lsmem_becomes_a_map_of_what_is_online() {
        let text = r#"{"memory": [
            {"range": "0x0000000000000000-0x000000007fffffff", "size": "2G", "state": "online", "removable": true, "block": "0-15"},
            {"range": "0x0000000080000000-0x00000000bfffffff", "size": "1G", "state": "online", "removable": true, "block": "16-23"},
            {"range": "0x0000000100000000-0x000000013fffffff", "size": "1G", "state": "offline", "block": "32-39"}]}"#;
        let expected = "BIOS-e820: [mem 0x0000000000000000-0x00000000bfffffff] usable\n";
        assert_eq!(read_lsmem(text.as_bytes()).expect("it is lsmem's"), expected);
        let refused = |text: &str| read_lsmem(text.as_bytes()).expect_err("it is not lsmem's").to_string();
        assert!(refused(r#"{"memory": [{"range": "x"}]}"#).starts_with("found the range `x`, expected ranges like"));
        assert!(refused("{}").starts_with("missing field `memory`"));
    }

    #[test]
    fn nodes_are_the_zones_that_have_memory() {
        let zoneinfo = "Node 0, zone      DMA\n  pages free 1\n        spanned  4095\n        present  3998\n  start_pfn:           1\n\
                        Node 0, zone   Normal\n        spanned  262144\n        present  262144\n  start_pfn:           1048576\n\
                        Node 1, zone  Movable\n        spanned  0\n        present  0\n  start_pfn:           0\n";
        assert_eq!(nodes_of(zoneinfo), BTreeMap::from([(0, (1, 0x14_0000))]));
    }
}
