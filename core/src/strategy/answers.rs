// SPDX-License-Identifier: MIT OR Apache-2.0
//! The questions and answers that pass between builder and strategy, as plain data.

use super::{Context, Facts};
use crate::addr::{Pfn, PfnRange};
use bitflags::bitflags;

/// A named step of the builder at which a strategy may decide. The numbers are part of the plugin
/// interface and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Stage {
    /// Before anything.
    Boot = 10,
    /// The next range is chosen.
    Plan = 20,
    /// Table pages are set aside for the range.
    TableSpace = 30,
    /// One table page is chosen.
    Page = 40,
    /// A table page is about to be written.
    Access = 50,
    /// Leaves are about to be made.
    Leaf = 60,
    /// Entries are about to be written.
    Write = 70,
    /// A range was filled.
    RangeDone = 80,
    /// All ranges were filled.
    BuildDone = 90,
    /// The consumers have run.
    AllocatorUp = 100,
}

impl Stage {
    /// Every stage, in the order of a boot.
    pub const ALL: [Self; 10] = [
        Self::Boot,
        Self::Plan,
        Self::TableSpace,
        Self::Page,
        Self::Access,
        Self::Leaf,
        Self::Write,
        Self::RangeDone,
        Self::BuildDone,
        Self::AllocatorUp,
    ];

    /// The stage's name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Plan => "plan",
            Self::TableSpace => "table space",
            Self::Page => "page",
            Self::Access => "access",
            Self::Leaf => "leaf",
            Self::Write => "write",
            Self::RangeDone => "range done",
            Self::BuildDone => "build done",
            Self::AllocatorUp => "allocator up",
        }
    }

    /// The number it has in the plugin interface.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The stage with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.number() == number)
    }
}

/// Table space as one buffer of pages: used `[start, end)`, spare `[end, top)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PgtBuf {
    /// First page.
    pub start: Pfn,
    /// The page that is handed out next.
    pub end: Pfn,
    /// The page behind the buffer.
    pub top: Pfn,
}

impl PgtBuf {
    /// A buffer of which nothing is used yet.
    #[must_use]
    pub const fn unused(pages: PfnRange) -> Self {
        Self { start: pages.start, end: pages.start, top: pages.end }
    }

    /// The pages that became tables.
    #[must_use]
    pub const fn used(&self) -> PfnRange {
        PfnRange::new(self.start, self.end)
    }

    /// The pages that did not.
    #[must_use]
    pub const fn spare(&self) -> PfnRange {
        PfnRange::new(self.end, self.top)
    }
}

/// A pool of BRK pages set aside for tables: handed out `[start, next)`, left `[next, end)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Pool {
    /// First page.
    pub start: Pfn,
    /// The page that is handed out next.
    pub next: Pfn,
    /// The page behind the pool.
    pub end: Pfn,
}

impl Pool {
    /// All its pages.
    #[must_use]
    pub const fn pages(&self) -> PfnRange {
        PfnRange::new(self.start, self.end)
    }

    /// The pages not handed out yet.
    #[must_use]
    pub const fn rest(&self) -> PfnRange {
        PfnRange::new(self.next, self.end)
    }
}

/// What maps memory natively before the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeMap {
    /// The first GiB in one table of 2 MiB leaves, written by the boot code.
    FirstGib,
    /// Nothing; an early page-fault handler maps what is touched, until the build is done.
    OnDemand,
}

/// What Linux does with the root frames of the domain builder's tables once it has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuilderFrames {
    /// They stay read-only and reserved.
    Kept,
    /// They become ordinary memory.
    GivenBack,
}

/// Whether entries follow the p2m where it is not ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum P2mUse {
    /// Invalid frames get no entry, identity frames the IO bit.
    Honoured,
    /// Every frame gets an ordinary entry.
    Ignored,
}

/// The kernel's first idea of how far memory is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxPfnMapped {
    /// Natively the end of the boot map; under Xen the page of the mfn list.
    BootMap,
    /// Natively the end of the boot map; under Xen the last page of the identity extension.
    IdentityMap,
    /// Natively nothing; under Xen the page of the mfn list.
    Nothing,
}

/// How node data is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeData {
    /// For each node, looking through its memory from the last region to the first.
    PerNodeFromLast,
    /// For each node, looking through its memory from the first region to the last.
    PerNodeFromFirst,
    /// Once, for node 0, as high as memory is mapped.
    Once,
}

/// When `memtest=` writes to free memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memtest {
    /// After each range, over that range.
    PerRange,
    /// After the build, over all that is mapped.
    Once,
}

/// What the boot code left, and who uses memory after the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// What maps memory natively.
    pub native_map: NativeMap,
    /// BRK pages that extend Xen's map by one table each.
    pub identity_tables: u64,
    /// What becomes of the root frames of Xen's tables.
    pub builder_frames: BuilderFrames,
    /// Whether the p2m is followed.
    pub p2m: P2mUse,
    /// How far memory is mapped to begin with.
    pub max_pfn_mapped: MaxPfnMapped,
    /// BRK pages set aside as a pool for tables.
    pub pool_pages: u64,
    /// How node data is placed.
    pub node_data: NodeData,
    /// Whether the range array of `memblock_find_dma_reserve` is made.
    pub has_range_array: bool,
    /// When memtest runs, if it does.
    pub memtest: Memtest,
}

impl Boot {
    /// The boot tables and consumers of Linux 2.6.39.
    #[must_use]
    pub const fn new(facts: &Facts) -> Self {
        Self {
            native_map: NativeMap::FirstGib,
            identity_tables: facts.geometry.identity_table_pages,
            builder_frames: BuilderFrames::Kept,
            p2m: P2mUse::Honoured,
            max_pfn_mapped: MaxPfnMapped::BootMap,
            pool_pages: 0,
            node_data: NodeData::PerNodeFromLast,
            has_range_array: true,
            memtest: Memtest::PerRange,
        }
    }
}

bitflags! {
    /// Leaf sizes beyond 4 KiB that a piece may use. The bits are independent, as in the kernel's masks.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct PageSizes: u32 {
        /// 2 MiB leaves.
        const M2 = 1 << 2;
        /// 1 GiB leaves.
        const G1 = 1 << 3;
    }
}

/// A part of a range that is mapped with the same choice of leaf sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its pages.
    pub pages: PfnRange,
    /// The leaf sizes that may be used besides 4 KiB.
    pub sizes: PageSizes,
}

/// What the fill does with entries of the tables it is in, outside the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEnd {
    /// Zeroes those behind its end, in the tables of levels 1 and 2.
    Clear,
    /// Zeroes those behind its end under which the firmware's map has no memory, at every level but the
    /// root's.
    ClearHoles,
    /// The same, and those before its start too.
    ClearHolesAround,
}

/// What the fill does with a whole GiB of which the firmware's map says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEmptyGib {
    /// Drops its entry.
    Drop,
    /// Maps it like any other.
    Map,
}

/// Whether a large leaf that is kept counts as mapped by the fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptLarge {
    /// It does not: the last mapped address stays.
    IsPassed,
    /// The last mapped address moves to its end.
    MovesLast,
}

/// What becomes of a large leaf that a piece lies in and does not fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitLarge {
    /// Only what the piece maps is mapped by the new table.
    DropsRest,
    /// All that the leaf mapped is mapped by the new table, with the leaf's own bits.
    KeepsRest,
}

/// A range to be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its pages.
    pub pages: PfnRange,
    /// How it is cut, ascending.
    pub pieces: Vec<Piece>,
    /// What becomes of entries behind a piece.
    pub past_end: PastEnd,
    /// What becomes of a GiB without any firmware entry.
    pub on_empty_gib: OnEmptyGib,
    /// Whether kept large leaves count.
    pub kept_large: KeptLarge,
    /// What becomes of a large leaf that is split.
    pub split_large: SplitLarge,
}

impl Range {
    /// A range filled the way Linux 2.6.39 fills it.
    #[must_use]
    pub const fn new(pages: PfnRange, pieces: Vec<Piece>) -> Self {
        Self {
            pages,
            pieces,
            past_end: PastEnd::Clear,
            on_empty_gib: OnEmptyGib::Drop,
            kept_large: KeptLarge::IsPassed,
            split_large: SplitLarge::DropsRest,
        }
    }
}

/// The answer to "what next?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// This range.
    Map(Range),
    /// Nothing: the build is done.
    Done,
}

/// Where the table pages of a range come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableSpace {
    /// These pages, in their order.
    Buffer(PfnRange),
    /// One by one, as [`super::Strategy::page`] answers.
    PageByPage {
        /// Whether the pool may be used.
        uses_pool: bool,
        /// Where other pages are looked for; also what the trace prints as mapped.
        window: PfnRange,
    },
    /// From nowhere: the kernel gives up with this text.
    Panic(String),
}

/// A table page is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PageQuestion {
    /// Whether the pool may be used for this range.
    pub uses_pool: bool,
    /// Where other pages are looked for.
    pub window: PfnRange,
    /// The pool.
    pub pool: Pool,
}

impl PageQuestion {
    /// The pool's next page if it may be used, else the highest free page of the window, reserved at once.
    #[must_use]
    pub fn default_page(&self, cx: &Context<'_>) -> Page {
        if self.uses_pool && !self.pool.rest().is_empty() {
            return Page::Take(self.pool.next);
        }
        match cx.find_free_pages(self.window, 1) {
            Some(pages) => Page::TakeAndReserve(pages.start),
            None => Page::Panic("alloc_low_page: can not alloc memory".to_owned()),
        }
    }
}

/// The table page to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// This one.
    Take(Pfn),
    /// This one, which is reserved in memblock at once.
    TakeAndReserve(Pfn),
    /// None: the kernel gives up with this text.
    Panic(String),
}

/// The mapping through which a table page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Alias {
    /// A slot of the fixmap, made for it (`early_ioremap`).
    Fixmap = 1,
    /// Its address in the direct map.
    DirectMap = 2,
}

/// How a table page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Through which mapping.
    pub alias: Alias,
    /// Whether a fixmap slot made for it is writable.
    pub is_writable: bool,
}

impl Access {
    /// Through the direct map.
    pub const DEFAULT: Self = Self { alias: Alias::DirectMap, is_writable: true };
}

/// A run of leaves is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct LeafQuestion {
    /// The pages they map; at most one table's.
    pub pages: PfnRange,
    /// The table space as it stands.
    pub buf: PgtBuf,
}

/// Entries are about to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct WriteQuestion {
    /// The pages they map.
    pub pages: PfnRange,
    /// Whether it is a slot of the fixmap.
    pub is_fixmap: bool,
    /// The table space as it stands.
    pub buf: PgtBuf,
}

/// A range was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RangeDone {
    /// The range's pages.
    pub pages: PfnRange,
    /// The table space as the fill left it.
    pub buf: PgtBuf,
    /// Where the fill came to (`last_map_addr`), which may lie past the range.
    pub last_mapped: Pfn,
}
