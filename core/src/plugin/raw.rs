// SPDX-License-Identifier: MIT OR Apache-2.0
//! What crosses the border: C layouts of plain integers, and how the model's types become them.
#![expect(unsafe_code, reason = "what `StableAbi` expands to, and two views of a slice as another type")]

use super::numbers::{FaultKind, PageKind, PlanKind, SpaceKind};
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::e820::{E820Entry, E820Type};
use crate::geometry::Geometry;
use crate::layout::{Node, Switches};
use crate::strategy::{
    Access, Alias, Boot, BuilderFrames, Facts, KeptLarge, LastRange, LeafQuestion, MaxPfnMapped, Memtest, NativeMap,
    NodeData, OnEmptyGib, P2mUse, Page, PageQuestion, PageSizes, PastEnd, PgtBuf, Piece, Plan, Pool, Range, RangeDone,
    SplitLarge, TableSpace, WriteQuestion,
};
use abi_stable::StableAbi;
use abi_stable::std_types::{RString, RVec};

/// A number that stands for nothing on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("number {number} is no {of}")]
pub(super) struct UnknownNumber {
    pub(super) of: &'static str,
    pub(super) number: u64,
}

/// A type of the model that crosses the border as a C layout.
pub(super) trait Wire: Sized {
    /// What crosses.
    type Raw;
    fn to_raw(&self) -> Self::Raw;
    fn from_raw(raw: Self::Raw) -> Result<Self, UnknownNumber>;
}

macro_rules! number {
    ($($model:ty => $raw:ty, $into:expr, $from:expr;)+) => {
        $(impl Wire for $model {
            type Raw = $raw;

            #[inline]
            fn to_raw(&self) -> $raw {
                $into(*self)
            }

            #[inline]
            fn from_raw(raw: $raw) -> Result<Self, UnknownNumber> {
                Ok($from(raw))
            }
        })+
    };
}

number! {
    u8 => u8, |n| n, |n| n;
    u32 => u32, |n| n, |n| n;
    u64 => u64, |n| n, |n| n;
    bool => u8, u8::from, |n| n != 0;
    Pfn => u64, Self::get, Self::new;
    PhysAddr => u64, Self::get, Self::new;
    PfnRange => Span, |range: Self| Span { start: range.start.get(), end: range.end.get() },
        |span: Span| Self::from_numbers(span.start, span.end);
    PhysRange => Span, |range: Self| Span { start: range.start.get(), end: range.end.get() },
        |span: Span| Self::from_numbers(span.start, span.end);
}

/// A half-open range of pages or of bytes; the same layout as [`PfnRange`] and [`PhysRange`].
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

const _: () = assert!(
    size_of::<Span>() == size_of::<PhysRange>()
        && align_of::<Span>() == align_of::<PhysRange>()
        && std::mem::offset_of!(Span, end) == std::mem::offset_of!(PhysRange, end)
);

/// Ranges of bytes as they cross, where they lie.
pub(super) const fn as_spans(ranges: &[PhysRange]) -> &[Span] {
    // SAFETY: both types are two `u64` with C layout (checked above), and every pair of numbers is a value
    // of either; length and lifetime are those of `ranges`.
    unsafe { std::slice::from_raw_parts(ranges.as_ptr().cast(), ranges.len()) }
}

/// Ranges of bytes as they came, where they lie.
pub(super) const fn as_ranges(spans: &[Span]) -> &[PhysRange] {
    // SAFETY: as in `as_spans`, the other way round.
    unsafe { std::slice::from_raw_parts(spans.as_ptr().cast(), spans.len()) }
}

macro_rules! mirror {
    ($(#[$doc:meta])* $raw:ident of $model:ty { $($field:ident: $type:ty => $crosses:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(StableAbi, Clone, Copy, Debug)]
        pub struct $raw {
            $(pub $field: $crosses),+
        }

        impl Wire for $model {
            type Raw = $raw;

            #[inline]
            fn to_raw(&self) -> $raw {
                $raw { $($field: <$type as Wire>::to_raw(&self.$field)),+ }
            }

            #[inline]
            fn from_raw(raw: $raw) -> Result<Self, UnknownNumber> {
                Ok(Self { $($field: <$type as Wire>::from_raw(raw.$field)?),+ })
            }
        }
    };
}

mirror! {
    /// See [`Geometry`].
    RawGeometry of Geometry {
        page_shift: u32 => u32,
        table_shift: u32 => u32,
        levels: u8 => u8,
        isa_start: PhysAddr => u64,
        isa_end: PhysAddr => u64,
        low_end: PhysAddr => u64,
        low_tables_start: PhysAddr => u64,
        trampoline_bytes: u64 => u64,
        node_data_bytes: u64 => u64,
        node_data_align: u64 => u64,
        node_data_start: PhysAddr => u64,
        node_min_bytes: u64 => u64,
        zone_align: u64 => u64,
        range_entry_bytes: u64 => u64,
        static_table_pages: u64 => u64,
        identity_table_pages: u64 => u64,
        pool_pages: u64 => u64,
        crashkernel_end: PhysAddr => u64,
        phys_end: PhysAddr => u64,
    }
}

mirror! {
    /// See [`Switches`].
    RawSwitches of Switches {
        pse: bool => u8,
        gbpages: bool => u8,
        nx: bool => u8,
        pge: bool => u8,
        trampoline: bool => u8,
        numa: bool => u8,
        memtest: bool => u8,
        dom0: bool => u8,
    }
}

mirror! {
    /// See [`PgtBuf`].
    RawPgtBuf of PgtBuf { start: Pfn => u64, end: Pfn => u64, top: Pfn => u64 }
}

mirror! {
    /// See [`Pool`].
    RawPool of Pool { start: Pfn => u64, next: Pfn => u64, end: Pfn => u64 }
}

mirror! {
    /// See [`LastRange`].
    RawLastRange of LastRange { pages: PfnRange => Span, last_mapped: Pfn => u64 }
}

mirror! {
    /// See [`Facts`].
    RawFacts of Facts {
        geometry: Geometry => RawGeometry,
        switches: Switches => RawSwitches,
        kernel: PhysRange => Span,
        brk: PhysAddr => u64,
        max_pfn: Pfn => u64,
        max_low_pfn: Pfn => u64,
        max_pfn_mapped: Pfn => u64,
        buf: PgtBuf => RawPgtBuf,
        pool: Pool => RawPool,
        ranges_done: u64 => u64,
        last: LastRange => RawLastRange,
    }
}

mirror! {
    /// See [`E820Entry`].
    RawE820Entry of E820Entry { range: PhysRange => Span, kind: E820Type => u32 }
}

mirror! {
    /// See [`Node`].
    RawNode of Node { id: u32 => u32, range: PhysRange => Span }
}

mirror! {
    /// See [`Boot`].
    RawBoot of Boot {
        native_map: NativeMap => u32,
        identity_tables: u64 => u64,
        builder_frames: BuilderFrames => u32,
        p2m: P2mUse => u32,
        max_pfn_mapped: MaxPfnMapped => u32,
        pool_pages: u64 => u64,
        node_data: NodeData => u32,
        has_range_array: bool => u8,
        memtest: Memtest => u32,
    }
}

mirror! {
    /// See [`Piece`].
    RawPiece of Piece { pages: PfnRange => Span, sizes: PageSizes => u32 }
}

mirror! {
    /// See [`PageQuestion`].
    RawPageQuestion of PageQuestion { uses_pool: bool => u8, window: PfnRange => Span, pool: Pool => RawPool }
}

/// What [`crate::strategy::Strategy::access`] is asked.
pub(super) struct AccessQuestion {
    pub(super) table: Pfn,
    pub(super) is_new: bool,
    pub(super) buf: PgtBuf,
}

mirror! {
    /// What is asked at stage access.
    RawAccessQuestion of AccessQuestion { table: Pfn => u64, is_new: bool => u8, buf: PgtBuf => RawPgtBuf }
}

mirror! {
    /// See [`Access`].
    RawAccess of Access { alias: Alias => u32, is_writable: bool => u8 }
}

mirror! {
    /// See [`LeafQuestion`].
    RawLeafQuestion of LeafQuestion { pages: PfnRange => Span, buf: PgtBuf => RawPgtBuf }
}

mirror! {
    /// See [`WriteQuestion`].
    RawWriteQuestion of WriteQuestion { pages: PfnRange => Span, is_fixmap: bool => u8, buf: PgtBuf => RawPgtBuf }
}

mirror! {
    /// See [`RangeDone`].
    RawRangeDone of RangeDone { pages: PfnRange => Span, buf: PgtBuf => RawPgtBuf, last_mapped: Pfn => u64 }
}

/// See [`Range`].
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawRange {
    pub pages: Span,
    pub pieces: RVec<RawPiece>,
    pub past_end: u32,
    pub on_empty_gib: u32,
    pub kept_large: u32,
    pub split_large: u32,
}

impl Wire for Range {
    type Raw = RawRange;

    fn to_raw(&self) -> RawRange {
        RawRange {
            pages: self.pages.to_raw(),
            pieces: self.pieces.iter().map(Wire::to_raw).collect(),
            past_end: self.past_end.to_raw(),
            on_empty_gib: self.on_empty_gib.to_raw(),
            kept_large: self.kept_large.to_raw(),
            split_large: self.split_large.to_raw(),
        }
    }

    fn from_raw(raw: RawRange) -> Result<Self, UnknownNumber> {
        Ok(Self {
            pages: PfnRange::from_raw(raw.pages)?,
            pieces: raw.pieces.into_iter().map(Piece::from_raw).collect::<Result<_, _>>()?,
            past_end: PastEnd::from_raw(raw.past_end)?,
            on_empty_gib: OnEmptyGib::from_raw(raw.on_empty_gib)?,
            kept_large: KeptLarge::from_raw(raw.kept_large)?,
            split_large: SplitLarge::from_raw(raw.split_large)?,
        })
    }
}

/// See [`Plan`].
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawPlan {
    pub kind: u32,
    pub range: RawRange,
}

impl Wire for Plan {
    type Raw = RawPlan;

    fn to_raw(&self) -> RawPlan {
        match self {
            Self::Map(range) => RawPlan { kind: PlanKind::Map.to_raw(), range: range.to_raw() },
            Self::Done => {
                let nothing = Range::new(PfnRange::default(), Vec::new());
                RawPlan { kind: PlanKind::Done.to_raw(), range: nothing.to_raw() }
            }
        }
    }

    fn from_raw(raw: RawPlan) -> Result<Self, UnknownNumber> {
        match PlanKind::from_raw(raw.kind)? {
            PlanKind::Map => Range::from_raw(raw.range).map(Self::Map),
            PlanKind::Done => Ok(Self::Done),
        }
    }
}

/// See [`TableSpace`].
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawTableSpace {
    pub kind: u32,
    pub uses_pool: u8,
    pub pages: Span,
    pub text: RString,
}

impl Wire for TableSpace {
    type Raw = RawTableSpace;

    fn to_raw(&self) -> RawTableSpace {
        let empty = PfnRange::default();
        let (kind, uses_pool, pages, text) = match self {
            Self::Buffer(pages) => (SpaceKind::Buffer, false, *pages, ""),
            Self::PageByPage { uses_pool, window } => (SpaceKind::PageByPage, *uses_pool, *window, ""),
            Self::Panic(text) => (SpaceKind::Panic, false, empty, text.as_str()),
        };
        RawTableSpace {
            kind: kind.to_raw(),
            uses_pool: uses_pool.to_raw(),
            pages: pages.to_raw(),
            text: RString::from(text),
        }
    }

    fn from_raw(raw: RawTableSpace) -> Result<Self, UnknownNumber> {
        let pages = PfnRange::from_raw(raw.pages)?;
        Ok(match SpaceKind::from_raw(raw.kind)? {
            SpaceKind::Buffer => Self::Buffer(pages),
            SpaceKind::PageByPage => Self::PageByPage { uses_pool: bool::from_raw(raw.uses_pool)?, window: pages },
            SpaceKind::Panic => Self::Panic(raw.text.into_string()),
        })
    }
}

/// See [`Page`].
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawPage {
    pub kind: u32,
    pub page: u64,
    pub text: RString,
}

impl Wire for Page {
    type Raw = RawPage;

    fn to_raw(&self) -> RawPage {
        let (kind, page, text) = match self {
            Self::Take(page) => (PageKind::Take, *page, ""),
            Self::TakeAndReserve(page) => (PageKind::TakeAndReserve, *page, ""),
            Self::Panic(text) => (PageKind::Panic, Pfn::default(), text.as_str()),
        };
        RawPage { kind: kind.to_raw(), page: page.to_raw(), text: RString::from(text) }
    }

    fn from_raw(raw: RawPage) -> Result<Self, UnknownNumber> {
        let page = Pfn::new(raw.page);
        Ok(match PageKind::from_raw(raw.kind)? {
            PageKind::Take => Self::Take(page),
            PageKind::TakeAndReserve => Self::TakeAndReserve(page),
            PageKind::Panic => Self::Panic(raw.text.into_string()),
        })
    }
}

/// A question that was not answered.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawFault {
    pub kind: u32,
    pub text: RString,
    /// `file:line` where it happened; may be empty.
    pub place: RString,
}

impl RawFault {
    /// The answer to a question that an older plugin was not built with. The host does not ask it then.
    pub(super) fn of_older_plugin() -> Self {
        Self { kind: 0, text: "it was built before this was asked".into(), place: RString::new() }
    }

    pub(super) fn new(kind: FaultKind, text: String, place: String) -> Self {
        Self { kind: kind.to_raw(), text: text.into(), place: place.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crosses_comes_back_as_it_was() {
        let pages = PfnRange::from_numbers(16, 0x10_0000);
        let range = Range::new(pages, vec![Piece { pages, sizes: PageSizes::M2 }]);
        for plan in [Plan::Done, Plan::Map(range)] {
            assert_eq!(Plan::from_raw(plan.to_raw()), Ok(plan));
        }
        let by_page = TableSpace::PageByPage { uses_pool: true, window: pages };
        for space in [TableSpace::Buffer(pages), by_page, TableSpace::Panic("no space".to_owned())] {
            assert_eq!(TableSpace::from_raw(space.to_raw()), Ok(space));
        }
        let page = Pfn::new(7);
        for answer in [Page::Take(page), Page::TakeAndReserve(page), Page::Panic("no page".to_owned())] {
            assert_eq!(Page::from_raw(answer.to_raw()), Ok(answer));
        }
        let geometry = Geometry::X86_64;
        assert_eq!(Geometry::from_raw(geometry.to_raw()), Ok(geometry));
        let switches = Switches { memtest: true, ..Switches::DEFAULT };
        assert_eq!(Switches::from_raw(switches.to_raw()), Ok(switches));
    }

    #[test]
    fn an_answer_with_an_unknown_number_is_refused_by_name() {
        let mut raw = Plan::Done.to_raw();
        raw.kind = 9;
        assert_eq!(Plan::from_raw(raw), Err(UnknownNumber { of: "PlanKind", number: 9 }));
    }

    #[test]
    fn slices_of_ranges_are_seen_where_they_lie() {
        let ranges = [PhysRange::from_numbers(1, 2), PhysRange::from_numbers(3, 5)];
        let spans = as_spans(&ranges);
        assert_eq!((spans[1].start, spans[1].end), (3, 5));
        assert_eq!(as_ranges(spans), ranges);
    }
}
