// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses, frame numbers and half-open ranges of them.
//!
//! [`PhysAddr`] counts bytes of (pseudo-)physical memory, [`Pfn`] counts page frames of it. Under Xen PV
//! the processor sees an [`Mfn`] instead; the only way from one to the other is the layout's p2m
//! ([`crate::layout::P2m`]). Bytes and frames are converted by [`crate::geometry::Geometry`], which knows
//! the page size.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The value with this number.
            #[must_use]
            pub const fn new(n: u64) -> Self {
                Self(n)
            }

            /// The bare number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// `self + n`, or `None` past 2^64.
            #[must_use]
            pub const fn checked_add(self, n: u64) -> Option<Self> {
                match self.0.checked_add(n) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// `self + n`, held at the largest value.
            #[must_use]
            pub const fn saturating_add(self, n: u64) -> Self {
                Self(self.0.saturating_add(n))
            }

            /// `self - n`, held at zero.
            #[must_use]
            pub const fn saturating_sub(self, n: u64) -> Self {
                Self(self.0.saturating_sub(n))
            }

            /// How far `self` lies above `base`; zero if it lies below.
            #[must_use]
            pub const fn offset_from(self, base: Self) -> u64 {
                self.0.saturating_sub(base.0)
            }

            /// The largest multiple of `align` (a power of two) at or below `self`.
            #[must_use]
            pub const fn align_down(self, align: u64) -> Self {
                Self(self.0 & !(align - 1))
            }

            /// The smallest multiple of `align` (a power of two) at or above `self`, held at the largest multiple.
            #[must_use]
            pub const fn align_up(self, align: u64) -> Self {
                match self.0.checked_add(align - 1) {
                    Some(n) => Self(n & !(align - 1)),
                    None => Self(u64::MAX & !(align - 1)),
                }
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// A physical address in bytes; pseudo-physical under Xen PV.
    PhysAddr
}
number! {
    /// A virtual address in bytes.
    VirtAddr
}
number! {
    /// A page frame number; pseudo-physical under Xen PV.
    Pfn
}
number! {
    /// A machine frame number: what a Xen PV guest's page-table entries hold.
    Mfn
}

macro_rules! range {
    ($(#[$doc:meta])* $name:ident of $item:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(C)]
        pub struct $name {
            /// First member.
            pub start: $item,
            /// First one past the range.
            pub end: $item,
        }

        impl $name {
            /// `[start, end)`; empty where `end` is at or before `start`.
            #[must_use]
            pub const fn new(start: $item, end: $item) -> Self {
                Self { start, end }
            }

            /// `[start, end)` from bare numbers.
            #[must_use]
            pub const fn from_numbers(start: u64, end: u64) -> Self {
                Self { start: $item::new(start), end: $item::new(end) }
            }

            /// How many members it has.
            #[must_use]
            pub const fn len(self) -> u64 {
                self.end.offset_from(self.start)
            }

            /// Whether it has no member.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.end.get() <= self.start.get()
            }

            /// Whether `item` is a member.
            #[must_use]
            pub fn contains(self, item: $item) -> bool {
                self.start <= item && item < self.end
            }

            /// Whether every member of `other` is one of `self`; an empty `other` always is.
            #[must_use]
            pub fn covers(self, other: Self) -> bool {
                other.is_empty() || self.start <= other.start && other.end <= self.end
            }

            /// Whether the two share a member.
            #[must_use]
            pub fn overlaps(self, other: Self) -> bool {
                self.start < other.end && other.start < self.end && !self.is_empty() && !other.is_empty()
            }

            /// The members the two share; empty where there are none.
            #[must_use]
            pub fn intersect(self, other: Self) -> Self {
                Self::new(self.start.max(other.start), self.end.min(other.end))
            }
        }
    };
}

range! {
    /// A half-open range of physical addresses, in bytes.
    PhysRange of PhysAddr
}
range! {
    /// A half-open range of page frames.
    PfnRange of Pfn
}

/// A count as an index into memory of this process.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the supported hosts are 64-bit (checked when the host is built)")]
pub(crate) const fn index(n: u64) -> usize {
    n as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_moves_down_and_up_to_multiples() {
        assert_eq!(PhysAddr::new(0x1fff).align_down(0x1000), PhysAddr::new(0x1000));
        assert_eq!(PhysAddr::new(0x1001).align_up(0x1000), PhysAddr::new(0x2000));
        assert_eq!(PhysAddr::new(0x1000).align_up(0x1000), PhysAddr::new(0x1000));
        assert_eq!(PhysAddr::new(u64::MAX).align_up(0x1000), PhysAddr::new(u64::MAX - 0xfff));
    }

    #[test]
    fn empty_ranges_share_nothing_and_lie_in_everything() {
        let empty = PfnRange::from_numbers(5, 5);
        let full = PfnRange::from_numbers(0, 10);
        assert!(!empty.overlaps(full) && full.covers(empty) && empty.is_empty());
        assert_eq!(PfnRange::from_numbers(7, 3).len(), 0);
    }
}
