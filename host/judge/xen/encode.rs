// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests of the model's guest as the real one reads them.

use super::answer::Answer;
use super::wire::{FIRST_ROOT_SLOT, Op, Record, WINDOWS};
use pgtlab_core::geometry::Geometry;
use pgtlab_core::mmu::guest::{Place, Reply, Request};

/// Takes everything back that the records before it did.
pub(super) const RESET: Record = Record { op: Op::Reset, level: 0, slot: 0, number: 0, address: 0, entry: 0 };

/// The address at which an entry of a root's slot begins to map, before sign extension.
const ROOT_SLOT_SHIFT: u32 = 39;
/// The bits of an address that repeat bit 47.
const SIGN: u64 = 0xffff << 48;

/// Where a page is in the guest.
fn address(place: Place) -> u64 {
    let page_shift = Geometry::X86_64.page_shift;
    match place {
        Place::Window(window) => WINDOWS + (u64::from(window) << page_shift),
        Place::Direct(page) => {
            SIGN | (u64::from(FIRST_ROOT_SLOT) << ROOT_SLOT_SHIFT).wrapping_add(page.get() << page_shift)
        }
    }
}

/// The record that asks for the same. Frames beyond 2^32 are none of the guest's: it refuses them.
pub(super) fn record(request: &Request) -> Record {
    let number = |frame: pgtlab_core::addr::Pfn| u32::try_from(frame.get()).unwrap_or(u32::MAX);
    match *request {
        Request::Map { place, entry } => {
            Record { op: Op::MapAddress, address: address(place), entry: entry.bits(), ..RESET }
        }
        Request::Store { place, slot, n, entry } => {
            let (address, entry) = (address(place), entry.bits());
            Record { op: Op::Store, slot, number: n.into(), address, entry, ..RESET }
        }
        Request::Pin { frame, level } => Record { op: Op::Pin, level: level.get(), number: number(frame), ..RESET },
        Request::Unpin(frame) => Record { op: Op::Unpin, number: number(frame), ..RESET },
        Request::SetEntry { frame, slot, entry } => {
            Record { op: Op::SetEntry, slot, number: number(frame), entry: entry.bits(), ..RESET }
        }
        Request::SetRoot { slot, entry } => {
            let slot = slot.saturating_add(FIRST_ROOT_SLOT);
            Record { op: Op::SetRoot, slot, entry: entry.bits(), ..RESET }
        }
        Request::Write { place, slot } => {
            Record { op: Op::Write, address: address(place) + u64::from(slot) * 8, ..RESET }
        }
        Request::Read { place, slot } => {
            Record { op: Op::Read, address: address(place) + u64::from(slot) * 8, ..RESET }
        }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Done => Self::Done,
            Reply::Refused(number) => Self::Refused(u16::try_from(number).unwrap_or(u16::MAX)),
            Reply::Fault(code) => Self::Fault(code),
        }
    }
}
