// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page-table entries as the processor reads them, and what they grant.
//!
//! [`EntryFlags`] are hardware bits, [`Grants`] their meaning; [`Entry::grants`] is the one place where
//! one becomes the other. Intel SDM vol. 3A, "4-Level Paging" and "Access Rights".

use bitflags::bitflags;

bitflags! {
    /// The bits of an entry that are not its frame number.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EntryFlags: u64 {
        /// Unset: the entry maps nothing and every other bit is ignored.
        const PRESENT = 1;
        /// Unset: writes through it fault (with CR0.WP set, the kernel's too).
        const WRITABLE = 1 << 1;
        /// Unset: user mode may not use it.
        const USER = 1 << 2;
        /// Unset: the processor has not used it since it was last cleared.
        const ACCESSED = 1 << 5;
        /// Unset: nothing was written through it since it was last cleared.
        const DIRTY = 1 << 6;
        /// Unset, above level 1: the entry links a table and does not map memory.
        const LARGE = 1 << 7;
        /// Unset: the translation is dropped from the TLB when CR3 is loaded.
        const GLOBAL = 1 << 8;
        /// Linux's `_PAGE_IOMAP`. Unset: the frame is the guest's own and not one of the machine's.
        const IO = 1 << 10;
        /// Unset: instructions may be fetched through it.
        const NO_EXECUTE = 1 << 63;

        /// Linux's `_PAGE_TABLE`: an entry that links a table.
        const TABLE = 0x67;
        /// Linux's `PAGE_KERNEL_EXEC` without the large bit.
        const KERNEL_EXEC = 0x163;
        /// Linux's `PAGE_KERNEL`.
        const KERNEL = Self::KERNEL_EXEC.bits() | Self::NO_EXECUTE.bits();
        /// What Xen's domain builder writes for the pages of a 64-bit guest.
        const DOMAIN_BUILDER = Self::TABLE.bits();
    }
}

bitflags! {
    /// What a mapping grants. Along a walk grants combine by `&`, across aliases of a frame by `|`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Grants: u8 {
        /// Reading.
        const READ = 1;
        /// Writing.
        const WRITE = 1 << 1;
        /// Fetching instructions.
        const EXECUTE = 1 << 2;
        /// Use from user mode.
        const USER = 1 << 3;
    }
}

/// One 64-bit page-table entry. The frame number stands at bit 12 whatever the page size of the geometry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Entry(u64);

const FRAME_SHIFT: u32 = 12;
const FRAME_MASK: u64 = ((1 << 52) - 1) & !((1 << FRAME_SHIFT) - 1);

impl Entry {
    /// An entry that maps nothing.
    pub const ABSENT: Self = Self(0);
    /// What to add to a raw entry for the next frame.
    pub const FRAME_STEP: u64 = 1 << FRAME_SHIFT;

    /// An entry for this frame (pfn natively, mfn under Xen) with these bits.
    #[must_use]
    pub const fn new(frame: u64, flags: EntryFlags) -> Self {
        Self((frame << FRAME_SHIFT) & FRAME_MASK | flags.bits())
    }

    /// The entry with these 64 bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its 64 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The frame it names.
    #[must_use]
    pub const fn frame(self) -> u64 {
        (self.0 & FRAME_MASK) >> FRAME_SHIFT
    }

    /// Its bits without the frame.
    #[must_use]
    pub const fn flags(self) -> EntryFlags {
        EntryFlags::from_bits_truncate(self.0 & !FRAME_MASK)
    }

    /// Whether it maps memory or links a table.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & EntryFlags::PRESENT.bits() != 0
    }

    /// Whether it is present and grants writing.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        let both = EntryFlags::PRESENT.bits() | EntryFlags::WRITABLE.bits();
        self.0 & both == both
    }

    /// Whether it is present and, above level 1, maps memory itself.
    #[must_use]
    pub const fn is_large(self) -> bool {
        let both = EntryFlags::PRESENT.bits() | EntryFlags::LARGE.bits();
        self.0 & both == both
    }

    /// The entry without these bits; an absent one stays as it is.
    #[must_use]
    pub const fn without(self, flags: EntryFlags) -> Self {
        Self(self.0 & !flags.bits())
    }

    /// What it grants on its own; nothing if absent.
    #[must_use]
    pub fn grants(self) -> Grants {
        let flags = self.flags();
        if !flags.contains(EntryFlags::PRESENT) {
            return Grants::empty();
        }
        let mut grants = Grants::READ;
        grants.set(Grants::WRITE, flags.contains(EntryFlags::WRITABLE));
        grants.set(Grants::EXECUTE, !flags.contains(EntryFlags::NO_EXECUTE));
        grants.set(Grants::USER, flags.contains(EntryFlags::USER));
        grants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_and_flags_come_back() {
        let entry = Entry::new(0x1df0f3, EntryFlags::KERNEL);
        assert_eq!(entry.bits(), 0x8000_0001_df0f_3163);
        assert_eq!((entry.frame(), entry.flags()), (0x1df0f3, EntryFlags::KERNEL));
    }

    #[test]
    fn grants_follow_the_bits_in_every_combination() {
        for bits in 0..16u64 {
            let flag = |bit: u64| bits & bit != 0;
            let mut flags = EntryFlags::empty();
            flags.set(EntryFlags::PRESENT, flag(1));
            flags.set(EntryFlags::WRITABLE, flag(2));
            flags.set(EntryFlags::NO_EXECUTE, flag(4));
            flags.set(EntryFlags::USER, flag(8));
            let grants = Entry::new(1, flags).grants();
            assert_eq!(grants.contains(Grants::READ), flag(1));
            assert_eq!(grants.contains(Grants::WRITE), flag(1) && flag(2));
            assert_eq!(grants.contains(Grants::EXECUTE), flag(1) && !flag(4));
            assert_eq!(grants.contains(Grants::USER), flag(1) && flag(8));
        }
    }
}
