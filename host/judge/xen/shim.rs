// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image that a boot loader takes for Xen: the shim (`guest/shim`) with a memory map in it, and Xen behind it.

use super::firmware::Firmware;
use object::{Object, ObjectSegment};
use pgtlab_core::addr::PhysAddr;
use std::ops::Range;

#[path = "../../../guest/shim/src/wire.rs"]
mod wire;
use wire::{BASE, BSS_END, BYTES, ENTRY, ENTRY_BYTES, LOAD_END, MAP, MAP_BYTES};

/// The shim, as the build script made it.
const SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shim.bin"));

/// Xen takes an entry that begins below and ends above for a mistake of the firmware's.
const FOUR_GIB: PhysAddr = PhysAddr::new(1 << 32);

/// Why no image can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShimError {
    /// Xen's image cannot be read.
    #[error("Xen's image is no ELF file: {0}")]
    NoElf(object::Error),
    /// It is loaded where the shim lies, or nowhere.
    #[error("Xen's image is loaded from {start:#x} to {end:#x}, expected from {:#x} on, below 4 GiB", u64::from(BASE) + BYTES as u64)]
    Place {
        /// Its first address.
        start: u64,
        /// Behind its last one.
        end: u64,
    },
    /// The map is too long.
    #[error("a memory map of {n} entries, the shim has room for {}", (BYTES - MAP) / ENTRY_BYTES)]
    Map {
        /// How many it has.
        n: usize,
    },
}

/// The image for this Xen, which will find this map.
///
/// # Errors
/// Xen's image is not what a boot loader could load behind the shim, or the map is too long.
pub(super) fn image(xen: &[u8], firmware: &Firmware) -> Result<Vec<u8>, ShimError> {
    let elf = object::File::parse(xen).map_err(ShimError::NoElf)?;
    let first = BASE as usize + BYTES;
    let mut loaded: Vec<u8> = Vec::new();
    let mut end = first;
    for segment in elf.segments() {
        let place = segment.address()..segment.address().saturating_add(segment.size());
        let in_image = within(&place, first).ok_or(ShimError::Place { start: place.start, end: place.end })?;
        let data = segment.data().map_err(ShimError::NoElf)?;
        loaded.resize(loaded.len().max(in_image + data.len()), 0);
        loaded[in_image..in_image + data.len()].copy_from_slice(data);
        end = end.max(first + in_image + usize::try_from(segment.size()).unwrap_or(usize::MAX));
    }
    let entry = within(&(elf.entry()..elf.entry() + 1), first).map(|at| first + at);
    let entry = entry.ok_or_else(|| ShimError::Place { start: elf.entry(), end: elf.entry() })?;
    let map = map_bytes(firmware);
    if BYTES - MAP < map.len() {
        return Err(ShimError::Map { n: map.len() / ENTRY_BYTES });
    }
    let mut image = SHIM.to_vec();
    image.resize(BYTES, 0);
    put(&mut image, LOAD_END, first + loaded.len());
    put(&mut image, BSS_END, end);
    put(&mut image, ENTRY, entry);
    put(&mut image, MAP_BYTES, map.len());
    image[MAP..MAP + map.len()].copy_from_slice(&map);
    image.extend(loaded);
    Ok(image)
}

/// How far behind the shim a place below 4 GiB lies.
fn within(place: &Range<u64>, first: usize) -> Option<usize> {
    let is_low = place.end <= FOUR_GIB.get();
    usize::try_from(place.start).ok().filter(|_| is_low).and_then(|start| start.checked_sub(first))
}

/// A field, of which all are addresses below 4 GiB or lengths of less.
fn put(image: &mut [u8], at: usize, value: usize) {
    image[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

/// The map as Multiboot has it (Multiboot Specification, "Boot information format").
fn map_bytes(firmware: &Firmware) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in &firmware.map {
        let (start, end) = (entry.range.start, entry.range.end);
        let middle = if start < FOUR_GIB && FOUR_GIB < end { FOUR_GIB } else { end };
        for (start, end) in [(start, middle), (middle, end)].into_iter().filter(|(start, end)| start < end) {
            bytes.extend(20u32.to_le_bytes());
            bytes.extend(start.get().to_le_bytes());
            bytes.extend(end.offset_from(start).to_le_bytes());
            bytes.extend(entry.kind.number().to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgtlab_core::addr::PhysRange;
    use pgtlab_core::e820::{E820Entry, E820Map, E820Type};

    fn firmware(n: u64) -> Firmware {
        let mut map = E820Map::new();
        for at in 0..n {
            let range = PhysRange::from_numbers(at * 0x2000 + 0x10_0000, at * 0x2000 + 0x10_1000);
            map.push(E820Entry { range, kind: E820Type::Reserved }).expect("ascending");
        }
        Firmware::new(&map, true)
    }

    /// A 32-bit ELF file of one segment of 4 bytes, loaded at `address`.
    fn elf(address: u32) -> Vec<u8> {
        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let half = |file: &mut Vec<u8>, values: &[u16]| file.extend(values.iter().flat_map(|it| it.to_le_bytes()));
        let word = |file: &mut Vec<u8>, values: &[u32]| file.extend(values.iter().flat_map(|it| it.to_le_bytes()));
        // An executable for the 386.
        half(&mut file, &[2, 3]);
        word(&mut file, &[1, address, 52, 0, 0]);
        half(&mut file, &[52, 32, 1, 40, 0, 0]);
        // Loaded from behind the headers, with as much again that is zero.
        word(&mut file, &[1, 84, address, address, 4, 8, 7, 4]);
        file.extend(*b"\xf4\xf4\xf4\xf4");
        file
    }

    #[test]
    fn the_map_lies_where_the_shim_hands_it_over() {
        let image = image(&elf(0x20_0000), &firmware(2)).expect("it fits");
        let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().expect("4 bytes"));
        assert_eq!([word(0), word(12), word(16)], [0x1bad_b002, BASE, BASE], "a Multiboot header");
        assert_eq!([word(LOAD_END), word(BSS_END), word(ENTRY)], [0x20_0004, 0x20_0008, 0x20_0000]);
        assert_eq!([word(MAP_BYTES), word(MAP), word(MAP + 4), word(MAP + 20)], [48, 20, 0x10_0000, 2]);
        assert_eq!(&image[BYTES..], b"\xf4\xf4\xf4\xf4");
    }

    #[test]
    fn an_image_that_is_not_loaded_behind_the_shim_is_refused() {
        let refused = |xen: &[u8], n| image(xen, &firmware(n)).expect_err("it cannot be").to_string();
        assert_eq!(
            refused(&elf(0x10_0000), 1),
            "Xen's image is loaded from 0x100000 to 0x100008, expected from 0x200000 on, below 4 GiB"
        );
        assert_eq!(refused(&elf(0x20_0000), 400), "a memory map of 400 entries, the shim has room for 335");
        assert!(refused(b"nothing", 1).starts_with("Xen's image is no ELF file: "));
    }
}
