// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest and the program know of each other; compiled into both.
//!
//! The guest has a window of memory, mapped from [`WINDOW`] on by entry 511 of the root under test:
//!
//! ```text
//! WINDOW            the image
//! WINDOW + PARAMS   Params: what to do, and how it ended
//! WINDOW + RESTORE  a page that belongs where the reset vector stands
//! WINDOW + PROBES   Probe after Probe: addresses to try, and what came of each
//! ```

/// Where the guest's memory is mapped.
pub(crate) const WINDOW: u64 = 0xffff_ffff_8000_0000;
/// The entry of the root that maps it.
pub(crate) const WINDOW_ROOT_SLOT: u64 = 511;
/// The page that holds the reset vector, and the first eight bytes of it: the root to turn paging on with.
pub(crate) const RESET_PAGE: u64 = 0xffff_f000;
/// Where the parameters stand in the window.
pub(crate) const PARAMS: u64 = 0x10_0000;
/// Where the page stands that is to be put in place of the reset vector's.
pub(crate) const RESTORE: u64 = 0x10_1000;
/// Where the probes begin in the window.
pub(crate) const PROBES: u64 = 0x20_0000;

/// [`Params::state`] when every probe was tried.
pub(crate) const DONE: u64 = 0x656e_6f64;
/// [`Params::state`] when something else came than a probe's own exception.
pub(crate) const STRAY: u64 = 0x7961_7274;

/// In an outcome: an exception came, its vector stands from bit 32 on and its error code from bit 0 on.
pub(crate) const EXCEPTION: u64 = 1 << 63;
/// The vector of a page fault.
pub(crate) const PAGE_FAULT: u64 = 14;

/// What to do.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Params {
    /// The physical address of the root under test.
    pub root: u64,
    /// CR0 to try it with.
    pub cr0: u64,
    /// Whether the reset vector's page is to be replaced first: 1 or 0.
    pub restores: u64,
    /// How many probes there are.
    pub n_probes: u64,
    /// How it ended; 0 at first.
    pub state: u64,
    /// Of a stray exception: its outcome.
    pub stray: u64,
    /// CR2 at that moment.
    pub address: u64,
    /// Where it came.
    pub rip: u64,
}

/// A page to try.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Probe {
    /// The address to read eight bytes from, and to write the first of them back to.
    pub data: u64,
    /// The address to execute an instruction at.
    pub code: u64,
    /// The eight bytes that were read.
    pub seen: u64,
    /// What came of reading.
    pub read: u64,
    /// CR2 then.
    pub read_at: u64,
    /// What came of writing.
    pub write: u64,
    /// CR2 then.
    pub write_at: u64,
    /// What came of executing; any exception but a page fault at the instruction's own fetch says that it was fetched.
    pub fetch: u64,
    /// CR2 then.
    pub fetch_at: u64,
}

/// Eight-byte words of [`Params`].
pub(crate) const PARAMS_WORDS: usize = size_of::<Params>() / 8;
/// Eight-byte words of [`Probe`].
pub(crate) const PROBE_WORDS: usize = size_of::<Probe>() / 8;

impl Params {
    /// As it lies in memory, a word each.
    #[must_use]
    pub(crate) const fn to_words(self) -> [u64; PARAMS_WORDS] {
        [self.root, self.cr0, self.restores, self.n_probes, self.state, self.stray, self.address, self.rip]
    }

    /// From those words.
    #[must_use]
    pub(crate) const fn from_words(words: [u64; PARAMS_WORDS]) -> Self {
        let [root, cr0, restores, n_probes, state, stray, address, rip] = words;
        Self { root, cr0, restores, n_probes, state, stray, address, rip }
    }
}

impl Probe {
    /// As it lies in memory, a word each.
    #[must_use]
    pub(crate) const fn to_words(self) -> [u64; PROBE_WORDS] {
        let Self { data, code, seen, read, read_at, write, write_at, fetch, fetch_at } = self;
        [data, code, seen, read, read_at, write, write_at, fetch, fetch_at]
    }

    /// From those words.
    #[must_use]
    pub(crate) const fn from_words(words: [u64; PROBE_WORDS]) -> Self {
        let [data, code, seen, read, read_at, write, write_at, fetch, fetch_at] = words;
        Self { data, code, seen, read, read_at, write, write_at, fetch, fetch_at }
    }
}
