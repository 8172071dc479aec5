// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own options about memory, `mem=`, `memmap=` and `crashkernel=`, and what they do to a map.
//!
//! Source: `parse_memopt`, `parse_memmap_opt` (arch/x86/kernel/e820.c), `parse_crashkernel`
//! (kernel/crash_core.c), `memparse` (lib/cmdline.c).

use crate::addr::{PhysAddr, PhysRange};
use crate::e820::{E820Entry, E820Map, E820Type};
use crate::geometry::Geometry;
use crate::layout::{Backend, Layout};
use crate::memblock::Memblock;

/// Why an option's text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct OptionError {
    /// What would be right.
    pub expected: &'static str,
}

const fn expected<T>(expected: &'static str) -> Result<T, OptionError> {
    Err(OptionError { expected })
}

const SIZE: &str = "a size above 0 like 512M: decimal, 0x and hex or 0 and octal, then K, M, G, T, P, E or nothing";
const MEMMAP: &str = "exactmap, SIZE, SIZE@START (RAM), SIZE#START (ACPI data), SIZE$START (reserved) or SIZE!START \
                      (persistent), or some of them with commas between";
const CRASHKERNEL: &str = "SIZE, SIZE@START, SIZE,high, SIZE,low, or RANGE:SIZE with RANGE like 512M-2G, some of them \
                           with commas between, and perhaps @START";

/// One thing that `mem=` or `memmap=` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapOption {
    /// Forget the firmware's map.
    Exact,
    /// There is no RAM at this address or above.
    Limit(PhysAddr),
    /// This range is of this type, unless something with a larger number is there.
    Add(E820Entry),
}

/// Reads what stands behind `mem=`.
///
/// # Errors
/// If it is no size above 0.
pub fn parse_mem(text: &str) -> Result<MapOption, OptionError> {
    match memparse(text) {
        Some((bytes, "")) if 0 < bytes => Ok(MapOption::Limit(PhysAddr::new(bytes))),
        _ => expected(SIZE),
    }
}

/// Reads what stands behind `memmap=`.
///
/// # Errors
/// If a part of it is none of the kernel's forms, or lies above what a processor can address.
pub fn parse_memmap(text: &str) -> Result<Vec<MapOption>, OptionError> {
    text.split(',').map(parse_memmap_part).collect()
}

fn parse_memmap_part(text: &str) -> Result<MapOption, OptionError> {
    if text == "exactmap" {
        return Ok(MapOption::Exact);
    }
    let Some((bytes, rest)) = memparse(text).filter(|(bytes, _)| 0 < *bytes) else { return expected(MEMMAP) };
    let Some(sign) = rest.chars().next() else { return Ok(MapOption::Limit(PhysAddr::new(bytes))) };
    let kind = match sign {
        '@' => E820Type::Ram,
        '#' => E820Type::AcpiData,
        // Persistent memory has a type of its own, which layouts do not.
        '$' | '!' => E820Type::Reserved,
        _ => return expected(MEMMAP),
    };
    let Some((start, "")) = memparse(&rest[1..]) else { return expected(MEMMAP) };
    let end = start.checked_add(bytes).filter(|end| *end <= Geometry::X86_64.phys_end.get());
    match end {
        Some(end) => Ok(MapOption::Add(E820Entry { range: PhysRange::from_numbers(start, end), kind })),
        None => expected("a range that ends at or below 0x10000000000000"),
    }
}

/// A number with a suffix, and what follows it (`memparse`).
fn memparse(text: &str) -> Option<(u64, &str)> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => (rest, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let n_digits = digits.bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    let (digits, rest) = digits.split_at(n_digits);
    let number = u64::from_str_radix(digits, radix).ok()?;
    let shift = match rest.bytes().next().map(|byte| byte.to_ascii_uppercase()) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        Some(b'P') => 50,
        Some(b'E') => 60,
        _ => return Some((number, rest)),
    };
    Some((number.checked_mul(1 << shift)?, &rest[1..]))
}

/// The map as the options leave it. RAM that an option adds stays out of page 0 and of the ISA hole, as
/// everywhere in this program.
#[must_use]
pub fn apply(e820: &E820Map, options: &[MapOption]) -> E820Map {
    let geometry = Geometry::X86_64;
    let mut entries: Vec<E820Entry> = e820.entries().to_vec();
    for option in options {
        match option {
            MapOption::Exact => entries.clear(),
            MapOption::Limit(end) => {
                for entry in entries.iter_mut().filter(|entry| entry.kind == E820Type::Ram) {
                    entry.range.end = entry.range.end.min(*end);
                }
                entries.retain(|entry| !entry.range.is_empty());
            }
            MapOption::Add(entry) if entry.kind == E820Type::Ram => {
                let low = PhysRange::new(PhysAddr::new(geometry.page_bytes()), geometry.isa_start);
                let high = PhysRange::new(geometry.isa_end, geometry.phys_end);
                let parts = [low, high].map(|part| entry.range.intersect(part)).into_iter();
                entries.extend(parts.filter(|part| !part.is_empty()).map(|range| E820Entry { range, ..*entry }));
            }
            MapOption::Add(entry) => entries.push(*entry),
        }
    }
    E820Map::overlaid(&entries)
}

/// What `crashkernel=` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashKernel {
    /// So much, on a machine with as much RAM as the range says, in bytes; the first that fits counts.
    pub sizes: Vec<(PhysRange, u64)>,
    /// Where it is to be.
    pub place: CrashPlace,
}

/// Where a crash kernel is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPlace {
    /// Where there is room, low enough for kernels of the time.
    Low,
    /// Where there is room, as high as can be.
    High,
    /// Here.
    At(PhysAddr),
}

impl CrashKernel {
    /// `reserve_crashkernel` aligns to 16 MiB.
    const ALIGN: u64 = 16 << 20;

    /// How many bytes it asks for on a machine with so much RAM; 0 for none.
    #[must_use]
    pub fn bytes(&self, ram_bytes: u64) -> u64 {
        let ram = PhysAddr::new(ram_bytes);
        self.sizes.iter().find(|(range, _)| range.contains(ram)).map_or(0, |(_, bytes)| *bytes)
    }

    /// Where the kernel would put it on a machine that has no early page tables yet. `None` if it asks for none on a
    /// machine of this size.
    ///
    /// # Errors
    /// If there is no room where it is to be.
    pub fn place(&self, layout: &Layout) -> Result<Option<PhysRange>, NoCrashRoom> {
        let bytes = self.bytes(layout.e820.ram_bytes());
        if bytes == 0 {
            return Ok(None);
        }
        let mut memblock = Memblock::new(layout.geometry.page_bytes());
        memblock.fill(&layout.e820);
        memblock.reserve(layout.kernel);
        layout.reservations.iter().for_each(|reservation| memblock.reserve(reservation.range));
        if let Some(xen) = layout.xen.filter(|_| layout.backend == Backend::Xen) {
            memblock.reserve(PhysRange::new(xen.mfn_list, xen.mapped_end));
        }
        let window = |end| PhysRange::new(PhysAddr::new(Self::ALIGN), end);
        let start = match self.place {
            CrashPlace::At(start) => {
                let range = PhysRange::new(start, start.saturating_add(bytes));
                (memblock.is_memory(range) && !memblock.is_any_reserved(range)).then_some(start)
            }
            CrashPlace::Low => memblock.find_in_range(window(layout.geometry.crashkernel_end), bytes, Self::ALIGN),
            CrashPlace::High => memblock.find_in_range(window(layout.e820.end()), bytes, Self::ALIGN),
        };
        match start {
            Some(start) => Ok(Some(PhysRange::new(start, start.saturating_add(bytes)))),
            None => Err(NoCrashRoom { bytes }),
        }
    }
}

/// A crash kernel finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for a crash kernel of {bytes:#x} bytes where the option asks for it")]
pub struct NoCrashRoom {
    /// How many bytes it asks for.
    pub bytes: u64,
}

/// Reads what stands behind `crashkernel=`.
///
/// # Errors
/// If it is none of the kernel's forms.
pub fn parse_crashkernel(text: &str) -> Result<CrashKernel, OptionError> {
    let anything = PhysRange::from_numbers(0, u64::MAX);
    let simple = |text: &str, place| match memparse(text) {
        Some((bytes, "")) if 0 < bytes => Ok(CrashKernel { sizes: vec![(anything, bytes)], place }),
        _ => expected(CRASHKERNEL),
    };
    if let Some(size) = text.strip_suffix(",high") {
        return simple(size, CrashPlace::High);
    }
    if let Some(size) = text.strip_suffix(",low") {
        return simple(size, CrashPlace::Low);
    }
    let (sizes, place) = match text.rsplit_once('@') {
        Some((sizes, start)) => match memparse(start) {
            Some((start, "")) => (sizes, CrashPlace::At(PhysAddr::new(start))),
            _ => return expected(CRASHKERNEL),
        },
        None => (text, CrashPlace::Low),
    };
    if !sizes.contains(':') {
        return simple(sizes, place);
    }
    let sizes = sizes.split(',').map(|part| parse_crash_range(part).ok_or(OptionError { expected: CRASHKERNEL }));
    Ok(CrashKernel { sizes: sizes.collect::<Result<_, _>>()?, place })
}

/// `512M-2G:64M` or `2G-:128M`.
fn parse_crash_range(text: &str) -> Option<(PhysRange, u64)> {
    let (start, rest) = memparse(text)?;
    let rest = rest.strip_prefix('-')?;
    let (end, rest) = if rest.starts_with(':') { (u64::MAX, rest) } else { memparse(rest)? };
    let (bytes, rest) = memparse(rest.strip_prefix(':')?)?;
    (rest.is_empty() && start < end).then_some((PhysRange::from_numbers(start, end), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(u64, u64, E820Type)]) -> E820Map {
        let entry = |&(start, end, kind)| E820Entry { range: PhysRange::from_numbers(start, end), kind };
        E820Map::overlaid(&entries.iter().map(entry).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(options: &[MapOption], expected: &[(u64, u64, E820Type)]) {
        use E820Type::{Ram, Reserved};
        let machine =
            map(&[(0x1000, 0xa_0000, Ram), (0x10_0000, 0x8000_0000, Ram), (0xfec0_0000, 0xfec0_1000, Reserved)]);
        let found: Vec<_> = apply(&machine, options)
            .entries()
            .iter()
            .map(|entry| (entry.range.start.get(), entry.range.end.get(), entry.kind))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn mem_cuts_ram_and_nothing_else() {
        use E820Type::{Ram, Reserved};
        let limit = parse_mem("1G").expect("a size");
        check(
            &[limit],
            &[(0x1000, 0xa_0000, Ram), (0x10_0000, 0x4000_0000, Ram), (0xfec0_0000, 0xfec0_1000, Reserved)],
        );
    }

    #[test]
    fn memmap_adds_and_the_larger_type_wins() {
        use E820Type::{AcpiData, Ram, Reserved};
        let options = parse_memmap("16M$0x10000000,64K#0x7fff0000").expect("two options");
        check(
            &options,
            &[
                (0x1000, 0xa_0000, Ram),
                (0x10_0000, 0x1000_0000, Ram),
                (0x1000_0000, 0x1100_0000, Reserved),
                (0x1100_0000, 0x7fff_0000, Ram),
                (0x7fff_0000, 0x8000_0000, AcpiData),
                (0xfec0_0000, 0xfec0_1000, Reserved),
            ],
        );
        let exact = [parse_memmap("exactmap"), parse_memmap("640K@0"), parse_memmap("1023M@1M")];
        let exact: Vec<MapOption> = exact.into_iter().flat_map(|options| options.expect("an option")).collect();
        check(&exact, &[(0x1000, 0xa_0000, Ram), (0x10_0000, 0x4000_0000, Ram)]);
    }

    #[test]
    fn a_crash_kernels_size_depends_on_the_machines() {
        let crash = parse_crashkernel("384M-2G:64M,2G-:128M").expect("two ranges");
        assert_eq!((crash.bytes(256 << 20), crash.bytes(1 << 30), crash.bytes(2 << 30)), (0, 64 << 20, 128 << 20));
        let fixed = parse_crashkernel("64M@16M").expect("a size and a place");
        assert_eq!((fixed.bytes(1), fixed.place), (64 << 20, CrashPlace::At(PhysAddr::new(16 << 20))));
        assert_eq!(parse_crashkernel("256M,high").expect("a size").place, CrashPlace::High);
    }

    #[test]
    fn what_the_kernel_would_not_take_is_refused() {
        for text in ["", "0", "x", "1GB", "-1G", "99999999999E"] {
            assert_eq!(parse_mem(text), expected(SIZE), "{text}");
        }
        for text in ["", "1G@", "@1G", "1G%0", "1G@x", "exactmap,", "0@1G"] {
            assert_eq!(parse_memmap(text), expected(MEMMAP), "{text}");
        }
        for text in ["", "x", "1G@", "2G-1G:64M", "1G-2G:", "1G-2G", ",high", "64M@16M@1"] {
            assert_eq!(parse_crashkernel(text), expected(CRASHKERNEL), "{text}");
        }
    }
}
