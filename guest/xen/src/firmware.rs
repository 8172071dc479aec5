// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints the machine's memory map, as Xen tells it to the domain that has the machine.

use crate::console::say;
use crate::hypercall::{MemoryRange, memory_map};
use crate::stop;

/// More ranges than any machine's firmware tells of.
const MOST_RANGES: usize = 512;

/// Asks for the map and prints it, a line for each range.
pub(crate) fn tell() {
    let mut ranges = [MemoryRange { start: 0, bytes: 0, kind: 0 }; MOST_RANGES];
    let n = memory_map(&mut ranges);
    if n < 0 || ranges.len() as i64 <= n {
        stop(format_args!("the memory map is not to be had: {n}"));
    }
    for MemoryRange { start, bytes, kind } in ranges.into_iter().take(n as usize) {
        say(format_args!("e820 {start:x} {bytes:x} {kind}"));
    }
}
