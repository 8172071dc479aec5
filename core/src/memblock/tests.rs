// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memblock against drawings, and against a set of bytes that knows nothing of regions.

use super::*;
use proptest::prelude::*;

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::from_numbers(start, end)
}

fn memblock(memory: &[(u64, u64)], reserved: &[(u64, u64)]) -> Memblock {
    let mut memblock = Memblock::new(0x1000);
    memory.iter().for_each(|&(start, end)| memblock.memory.add(range(start, end)));
    reserved.iter().for_each(|&(start, end)| memblock.reserve(range(start, end)));
    memblock
}

#[track_caller]
fn check_find(memblock: &Memblock, window: (u64, u64), size: u64, expected: Option<u64>) {
    let found = memblock.find_in_range(range(window.0, window.1), size, 0x1000);
    assert_eq!(found, expected.map(PhysAddr::new));
}

#[test]
fn the_search_goes_from_the_top_down_below_the_lowest_block_in_the_way() {
    // memory    1000 [--------------------------) 10000
    // reserved              [8000--9000)  [c000--d000)
    let memblock = memblock(&[(0x1000, 0x10000)], &[(0x8000, 0x9000), (0xc000, 0xd000)]);
    check_find(&memblock, (0, 0x10000), 0x3000, Some(0xd000));
    check_find(&memblock, (0, 0x10000), 0x4000, Some(0x4000));
    check_find(&memblock, (0, 0xd000), 0x3000, Some(0x9000));
    check_find(&memblock, (0, 0x10000), 0x8000, None);
}

#[test]
fn the_first_page_is_never_found() {
    check_find(&memblock(&[(0, 0x3000)], &[]), (0, 0x3000), 0x3000, None);
    check_find(&memblock(&[(0, 0x3000)], &[]), (0, 0x3000), 0x2000, Some(0x1000));
}

#[test]
fn a_block_never_spans_two_regions() {
    check_find(&memblock(&[(0x1000, 0x5000), (0x6000, 0x9000)], &[]), (0, 0x9000), 0x4000, Some(0x1000));
}

#[test]
fn next_free_goes_from_the_bottom_up() {
    let memblock = memblock(&[(0x1000, 0x5000), (0x8000, 0xa000)], &[(0x1000, 0x2000), (0x3000, 0x5000)]);
    assert_eq!(memblock.next_free(PhysAddr::default(), 1), Some(range(0x2000, 0x3000)));
    assert_eq!(memblock.next_free(PhysAddr::new(0x2800), 1), Some(range(0x2800, 0x3000)));
    assert_eq!(memblock.next_free(PhysAddr::new(0x3000), 1), Some(range(0x8000, 0xa000)));
    assert_eq!(memblock.next_free(PhysAddr::new(0xa000), 1), None);
}

#[test]
fn the_129th_region_moves_the_array_into_memory_it_manages() {
    let mut memblock = memblock(&[(0x1000, 0x100_0000)], &[]);
    memblock.set_current_limit(PhysAddr::new(0x100_0000));
    for block in 0..127 {
        memblock.reserve(range(0x1000 + block * 0x2000, 0x2000 + block * 0x2000));
    }
    assert_eq!(memblock.reserved().len(), 127);
    memblock.reserve(range(0x80_0000, 0x80_1000));
    assert_eq!(memblock.reserved().len(), 129);
    assert_eq!(memblock.reserved().last(), Some(&range(0xff_f000, 0x100_0000)), "2 * 128 regions of 16 bytes");
}

/// One byte a bool: the plainest allocator there is.
fn bytes_of(ranges: &[PhysRange]) -> Vec<bool> {
    let mut bytes = vec![false; 256];
    for range in ranges {
        for byte in range.start.get()..range.end.get().min(256) {
            bytes[usize::try_from(byte).expect("below 256")] = true;
        }
    }
    bytes
}

proptest! {
    #[test]
    fn reserving_and_freeing_is_set_arithmetic(steps in prop::collection::vec((any::<bool>(), 0u64..250, 1u64..40), 0..40)) {
        let mut memblock = memblock(&[(0, 256)], &[]);
        let mut bytes = vec![false; 256];
        for (is_reserve, start, len) in steps {
            let end = (start + len).min(256);
            if is_reserve { memblock.reserve(range(start, end)) } else { memblock.free(range(start, end)) }
            for byte in start..end {
                bytes[usize::try_from(byte).expect("below 256")] = is_reserve;
            }
            prop_assert_eq!(&bytes_of(memblock.reserved()), &bytes);
            prop_assert!(memblock.reserved().windows(2).all(|pair| pair[0].end < pair[1].start));
            let free: Vec<PhysRange> = memblock.free_ranges(range(0, 256)).collect();
            let flipped: Vec<bool> = bytes.iter().map(|taken| !taken).collect();
            prop_assert_eq!(bytes_of(&free), flipped);
        }
    }
}
