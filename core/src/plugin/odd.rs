// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions with a number that nobody has defined. A host of the right version asks none; what a plugin makes
//! of one shows that its side of the border checks what comes in.

use super::interface::RawServices;
use super::near::Near;
use super::raw::{RawE820Entry, RawFacts, RawNode, RawRange, Span};
use abi_stable::std_types::{ROption, RSlice, RStr, RVec};

/// Which number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// The sizes of a range's pieces.
    PageSizes,
    /// What becomes of entries behind a piece.
    PastEnd,
    /// What becomes of an empty GiB.
    OnEmptyGib,
    /// Whether kept large leaves count.
    KeptLarge,
    /// What becomes of a large leaf that is split.
    SplitLarge,
    /// The back end; only a strategy that asks is told.
    Backend,
    /// The kinds of the firmware's ranges; only a strategy that looks at its map sees them.
    E820Type,
}

/// A number that is none of anything.
const UNKNOWN: u32 = 0xdead;

impl Odd {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PageSizes,
        Self::PastEnd,
        Self::OnEmptyGib,
        Self::KeptLarge,
        Self::SplitLarge,
        Self::Backend,
        Self::E820Type,
    ];

    /// What the number should be one of.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageSizes => "PageSizes",
            Self::PastEnd => "PastEnd",
            Self::OnEmptyGib => "OnEmptyGib",
            Self::KeptLarge => "KeptLarge",
            Self::SplitLarge => "SplitLarge",
            Self::Backend => "Backend",
            Self::E820Type => "E820Type",
        }
    }

    /// Whether it stands in a question, so that a plugin which answers has taken it for something.
    #[must_use]
    pub const fn is_asked(self) -> bool {
        !matches!(self, Self::Backend | Self::E820Type)
    }

    /// Puts the number into a range.
    pub(super) fn spoil(self, range: &mut RawRange) {
        match self {
            Self::PageSizes => range.pieces.iter_mut().for_each(|piece| piece.sizes = UNKNOWN),
            Self::PastEnd => range.past_end = UNKNOWN,
            Self::OnEmptyGib => range.on_empty_gib = UNKNOWN,
            Self::KeptLarge => range.kept_large = UNKNOWN,
            Self::SplitLarge => range.split_large = UNKNOWN,
            Self::Backend | Self::E820Type => {}
        }
    }
}

/// The host's services with the number in one of their answers.
pub(super) struct OddServices<'n, 'a, 'b> {
    pub(super) near: &'n mut Near<'a, 'b>,
    pub(super) odd: Odd,
}

impl RawServices for OddServices<'_, '_, '_> {
    fn facts(&self) -> RawFacts {
        self.near.facts()
    }

    fn backend(&self) -> u32 {
        if self.odd == Odd::Backend { UNKNOWN } else { self.near.backend() }
    }

    fn memory(&self) -> RSlice<'_, Span> {
        self.near.memory()
    }

    fn reserved(&self) -> RSlice<'_, Span> {
        self.near.reserved()
    }

    fn e820(&self) -> RVec<RawE820Entry> {
        let mut entries = self.near.e820();
        if self.odd == Odd::E820Type {
            entries.iter_mut().for_each(|entry| entry.kind = UNKNOWN);
        }
        entries
    }

    fn nodes(&self) -> RVec<RawNode> {
        self.near.nodes()
    }

    fn mapped(&self) -> RVec<Span> {
        self.near.mapped()
    }

    fn find_in_range(&self, window: Span, n_bytes: u64, align: u64) -> ROption<u64> {
        self.near.find_in_range(window, n_bytes, align)
    }

    fn next_free(&self, start: u64, align: u64) -> ROption<Span> {
        self.near.next_free(start, align)
    }

    fn tables_needed(&self, range: RawRange) -> u64 {
        self.near.tables_needed(range)
    }

    fn decline(&self, stage: u32) {
        self.near.decline(stage);
    }

    fn printk(&mut self, text: RStr<'_>) {
        self.near.printk(text);
    }

    fn reserve(&mut self, range: Span, name: RStr<'_>) {
        self.near.reserve(range, name);
    }

    fn free(&mut self, range: Span) {
        self.near.free(range);
    }

    fn set_rw(&mut self, pages: Span) {
        self.near.set_rw(pages);
    }

    fn set_ro(&mut self, pages: Span) {
        self.near.set_ro(pages);
    }

    fn set_max_pfn_mapped(&mut self, pfn: u64) {
        self.near.set_max_pfn_mapped(pfn);
    }
}
