// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers under which enums cross the border, and the digest that both sides compare.
//!
//! A layout check sees that a field is a `u32`; it does not see what 3 means. [`SEMANTICS`] is computed
//! from every name and number here: a plugin that was built with other meanings is refused instead of
//! misunderstood. It grows as the interface does: what a minor version adds is mixed into the digest of the
//! one before, so that a host of version 1.3 still knows the digest that a plugin of 1.1 must have
//! ([`semantics_at`]). The digest of minor version 0, which all of a major version share, stands in the root
//! module's layout.

use super::INTERFACE;
use super::raw::{UnknownNumber, Wire};
use crate::e820::E820Type;
use crate::layout::Backend;
use crate::strategy::{
    Alias, BuilderFrames, KeptLarge, MaxPfnMapped, Memtest, NativeMap, NodeData, OnEmptyGib, P2mUse, PageSizes,
    PastEnd, SplitLarge, Stage,
};

/// Raised when a method's meaning changes although no type and no number does.
pub const INTERFACE_REVISION: u32 = 1;

/// Which answer to "what next?" it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlanKind {
    Map,
    Done,
}

/// Which answer to "table pages from where?" it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpaceKind {
    Buffer,
    PageByPage,
    Panic,
}

/// Which answer to "which table page?" it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    Take,
    TakeAndReserve,
    Panic,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Panicked,
    AfterPanic,
    Finished,
}

macro_rules! numbers {
    ($($enum:ident { $($variant:ident = $number:literal),+ $(,)? })+) => {
        $(impl Wire for $enum {
            type Raw = u32;

            #[inline]
            fn to_raw(&self) -> u32 {
                match self { $(Self::$variant => $number),+ }
            }

            #[inline]
            fn from_raw(raw: u32) -> Result<Self, UnknownNumber> {
                match raw {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(UnknownNumber { of: stringify!($enum), number: u64::from(raw) }),
                }
            }
        })+

        const NUMBERS: &[(&str, u32)] =
            &[$($((concat!(stringify!($enum), "::", stringify!($variant)), $number)),+),+];
    };
}

numbers! {
    Backend { Native = 1, Xen = 2 }
    NativeMap { FirstGib = 1, OnDemand = 2 }
    BuilderFrames { Kept = 1, GivenBack = 2 }
    P2mUse { Honoured = 1, Ignored = 2 }
    MaxPfnMapped { BootMap = 1, IdentityMap = 2, Nothing = 3 }
    NodeData { PerNodeFromLast = 1, PerNodeFromFirst = 2, Once = 3 }
    Memtest { PerRange = 1, Once = 2 }
    PastEnd { Clear = 1, ClearHoles = 2, ClearHolesAround = 3 }
    OnEmptyGib { Drop = 1, Map = 2 }
    KeptLarge { IsPassed = 1, MovesLast = 2 }
    SplitLarge { DropsRest = 1, KeepsRest = 2 }
    Alias { Fixmap = 1, DirectMap = 2 }
    PlanKind { Map = 1, Done = 2 }
    SpaceKind { Buffer = 1, PageByPage = 2, Panic = 3 }
    PageKind { Take = 1, TakeAndReserve = 2, Panic = 3 }
    FaultKind { Panicked = 1, AfterPanic = 2, Finished = 3 }
}

impl Wire for Stage {
    type Raw = u32;

    #[inline]
    fn to_raw(&self) -> u32 {
        self.number()
    }

    fn from_raw(raw: u32) -> Result<Self, UnknownNumber> {
        Self::from_number(raw).ok_or_else(|| UnknownNumber { of: "Stage", number: u64::from(raw) })
    }
}

impl Wire for E820Type {
    type Raw = u32;

    fn to_raw(&self) -> u32 {
        self.number()
    }

    fn from_raw(raw: u32) -> Result<Self, UnknownNumber> {
        Self::from_number(u64::from(raw)).ok_or_else(|| UnknownNumber { of: "E820Type", number: u64::from(raw) })
    }
}

impl Wire for PageSizes {
    type Raw = u32;

    fn to_raw(&self) -> u32 {
        self.bits()
    }

    fn from_raw(raw: u32) -> Result<Self, UnknownNumber> {
        Self::from_bits(raw).ok_or_else(|| UnknownNumber { of: "PageSizes", number: u64::from(raw) })
    }
}

/// What each minor version of this major one added, by name and number; the first is version 1's. What was
/// added is not added to the numbers above as well.
const ADDED: &[&[(&str, u32)]] = &[&[("RawStrategy::configure", 1)]];

const _: () = assert!(ADDED.len() == INTERFACE.minor as usize);

/// The digest of what the interface means: its revision, and the name and number of every stage and of
/// every value that crosses as a number. Two sides with one digest speak of the same things.
pub const SEMANTICS: u64 = digest_at(INTERFACE.minor);

/// The digest of an earlier minor version of this major one; nothing for a later one.
#[must_use]
pub const fn semantics_at(minor: u32) -> Option<u64> {
    if INTERFACE.minor < minor { None } else { Some(digest_at(minor)) }
}

const fn digest_at(minor: u32) -> u64 {
    let mut digest = BASE;
    let mut version = 0;
    while version < minor as usize {
        let mut i = 0;
        while i < ADDED[version].len() {
            digest = mix(mix_text(digest, ADDED[version][i].0), ADDED[version][i].1);
            i += 1;
        }
        version += 1;
    }
    digest
}

/// The digest of minor version 0.
pub(super) const BASE: u64 = {
    let mut digest = mix(FNV_OFFSET, INTERFACE_REVISION);
    let mut i = 0;
    while i < NUMBERS.len() {
        digest = mix(mix_text(digest, NUMBERS[i].0), NUMBERS[i].1);
        i += 1;
    }
    i = 0;
    while i < Stage::ALL.len() {
        digest = mix(mix_text(digest, Stage::ALL[i].name()), Stage::ALL[i].number());
        i += 1;
    }
    i = 0;
    while i < E820Type::ALL.len() {
        digest = mix(digest, E820Type::ALL[i].number());
        i += 1;
    }
    mix(mix(digest, PageSizes::M2.bits()), PageSizes::G1.bits())
};

// FNV-1a, for its brevity: the digest guards against accidents, not against forgery.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

const fn mix(digest: u64, number: u32) -> u64 {
    mix_bytes(digest, &number.to_le_bytes())
}

const fn mix_text(digest: u64, text: &str) -> u64 {
    mix_bytes(digest, text.as_bytes())
}

const fn mix_bytes(mut digest: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        digest = (digest ^ bytes[i] as u64).wrapping_mul(FNV_PRIME);
        i += 1;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_moves_with_names_and_with_numbers() {
        assert_ne!(mix(FNV_OFFSET, 30), mix(FNV_OFFSET, 35));
        assert_ne!(mix_text(FNV_OFFSET, "Alias::Fixmap"), mix_text(FNV_OFFSET, "Alias::DirectMap"));
    }

    #[test]
    fn an_earlier_minor_version_keeps_its_digest() {
        assert_eq!(semantics_at(0), Some(BASE));
        assert_eq!(semantics_at(INTERFACE.minor), Some(SEMANTICS));
        assert_eq!(semantics_at(INTERFACE.minor + 1), None);
        assert_ne!(semantics_at(0), semantics_at(1));
    }

    #[test]
    fn aliases_cross_under_the_numbers_of_the_model() {
        assert_eq!(Alias::Fixmap.to_raw(), Alias::Fixmap as u32);
        assert_eq!(Alias::DirectMap.to_raw(), Alias::DirectMap as u32);
    }

    #[test]
    fn every_number_comes_back_as_what_it_was() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_raw(stage.to_raw()), Ok(stage));
        }
        for kind in E820Type::ALL {
            assert_eq!(E820Type::from_raw(kind.to_raw()), Ok(kind));
        }
        for data in [NodeData::PerNodeFromLast, NodeData::PerNodeFromFirst, NodeData::Once] {
            assert_eq!(NodeData::from_raw(data.to_raw()), Ok(data));
        }
        assert_eq!(Memtest::from_raw(7), Err(UnknownNumber { of: "Memtest", number: 7 }));
    }
}
