// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory map that Xen finds on the emulated machine: a layout's own, as far as that machine can have it.
//!
//! What lies under an entry of the map must be there: RAM where it says RAM. A PC of QEMU's has RAM from 0, but for
//! the first MiB's upper part, to some end below 4 GiB, and from 4 GiB on:
//!
//! ```text
//! 0       a0000   100000              low end   4 GiB
//! |--RAM--|- BIOS -|-------RAM-------|- devices -|-------RAM------- ..
//! ```
//!
//! RAM that is said to lie elsewhere, or beyond what is worth its cost, is left out of the map, and nothing else is
//! changed: [`Firmware`] holds both. What a strategy decides does not depend on it, for cells bring the operations that
//! they were decided on.

use crate::report::count;
use pgtlab_core::addr::{PhysAddr, PhysRange};
use pgtlab_core::e820::{E820Entry, E820Map, E820Type};
use std::fmt;

/// RAM of a map that Xen is given; it keeps some 10 MiB of tables for each GiB, and takes a tenth of a second.
const MOST_RAM_BYTES: u64 = 64 << 30;
/// The highest address of RAM; an emulated processor has 40 bits of address.
const RAM_END: u64 = 1000 << 30;
/// Xen counts memory in these units.
const PAGE: u64 = 0x1000;
/// RAM is given to QEMU in these units.
const MIB: u64 = 1 << 20;
/// Where RAM goes on above the devices.
const HIGH: u64 = 1 << 32;
/// Room below the low end where the machine's firmware leaves its ACPI tables, which Xen reads.
const TABLES_BYTES: u64 = MIB;
/// Where RAM ends below 4 GiB on a board that has it as far up as there are no devices.
const FLAT_LOW_END: u64 = 0xfe00_0000;
/// The same on a board that has RAM above 4 GiB, which keeps to whole GiB.
const WHOLE_GIB_LOW_END: u64 = 0xc000_0000;
/// What Xen keeps from its guests, and adds to the map where that says nothing: the I/O APIC, and the range of the local
/// APIC and of message-signalled interrupts.
const APICS: [(u64, u64); 2] = [(0xfec0_0000, 0xfec0_1000), (0xfee0_0000, 0xfef0_0000)];

/// What is said of a map that was not scaled.
pub const AS_IT_IS: &str = "as it is";

/// A PC as QEMU has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// The one QEMU has in this version.
    Current,
    /// One of 2013, with RAM up to the devices whatever lies above 4 GiB; not every QEMU has it.
    Of2013,
}

impl Board {
    /// The name of the one of 2013.
    pub const OF_2013: &str = "pc-i440fx-1.7";

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "pc",
            Self::Of2013 => Self::OF_2013,
        }
    }

    /// The processor; the old board's must be told that it is one of 64 bits.
    #[must_use]
    pub const fn cpu(self) -> &'static str {
        match self {
            Self::Current => "max",
            Self::Of2013 => "max,xlevel=0x8000001f",
        }
    }
}

/// Why RAM is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The emulated machine has none there.
    NotThere,
    /// It would be more than what is worth its cost.
    TooMuch,
}

/// A memory map as it is put before Xen, and the machine under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The map.
    pub map: Vec<E820Entry>,
    /// RAM of the layout that it lacks, ascending.
    pub left_out: Vec<(PhysRange, Why)>,
    /// RAM that it has more than the layout, for Xen and the guest.
    pub added: Option<PhysRange>,
    /// The board.
    pub board: Board,
    /// Where RAM ends below 4 GiB.
    low_end: u64,
    /// Whether QEMU has the old board.
    has_old_board: bool,
}

impl Firmware {
    /// A layout's map on one of these boards.
    #[must_use]
    pub fn new(e820: &E820Map, has_old_board: bool) -> Self {
        let has_high = e820.ram().any(|ram| HIGH < ram.end.get());
        let (board, low_end) = if has_high {
            // Without the old board what lies above the current one's low end is left out.
            with_high_ram(e820.ram(), has_old_board).unwrap_or((Board::Current, WHOLE_GIB_LOW_END))
        } else {
            (Board::Current, FLAT_LOW_END)
        };
        let mut firmware = Self { map: Vec::new(), left_out: Vec::new(), added: None, board, low_end, has_old_board };
        let mut room = MOST_RAM_BYTES;
        for entry in e820.entries() {
            if entry.kind == E820Type::Ram {
                firmware.put_ram(entry.range, &mut room);
            } else {
                firmware.map.push(*entry);
            }
        }
        firmware
    }

    /// The ranges of an address space: where they end, and whether the machine has RAM there.
    fn ground(&self) -> [(u64, Option<Why>); 6] {
        [
            (0xa_0000, None),
            (MIB, Some(Why::NotThere)),
            (self.low_end - TABLES_BYTES, None),
            (HIGH, Some(Why::NotThere)),
            (RAM_END, None),
            (u64::MAX, Some(Why::TooMuch)),
        ]
    }

    fn put_ram(&mut self, ram: PhysRange, room: &mut u64) {
        let mut from = 0;
        for (end, why) in self.ground() {
            let piece = ram.intersect(PhysRange::new(PhysAddr::new(from), PhysAddr::new(end)));
            from = end;
            if piece.is_empty() {
                continue;
            }
            if let Some(why) = why {
                self.left_out.push((piece, why));
                continue;
            }
            let kept_end = if piece.len() <= *room { piece.end } else { piece.start.saturating_add(*room / MIB * MIB) };
            let kept = PhysRange::new(piece.start, kept_end);
            *room -= kept.len();
            if !kept.is_empty() {
                self.map.push(E820Entry { range: kept, kind: E820Type::Ram });
            }
            if kept_end < piece.end {
                self.left_out.push((PhysRange::new(kept_end, piece.end), Why::TooMuch));
            }
        }
    }

    /// Adds RAM behind the map's, for Xen and a guest, in whole pieces of 32 MiB. None if there is no room.
    #[must_use]
    pub fn add(&mut self, bytes: u64) -> Option<()> {
        if bytes == 0 {
            return Some(());
        }
        let bytes = bytes.next_multiple_of(32 * MIB);
        let ends = self.map.iter().map(|entry| entry.range.end.get().next_multiple_of(MIB));
        let mut starts: Vec<u64> = ends.chain([HIGH]).filter(|start| HIGH <= *start).collect();
        starts.sort_unstable();
        if self.board == Board::Current && self.low_end == FLAT_LOW_END {
            (self.board, self.low_end) = with_high_ram(self.ram(), self.has_old_board)?;
        }
        let added = starts
            .into_iter()
            .map(|start| PhysRange::from_numbers(start, start + bytes))
            .find(|range| range.end.get() <= RAM_END && !self.map.iter().any(|entry| entry.range.overlaps(*range)))?;
        let at = self.map.partition_point(|entry| entry.range.start < added.start);
        self.map.insert(at, E820Entry { range: added, kind: E820Type::Ram });
        self.added = Some(added);
        Some(())
    }

    fn ram(&self) -> impl Iterator<Item = PhysRange> {
        self.map.iter().filter(|entry| entry.kind == E820Type::Ram).map(|entry| entry.range)
    }

    /// Bytes of RAM.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram().map(PhysRange::len).sum()
    }

    /// RAM of the machine under it: how much, and where it ends below 4 GiB.
    ///
    /// QEMU keeps to whole GiB as soon as RAM reaches that end, so without RAM above 4 GiB the end lies behind it.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let top = self.ram().map(|ram| ram.end.get()).max().unwrap_or_default();
        match top.saturating_sub(HIGH) {
            0 => (self.low_end, self.low_end + MIB),
            high => (self.low_end + high.next_multiple_of(MIB), self.low_end),
        }
    }

    /// The parts of a range, in whole pages, that the map says nothing of.
    fn gaps(&self, range: PhysRange) -> Vec<PhysRange> {
        let mut gaps = Vec::new();
        let mut from = range.start;
        for entry in &self.map {
            gaps.push(PhysRange::new(from, entry.range.start.min(range.end)));
            from = from.max(entry.range.end);
        }
        gaps.push(PhysRange::new(from, range.end));
        let whole = gaps.into_iter().map(|gap| PhysRange::new(gap.start.align_up(PAGE), gap.end.align_down(PAGE)));
        whole.filter(|gap| !gap.is_empty()).collect()
    }

    /// The first difference between this map and the one that a guest was told of, if there is any. Xen adds its APICs.
    #[must_use]
    pub fn difference(&self, told: &[E820Entry]) -> Option<Difference> {
        let apics = APICS.into_iter().flat_map(|(start, end)| self.gaps(PhysRange::from_numbers(start, end)));
        let apics = apics.map(|range| E820Entry { range, kind: E820Type::Reserved });
        let put = merged(self.map.iter().copied().chain(apics));
        let told = merged(told.iter().copied());
        let n = put.len().max(told.len());
        let at = (0..n).find(|at| put.get(*at) != told.get(*at))?;
        Some(Difference { put: put.get(at).copied(), told: told.get(at).copied() })
    }
}

/// A board that has this RAM below 4 GiB and more above, and where its RAM ends below; none if there is none.
fn with_high_ram(ram: impl Iterator<Item = PhysRange>, has_old_board: bool) -> Option<(Board, u64)> {
    let low = ram.filter(|ram| ram.start.get() < HIGH);
    let low_top = low.map(|ram| ram.end.get()).max().unwrap_or_default();
    if low_top <= WHOLE_GIB_LOW_END - TABLES_BYTES {
        return Some((Board::Current, WHOLE_GIB_LOW_END));
    }
    has_old_board.then_some((Board::Of2013, FLAT_LOW_END))
}

/// The entries ascending, neighbours of one type as one.
fn merged(entries: impl Iterator<Item = E820Entry>) -> Vec<E820Entry> {
    let mut entries: Vec<E820Entry> = entries.collect();
    entries.sort_by_key(|entry| entry.range.start);
    let mut merged: Vec<E820Entry> = Vec::with_capacity(entries.len());
    for entry in entries {
        match merged.last_mut() {
            Some(last) if last.kind == entry.kind && last.range.end == entry.range.start => {
                last.range.end = entry.range.end;
            }
            _ => merged.push(entry),
        }
    }
    merged
}

/// Where the map that was put before Xen and the one that its guest was told part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was put before it.
    pub put: Option<E820Entry>,
    /// What it told its guest.
    pub told: Option<E820Entry>,
}

/// An entry as a layout file has it.
fn entry_text(entry: Option<E820Entry>) -> String {
    entry.map_or_else(
        || "no entry".to_owned(),
        |E820Entry { range, kind }| format!("e820 {:x} {:x} {}", range.start.get(), range.end.get(), kind.number()),
    )
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put before Xen: {}; told by Xen: {}", entry_text(self.put), entry_text(self.told))
    }
}

impl fmt::Display for Firmware {
    /// `as it is`, or how it was scaled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out.is_empty() && self.added.is_none() {
            return f.write_str(AS_IT_IS);
        }
        let mut parts = Vec::new();
        for (why, reason) in
            [(Why::NotThere, "where the emulated machine has none"), (Why::TooMuch, "which is beyond its size")]
        {
            let ranges: Vec<String> =
                self.left_out.iter().filter(|(_, of)| *of == why).map(|(range, _)| range_text(*range)).collect();
            if !ranges.is_empty() {
                parts.push(format!("without RAM at {}, {reason}", ranges.join(" ")));
            }
        }
        if let Some(added) = self.added {
            let n = usize::try_from(added.len() >> 20).unwrap_or(usize::MAX);
            parts.push(format!("with {} more at {}, for Xen and the guest", count(n, "MiB", "MiB"), range_text(added)));
        }
        write!(f, "scaled: {}", parts.join("; "))
    }
}

fn range_text(range: PhysRange) -> String {
    format!("[{:x},{:x})", range.start.get(), range.end.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(u64, u64, E820Type)]) -> E820Map {
        let mut map = E820Map::new();
        for (start, end, kind) in entries {
            let range = PhysRange::new(PhysAddr::new(*start), PhysAddr::new(*end));
            map.push(E820Entry { range, kind: *kind }).expect("ascending");
        }
        map
    }

    #[track_caller]
    fn check(entries: &[(u64, u64, E820Type)], has_old_board: bool, board: Board, scaled: &str) -> Firmware {
        let firmware = Firmware::new(&map(entries), has_old_board);
        assert_eq!((firmware.board, &*firmware.to_string()), (board, scaled));
        firmware
    }

    const RAM: E820Type = E820Type::Ram;

    #[test]
    fn a_map_that_the_machine_can_have_is_left_as_it_is() {
        check(&[(0x1000, 0xa_0000, RAM), (MIB, 0xe000_0000, RAM)], true, Board::Current, "as it is");
        let high = [(MIB, 0x8000_0000, RAM), (0xfec0_0000, 0xfec0_1000, E820Type::Reserved), (HIGH, 2 * HIGH, RAM)];
        let firmware = check(&high, true, Board::Current, "as it is");
        assert_eq!(firmware.memory(), (WHOLE_GIB_LOW_END + HIGH, WHOLE_GIB_LOW_END));
        check(&[(MIB, 0xdfff_0000, RAM), (HIGH, 2 * HIGH, RAM)], true, Board::Of2013, "as it is");
    }

    #[test]
    fn ram_that_the_machine_has_not_is_left_out_and_named() {
        let crossing = [(MIB, HIGH + MIB, RAM)];
        let told = "scaled: without RAM at [fdf00000,100000000), where the emulated machine has none";
        let firmware = check(&crossing, true, Board::Of2013, told);
        assert_eq!(firmware.ram_bytes(), 0xfdf0_0000 - MIB + MIB);
        let told = "scaled: without RAM at [bff00000,100000000), where the emulated machine has none";
        check(&crossing, false, Board::Current, told);
        let told = "scaled: without RAM at [1080100000,2000000000), which is beyond its size";
        let firmware = check(&[(MIB, 0x8000_0000, RAM), (HIGH, 32 * HIGH, RAM)], true, Board::Current, told);
        assert!(firmware.ram_bytes() <= MOST_RAM_BYTES);
    }

    #[test]
    fn ram_for_xen_is_added_where_nothing_lies() {
        let entries = [(MIB, 0x2000_0000, RAM), (HIGH, HIGH + 0x1000, E820Type::Reserved)];
        let mut firmware = Firmware::new(&map(&entries), true);
        assert_eq!((firmware.add(0), firmware.added), (Some(()), None));
        assert_eq!(firmware.add(1), Some(()));
        assert_eq!(firmware.to_string(), "scaled: with 32 MiB more at [100100000,102100000), for Xen and the guest");
        assert_eq!(firmware.memory(), (WHOLE_GIB_LOW_END + 33 * MIB, WHOLE_GIB_LOW_END));
        let mut full = Firmware::new(&map(&entries), true);
        assert_eq!((full.add(RAM_END), full.added), (None, None));
    }

    #[test]
    fn a_map_differs_unless_it_is_the_same_but_for_xens_devices() {
        let firmware = Firmware::new(&map(&[(0, 0xa_0000, RAM), (MIB, 0x2000_0000, RAM)]), true);
        let apic = |(start, end)| (start, end, E820Type::Reserved);
        let same = map(&[
            (0, 0xa_0000, RAM),
            (MIB, 2 * MIB, RAM),
            (2 * MIB, 0x2000_0000, RAM),
            apic(APICS[0]),
            apic(APICS[1]),
        ]);
        assert_eq!(firmware.difference(same.entries()), None);
        let part = (APICS[0].0, APICS[0].0 + 0x400, E820Type::Reserved);
        let partly = Firmware::new(&map(&[(0, 0xa_0000, RAM), part]), true);
        assert_eq!(partly.difference(map(&[(0, 0xa_0000, RAM), part, apic(APICS[1])]).entries()), None);
        let other = map(&[(0, 0xa_0000, RAM), (MIB, 0x1fff_f000, RAM), apic(APICS[0]), apic(APICS[1])]);
        let difference = firmware.difference(other.entries()).expect("the RAM ends a page earlier");
        assert_eq!(
            difference.to_string(),
            "put before Xen: e820 100000 20000000 1; told by Xen: e820 100000 1ffff000 1"
        );
        let shorter = firmware.difference(&same.entries()[..4]).expect("an entry is missing");
        assert_eq!(shorter.to_string(), "put before Xen: e820 fee00000 fef00000 2; told by Xen: no entry");
    }
}
