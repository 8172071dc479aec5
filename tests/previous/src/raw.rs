// SPDX-License-Identifier: MIT OR Apache-2.0
//! What crosses the border, as it was in interface 1.0.

use abi_stable::StableAbi;
use abi_stable::std_types::{RString, RVec};

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawGeometry {
    pub page_shift: u32,
    pub table_shift: u32,
    pub levels: u8,
    pub isa_start: u64,
    pub isa_end: u64,
    pub low_end: u64,
    pub low_tables_start: u64,
    pub trampoline_bytes: u64,
    pub node_data_bytes: u64,
    pub node_data_align: u64,
    pub node_data_start: u64,
    pub node_min_bytes: u64,
    pub zone_align: u64,
    pub range_entry_bytes: u64,
    pub static_table_pages: u64,
    pub identity_table_pages: u64,
    pub pool_pages: u64,
    pub crashkernel_end: u64,
    pub phys_end: u64,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawSwitches {
    pub pse: u8,
    pub gbpages: u8,
    pub nx: u8,
    pub pge: u8,
    pub trampoline: u8,
    pub numa: u8,
    pub memtest: u8,
    pub dom0: u8,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawPgtBuf {
    pub start: u64,
    pub end: u64,
    pub top: u64,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawPool {
    pub start: u64,
    pub next: u64,
    pub end: u64,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawLastRange {
    pub pages: Span,
    pub last_mapped: u64,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawFacts {
    pub geometry: RawGeometry,
    pub switches: RawSwitches,
    pub kernel: Span,
    pub brk: u64,
    pub max_pfn: u64,
    pub max_low_pfn: u64,
    pub max_pfn_mapped: u64,
    pub buf: RawPgtBuf,
    pub pool: RawPool,
    pub ranges_done: u64,
    pub last: RawLastRange,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawE820Entry {
    pub range: Span,
    pub kind: u32,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawNode {
    pub id: u32,
    pub range: Span,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawBoot {
    pub native_map: u32,
    pub identity_tables: u64,
    pub builder_frames: u32,
    pub p2m: u32,
    pub max_pfn_mapped: u32,
    pub pool_pages: u64,
    pub node_data: u32,
    pub has_range_array: u8,
    pub memtest: u32,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawPiece {
    pub pages: Span,
    pub sizes: u32,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawPageQuestion {
    pub uses_pool: u8,
    pub window: Span,
    pub pool: RawPool,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawAccessQuestion {
    pub table: u64,
    pub is_new: u8,
    pub buf: RawPgtBuf,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawAccess {
    pub alias: u32,
    pub is_writable: u8,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawLeafQuestion {
    pub pages: Span,
    pub buf: RawPgtBuf,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawWriteQuestion {
    pub pages: Span,
    pub is_fixmap: u8,
    pub buf: RawPgtBuf,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawRangeDone {
    pub pages: Span,
    pub buf: RawPgtBuf,
    pub last_mapped: u64,
}

#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawRange {
    pub pages: Span,
    pub pieces: RVec<RawPiece>,
    pub past_end: u32,
    pub on_empty_gib: u32,
    pub kept_large: u32,
    pub split_large: u32,
    #[cfg(feature = "changed-field")]
    pub more: u32,
}

#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawPlan {
    pub kind: u32,
    pub range: RawRange,
}

#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawTableSpace {
    pub kind: u32,
    pub uses_pool: u8,
    pub pages: Span,
    pub text: RString,
}

#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawPage {
    pub kind: u32,
    pub page: u64,
    pub text: RString,
}

#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawFault {
    pub kind: u32,
    pub text: RString,
    pub place: RString,
}
