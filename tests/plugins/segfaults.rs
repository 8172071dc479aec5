// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dies of a bad address at stage range done.
#![expect(unsafe_code, reason = "a bad address is what it is for")]

use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{Context, RangeDone, Strategy};

#[derive(Default)]
struct Segfaults;

impl Strategy for Segfaults {
    fn range_done(&mut self, _: &mut Context<'_>, _: &RangeDone) {
        let nowhere = std::hint::black_box(8_usize) as *mut u64;
        // SAFETY: none. Nothing is mapped there, and the process dies of it, which is what is tested.
        unsafe { nowhere.write_volatile(1) }
    }
}

export_strategy!(Segfaults, summary = "writes to nowhere");
