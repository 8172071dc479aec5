// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `misbehaves.rs` does, by number; the number is where the layout's kernel starts.

/// Where the kernel of the act numbered 0 starts, and how far the next ones lie behind.
pub(crate) const FIRST: u64 = 0x100_0000;
pub(crate) const STEP: u64 = 0x20_0000;

/// The first ten are in the order of the stages.
pub(crate) const ACTS: [&str; 32] = [
    "panics at boot",
    "panics at plan",
    "panics at table space",
    "panics at page",
    "panics at access",
    "panics at leaf",
    "panics at write",
    "panics at range done",
    "panics at build done",
    "panics at allocator up",
    "panics twice",
    "overflows the stack",
    "plans without end",
    "prints without end",
    "prints long lines without end",
    "writes to stdout without end",
    "closes 64 descriptors",
    "closes every descriptor",
    "writes garbage to every descriptor",
    "writes a forged record to every descriptor",
    "forks without end",
    "leaves a child in a session of its own",
    "kills its parent",
    "opens files",
    "uses the network",
    "answers overlapping pieces",
    "answers unaligned pieces",
    "answers a huge range",
    "answers a range outside RAM",
    "answers otherwise each time",
    "exits at once",
    "starts a thread",
];
