// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frames that records are about: those behind what Xen mapped at the start, which nothing maps and Xen has no
//! type for. A frame is emptied before it is used for the first time since the last reset.

use crate::hypercall::update_va_mapping;
use crate::start::{StartInfo, VIRT_BASE};
use crate::wire::{FRAME_BITS, IO, MACHINE_FRAME, N_WINDOWS, WINDOWS};
use crate::{stop, trap};
use core::sync::atomic::{AtomicU64, Ordering};

/// The window the guest has for itself.
pub(crate) const OWN_WINDOW: u64 = WINDOWS + (N_WINDOWS - 1) * 4096;
/// The most frames that are given away: 4 GiB.
const MOST_FRAMES: u64 = 1 << 20;

/// One bit for each frame of the pool.
struct Bits([AtomicU64; (MOST_FRAMES / 64) as usize]);

impl Bits {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; (MOST_FRAMES / 64) as usize])
    }

    /// Sets or clears a frame's bit; whether it was set.
    fn put(&self, number: u32, is_set: bool) -> bool {
        let (word, bit) = (&self.0[number as usize / 64], 1 << (number % 64));
        let old = if is_set { word.fetch_or(bit, Ordering::Relaxed) } else { word.fetch_and(!bit, Ordering::Relaxed) };
        old & bit != 0
    }
}

static IS_EMPTIED: Bits = Bits::new();
static IS_PINNED: Bits = Bits::new();

/// The frames and what is known of them.
pub(crate) struct Pool {
    /// The machine frame of each of the guest's frames.
    machine_frames: &'static [u64],
    first: u64,
    n: u32,
    /// Behind the last frame that was used since the last reset.
    n_used: u32,
}

impl Pool {
    /// The pool of a guest that was told this.
    pub(crate) fn new(info: &StartInfo) -> Self {
        let list = info.mfn_list as *const u64;
        // SAFETY: Xen leaves the list there, an entry for each frame, and nothing writes to it.
        let machine_frames = unsafe { core::slice::from_raw_parts(list, info.n_frames as usize) };
        let first = (info.n_pt_frames - 3) * 512;
        let n = info.n_frames.saturating_sub(first).min(MOST_FRAMES) as u32;
        Self { machine_frames, first, n, n_used: 0 }
    }

    /// How many frames it has.
    pub(crate) const fn n_frames(&self) -> u32 {
        self.n
    }

    /// The machine frame behind an address of the image.
    pub(crate) fn of_image(&self, address: u64) -> u64 {
        self.machine_frames[((address - VIRT_BASE) >> 12) as usize]
    }

    /// The machine frames of all of them.
    pub(crate) fn all(&self) -> &'static [u64] {
        self.machine_frames.get(self.first as usize..).unwrap_or_default()
    }

    /// The machine frame of a frame of the pool.
    pub(crate) fn frame(&mut self, number: u32) -> u64 {
        if self.n <= number {
            stop(format_args!("a record names frame {number} of {}", self.n));
        }
        let machine_frame = self.machine_frames[(self.first + u64::from(number)) as usize];
        if !IS_EMPTIED.put(number, true) {
            self.n_used = self.n_used.max(number + 1);
            empty(machine_frame);
        }
        machine_frame
    }

    /// An entry of a record's as the machine is to have it.
    pub(crate) fn entry(&mut self, entry: u64) -> u64 {
        if entry & 1 == 0 {
            return entry;
        }
        let frame = if entry & IO == 0 { self.frame(((entry & FRAME_BITS) >> 12) as u32) } else { MACHINE_FRAME };
        frame << 12 | entry & !FRAME_BITS
    }

    /// Notes that a frame is pinned, or is no more.
    pub(crate) fn note_pin(&self, number: u32, is_pinned: bool) {
        IS_PINNED.put(number, is_pinned);
    }

    /// Gives every pinned frame to `unpin`, and forgets what was used.
    pub(crate) fn reset(&mut self, mut unpin: impl FnMut(u64)) {
        for number in 0..self.n_used {
            if IS_PINNED.put(number, false) {
                unpin(self.machine_frames[(self.first + u64::from(number)) as usize]);
            }
        }
        for number in 0..self.n_used {
            IS_EMPTIED.put(number, false);
        }
        self.n_used = 0;
    }
}

/// Fills a machine frame with zeros.
fn empty(machine_frame: u64) {
    // Present, writable, accessed, dirty, never executed.
    let refused = update_va_mapping(OWN_WINDOW, machine_frame << 12 | 0x63 | 1 << 63);
    if refused != 0 {
        stop(format_args!("frame {machine_frame:x} cannot be emptied: {refused}"));
    }
    for slot in 0..512 {
        if let Some(fault) = trap::write(OWN_WINDOW + slot * 8, 0) {
            stop(format_args!("a fault {:x} while frame {machine_frame:x} is emptied", fault.code));
        }
    }
    update_va_mapping(OWN_WINDOW, 0);
}
