// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host and the guest say to each other. This file is compiled into both.
//!
//! The host hands over one module: [`MAGIC`], the number of records (8 bytes), then the records, [`Record::BYTES`]
//! each, all numbers little endian. The guest answers on its console, in lines that begin with [`PREFIX`]:
//!
//! ```text
//! pgtlab: e820 START BYTES TYPE            a range of the machine's memory map, as Xen tells it
//! pgtlab: hello pool N                     it is up, and has N frames to give away
//! pgtlab: = ANSWER ANSWER*COUNT ..         the answers to the records, in their order
//! pgtlab: done N                           all N records were answered
//! pgtlab: stopped TEXT                     it cannot go on
//! ```
//!
//! A module that begins with [`BOOT_MAGIC`] has the guest *be* a boot (`boot`): behind it stand the number of frame runs
//! (8 bytes) and the runs ([`FrameRun`]), then the number of records and the records. Their frames are then the boot's
//! own. The first request that is refused and the first access that faults are its end:
//!
//! ```text
//! pgtlab: booted N                         all N records were done
//! pgtlab: refused RECORD ANSWER            what the hypercall returned, and for which record, counted from 0
//! pgtlab: fault RECORD CODE ADDRESS        a page fault
//! ```
//!
//! An answer is four hexadecimal digits: what the hypercall returned, as 16 bits in two's complement, or a fault
//! (see [`FAULT`]).

/// How a module begins.
pub(crate) const MAGIC: [u8; 8] = *b"pgtlab1\n";
/// How the module of a boot begins.
pub(crate) const BOOT_MAGIC: [u8; 8] = *b"pgtboot\n";
/// How a line of the guest's begins.
pub(crate) const PREFIX: &str = "pgtlab: ";
/// The guest's windows: virtual pages that map nothing until a record says what. [`N_WINDOWS`] of them.
pub(crate) const WINDOWS: u64 = 0xffff_ffff_8020_0000;
/// How many windows there are. The guest uses the last one for itself.
pub(crate) const N_WINDOWS: u64 = 512;
/// The first slot of the live root that records may set: Linux's direct map begins there.
pub(crate) const FIRST_ROOT_SLOT: u16 = 272;
/// How many slots of the live root records may set.
pub(crate) const N_ROOT_SLOTS: u16 = 8;
/// An answer from here on, up to [`ELSEWHERE`], is a page fault at the address the record names; its low byte is the
/// error code.
pub(crate) const FAULT: u16 = 0x8000;
/// An answer from here on, up to 0xa000, is a page fault at another address; refusals lie behind (-1 is 0xffff).
pub(crate) const ELSEWHERE: u16 = 0x9000;
/// The bit of an entry by which Linux knows a frame of the machine; such an entry names no frame of the pool, and
/// gets [`MACHINE_FRAME`].
pub(crate) const IO: u64 = 1 << 10;
/// The VGA window: a frame of the machine that dom0 may map.
pub(crate) const MACHINE_FRAME: u64 = 0xa0;
/// The bits of an entry that hold its frame.
pub(crate) const FRAME_BITS: u64 = ((1 << 52) - 1) & !0xfff;

/// What a record asks for. In every entry the frame is a number of the pool, which the guest replaces by the machine
/// frame it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    /// Takes everything back: windows, root slots and pins; each frame is empty again.
    Reset = 0,
    /// `update_va_mapping` of `address`, a window or an address below a root slot, to `entry`.
    MapAddress = 1,
    /// Stores `entry` into `number` slots from `slot` on of the page mapped at `address`; the first fault ends it.
    Store = 2,
    /// `MMUEXT_PIN_L<level>_TABLE` of frame `number`.
    Pin = 3,
    /// `MMUEXT_UNPIN_TABLE` of frame `number`.
    Unpin = 4,
    /// `mmu_update` of `slot` of frame `number` to `entry`.
    SetEntry = 5,
    /// `mmu_update` of `slot` of the live root to `entry`.
    SetRoot = 6,
    /// Flushes the TLB and writes 8 zero bytes at `address`.
    Write = 7,
    /// Flushes the TLB and reads 8 bytes at `address`.
    Read = 8,
    /// Of boots: stores `number` entries as [`Op::Store`] does, the first `entry`, each mapping the frame behind that of
    /// the one before.
    StoreRun = 9,
    /// Of boots: `update_va_mapping` of `number` pages from `address` on, the first to `entry`, each to the frame behind
    /// that of the one before.
    MapRun = 10,
    /// Of boots: writes 8 zero bytes at `address` and at the start of every page behind it that begins before `entry`.
    WriteRange = 11,
    /// Of boots: reads in the same places.
    ReadRange = 12,
    /// Of boots: frame `number`, a table of level 4, gets the entry that maps the guest's own image, is pinned, and
    /// becomes the root that the guest runs on.
    UseRoot = 13,
}

impl Op {
    /// The operation with this number.
    #[must_use]
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Reset,
            1 => Self::MapAddress,
            2 => Self::Store,
            3 => Self::Pin,
            4 => Self::Unpin,
            5 => Self::SetEntry,
            6 => Self::SetRoot,
            7 => Self::Write,
            8 => Self::Read,
            9 => Self::StoreRun,
            10 => Self::MapRun,
            11 => Self::WriteRange,
            12 => Self::ReadRange,
            13 => Self::UseRoot,
            _ => return None,
        })
    }
}

/// One operation; what it means by its numbers is said at [`Op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// What is to be done.
    pub op: Op,
    /// A level, 1 for the tables that map pages.
    pub level: u8,
    /// A slot of a table.
    pub slot: u16,
    /// A frame of the pool, or a count.
    pub number: u32,
    /// A virtual address.
    pub address: u64,
    /// A page-table entry.
    pub entry: u64,
}

impl Record {
    /// The length of one.
    pub(crate) const BYTES: usize = 24;
    /// Its bytes.
    #[must_use]
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.op as u8;
        bytes[1] = self.level;
        bytes[2..4].copy_from_slice(&self.slot.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.address.to_le_bytes());
        bytes[16..].copy_from_slice(&self.entry.to_le_bytes());
        bytes
    }

    /// Reads one; `None` where its operation is none.
    #[must_use]
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let [op, level, s0, s1, n0, n1, n2, n3, a @ ..] = *bytes;
        let [a0, a1, a2, a3, a4, a5, a6, a7, entry @ ..] = a;
        Some(Self {
            op: Op::from_number(op)?,
            level,
            slot: u16::from_le_bytes([s0, s1]),
            number: u32::from_le_bytes([n0, n1, n2, n3]),
            address: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            entry: u64::from_le_bytes(entry),
        })
    }
}

/// Frames of a boot that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameRun {
    /// The first.
    pub first: u64,
    /// How many.
    pub n: u64,
    /// The machine frame of the first; [`OWN`] for the next frames that the domain has.
    pub machine: u64,
}

/// Frames of the domain's own.
pub(crate) const OWN: u64 = u64::MAX;

impl FrameRun {
    /// The length of one.
    pub(crate) const BYTES: usize = 24;
    /// Its bytes.
    #[must_use]
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (bytes, number) in bytes.chunks_exact_mut(8).zip([self.first, self.n, self.machine]) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads one.
    #[must_use]
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (numbers, _) = bytes.as_chunks::<8>();
        let number = |at: usize| u64::from_le_bytes(numbers[at]);
        Self { first: number(0), n: number(1), machine: number(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_frames_is_read_as_it_was_written() {
        let run = FrameRun { first: 0x1e_0000, n: 0x800, machine: OWN };
        assert_eq!(FrameRun::from_bytes(&run.to_bytes()), run);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for number in 0..=u8::MAX {
            let Some(op) = Op::from_number(number) else { continue };
            let record = Record {
                op,
                level: 3,
                slot: 0x1234,
                number: 0x8765_4321,
                address: WINDOWS,
                entry: 0x8000_0000_0000_1067,
            };
            assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        }
        let mut none = Record { op: Op::Reset, level: 0, slot: 0, number: 0, address: 0, entry: 0 }.to_bytes();
        none[0] = u8::MAX;
        assert_eq!(Record::from_bytes(&none), None);
    }
}
