// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the host finds what it fills in. This file is compiled into both.
//!
//! All fields are little endian. The map is a list of entries of [`ENTRY_BYTES`]: the length of what follows (20, in 4
//! bytes), start and length of the range (8 bytes each), and its type (4 bytes).

/// Where it is loaded: right below Xen.
pub(crate) const BASE: u32 = 0x1f_e000;
/// Its length in bytes.
pub(crate) const BYTES: usize = 0x2000;
/// Where the image's content ends, a field of the header (`load_end_addr`).
pub(crate) const LOAD_END: usize = 20;
/// Where the image ends with what is zero in it (`bss_end_addr`).
pub(crate) const BSS_END: usize = 24;
/// Where to go on: Xen's entry point.
pub(crate) const ENTRY: usize = 0x80;
/// The length of the map in bytes.
pub(crate) const MAP_BYTES: usize = 0x84;
/// The map.
pub(crate) const MAP: usize = 0x88;
/// The length of one of its entries.
pub(crate) const ENTRY_BYTES: usize = 24;
