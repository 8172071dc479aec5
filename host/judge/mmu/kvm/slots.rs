// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which parts of a guest's memory are given to KVM.
//!
//! KVM keeps book of every frame that it is given, up to ten bytes for each, and most of a large machine is touched by
//! nobody. So it is given what the file holds, rounded out to large pages and with small gaps between filled:
//!
//! ```text
//!  file      |##|      |#|   |##|                                |####|
//!  slots     [     0            ]                                [ 1  ]
//! ```

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;

const LARGE_PAGE: u64 = 2 << 20;
/// A gap of so many bytes costs as much to keep book of as a slot does to make.
const SMALL_GAP: u64 = 64 << 20;
/// A slot has fewer than 2^31 pages of 4 KiB.
const MOST_SLOT_BYTES: u64 = 1 << 42;

/// What of the first `bytes` of a file holds anything, as slots, in order.
///
/// # Errors
/// The file cannot be looked through.
pub(super) fn slots(file: &File, bytes: u64) -> io::Result<Vec<Range<u64>>> {
    let mut slots: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < bytes {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < bytes => start,
            Ok(_) | Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(bytes);
        let (first, behind) = (start / LARGE_PAGE * LARGE_PAGE, end.next_multiple_of(LARGE_PAGE).min(bytes));
        match slots.last_mut() {
            Some(last) if first < last.end + SMALL_GAP && behind - last.start <= MOST_SLOT_BYTES => last.end = behind,
            _ => slots.push(first..behind),
        }
        at = behind;
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[track_caller]
    fn check(written: &[u64], bytes: u64, expected: &[(u64, u64)]) {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(bytes).expect("its size");
        for at in written {
            file.write_all_at(b"x", *at).expect("it is written");
        }
        let slots = slots(&file, bytes).expect("it is looked through");
        assert_eq!(slots.iter().map(|slot| (slot.start, slot.end)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_slot_holds_what_was_written_and_small_gaps() {
        check(&[], 1 << 30, &[]);
        check(&[0], 1 << 30, &[(0, LARGE_PAGE)]);
        check(&[5 << 20, 40 << 20], 1 << 30, &[(4 << 20, 42 << 20)]);
        let apart = [(0, LARGE_PAGE), (512 << 20, 514 << 20), ((1 << 30) - LARGE_PAGE, 1 << 30)];
        check(&[4096, (512 << 20) + 1, (1 << 30) - 1], 1 << 30, &apart);
    }

    #[test]
    fn a_slot_is_no_larger_than_kvm_takes() {
        let gap = 60 << 20;
        let written: Vec<u64> = (0..4).map(|n| n * gap).collect();
        check(&written, 1 << 30, &[(0, 3 * gap + LARGE_PAGE)]);
        let ends = [(0, LARGE_PAGE), (MOST_SLOT_BYTES - LARGE_PAGE, MOST_SLOT_BYTES)];
        check(&[0, MOST_SLOT_BYTES - 1], MOST_SLOT_BYTES, &ends);
    }
}
