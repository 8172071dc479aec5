// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the permission map says of a page against what the processor did.

use super::image::without_notes;
use super::wire::{EXCEPTION, PAGE_FAULT, Probe};
use pgtlab_core::addr::Pfn;
use pgtlab_core::entry::Grants;
use pgtlab_core::ops::{FAULT_FETCH, FAULT_PRESENT, FAULT_WRITE};
use pgtlab_core::permission::PermissionMap;
use std::fmt;

/// What the map says of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The frame behind it, if it is mapped.
    pub frame: Option<u64>,
    /// What it grants.
    grants: Grants,
}

impl Expected {
    /// Looks a page up.
    #[must_use]
    pub fn of(map: &PermissionMap, page: Pfn) -> Self {
        match map.at(page) {
            Some(mapping) => {
                Self { frame: Some(mapping.frame + page.offset_from(mapping.pages.start)), grants: mapping.grants }
            }
            None => Self { frame: None, grants: Grants::empty() },
        }
    }

    /// Whether it is mapped without the right to write.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.frame.is_some() && !self.grants.contains(Grants::WRITE)
    }

    /// What an access meets: a page fault with this error code, or none. Intel SDM vol. 3A, "Page-Fault Exceptions": with
    /// no-execute in force a fetch says so also where nothing is mapped.
    fn meets(&self, access: Access) -> Met {
        let present = if self.frame.is_some() { FAULT_PRESENT } else { 0 };
        let (needed, kind) = match access {
            Access::Read => (Grants::READ, 0),
            Access::Write => (Grants::WRITE, FAULT_WRITE),
            Access::Fetch => (Grants::EXECUTE, FAULT_FETCH),
        };
        if self.grants.contains(needed) { Met::Nothing } else { Met::Fault(present | kind) }
    }
}

/// A kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Executing.
    Fetch,
}

/// What came of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It was done.
    Nothing,
    /// A page fault at its own address, with this error code.
    Fault(u32),
    /// A page fault somewhere else.
    FaultAt {
        /// The error code.
        error: u32,
        /// CR2.
        address: u64,
    },
    /// Another exception.
    Exception(u64),
}

/// Where the processor and the map differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An access came to something else.
    Access {
        /// The page of the direct map.
        page: Pfn,
        /// The access.
        access: Access,
        /// What the map says of it.
        expected: Met,
        /// What came.
        got: Met,
    },
    /// Another frame was read.
    Frame {
        /// The page of the direct map.
        page: Pfn,
        /// What stands in the frame that the map names.
        expected: u64,
        /// What was read.
        got: u64,
    },
    /// A table is not what it was before it was tried.
    TableChanged(Pfn),
}

/// The differences at one page. `content` is what stands in the frame behind it.
#[must_use]
pub(super) fn compare(page: Pfn, expected: &Expected, content: Option<u64>, probe: &Probe) -> Vec<Difference> {
    let met = [
        (Access::Read, met(Access::Read, probe.read, probe.read_at, probe.data)),
        (Access::Write, met(Access::Write, probe.write, probe.write_at, probe.data)),
        (Access::Fetch, met(Access::Fetch, probe.fetch, probe.fetch_at, probe.code)),
    ];
    let accesses = met.into_iter().filter_map(|(access, got)| {
        let expected = expected.meets(access);
        (expected != got).then_some(Difference::Access { page, access, expected, got })
    });
    let wrong =
        content.filter(|content| met[0].1 == Met::Nothing && without_notes(*content) != without_notes(probe.seen));
    let frame = wrong.map(|expected| Difference::Frame { page, expected, got: probe.seen });
    accesses.chain(frame).collect()
}

/// What came of an access, from what the guest noted. An instruction was executed whatever exception it raised, but for
/// a page fault at its own fetch.
fn met(access: Access, outcome: u64, address: u64, own: u64) -> Met {
    let vector = outcome >> 32 & 0xff;
    let error = u32::try_from(outcome & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    let is_fault = outcome & EXCEPTION != 0 && vector == PAGE_FAULT;
    if access == Access::Fetch {
        return if is_fault && error & FAULT_FETCH != 0 { fault(error, address, own) } else { Met::Nothing };
    }
    match outcome & EXCEPTION {
        0 => Met::Nothing,
        _ if is_fault => fault(error, address, own),
        _ => Met::Exception(vector),
    }
}

const fn fault(error: u32, address: u64, own: u64) -> Met {
    if address == own { Met::Fault(error) } else { Met::FaultAt { error, address } }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Fetch => "executing",
        })
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no fault"),
            Self::Fault(error) => write!(f, "a page fault with error code {error}"),
            Self::FaultAt { error, address } => write!(f, "a page fault with error code {error} at {address:#x}"),
            Self::Exception(vector) => write!(f, "exception {vector}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access { page, access, expected, got } => {
                write!(f, "{access} page {page:x}: expected {expected}, got {got}")
            }
            Self::Frame { page, expected, got } => {
                write!(f, "reading page {page:x}: expected the frame that holds {expected:#x}, got one with {got:#x}")
            }
            Self::TableChanged(table) => write!(f, "the table at {table:x} was changed while it was tried"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: u64 = 0xffff_8800_0000_0ff8;
    const CODE: u64 = 0xffff_8800_0000_0000;
    const DEBUG: u64 = EXCEPTION | 1 << 32;

    fn expected(grants: Grants) -> Expected {
        Expected { frame: (!grants.is_empty()).then_some(7), grants }
    }

    fn fault_of(error: u32) -> u64 {
        EXCEPTION | PAGE_FAULT << 32 | u64::from(error)
    }

    fn probe(read: u64, write: u64, fetch: u64) -> Probe {
        let at = |outcome: u64, address| if outcome >> 32 & 0xff == PAGE_FAULT { address } else { 0 };
        let (read_at, write_at, fetch_at) = (at(read, DATA), at(write, DATA), at(fetch, CODE));
        Probe { data: DATA, code: CODE, seen: 70, read, read_at, write, write_at, fetch, fetch_at }
    }

    #[track_caller]
    fn check(grants: Grants, probe: &Probe, differences: &[&str]) {
        let expected = expected(grants);
        let found = compare(Pfn::new(0x123), &expected, expected.frame.map(|_| 70), probe);
        assert_eq!(found.iter().map(Difference::to_string).collect::<Vec<_>>(), differences);
    }

    #[test]
    fn every_permission_has_its_error_codes() {
        check(Grants::empty(), &probe(fault_of(0), fault_of(2), fault_of(16)), &[]);
        check(Grants::READ, &probe(0, fault_of(3), fault_of(17)), &[]);
        check(Grants::READ | Grants::WRITE, &probe(0, 0, fault_of(17)), &[]);
        check(Grants::READ | Grants::EXECUTE, &probe(0, fault_of(3), DEBUG), &[]);
        check(Grants::READ | Grants::WRITE | Grants::EXECUTE, &probe(0, 0, DEBUG), &[]);
    }

    #[test]
    fn an_instruction_that_raises_something_was_executed() {
        let undefined = EXCEPTION | 6 << 32;
        check(Grants::READ | Grants::EXECUTE, &probe(0, fault_of(3), undefined), &[]);
        let mut elsewhere = probe(0, fault_of(3), fault_of(2));
        elsewhere.fetch_at = 0x10;
        check(Grants::READ | Grants::EXECUTE, &elsewhere, &[]);
    }

    #[test]
    fn what_differs_is_told() {
        check(
            Grants::READ,
            &probe(0, 0, DEBUG),
            &[
                "writing page 123: expected a page fault with error code 3, got no fault",
                "executing page 123: expected a page fault with error code 17, got no fault",
            ],
        );
        let mut other_address = probe(0, fault_of(3), fault_of(17));
        other_address.write_at = 0x5000;
        check(
            Grants::READ,
            &other_address,
            &[
                "writing page 123: expected a page fault with error code 3, got a page fault with error code 3 at 0x5000",
            ],
        );
        let mut other_frame = probe(0, fault_of(3), fault_of(17));
        other_frame.seen = 71;
        check(Grants::READ, &other_frame, &["reading page 123: expected the frame that holds 0x46, got one with 0x47"]);
    }
}
