// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ranges the kernel maps while it has one table buffer a range: low memory first, then what lies
//! above 4 GiB.

use crate::text;
use pgtlab_core::addr::PfnRange;
use pgtlab_core::strategy::{Context, Plan, low_first};

pub use low_first::regions_above_4_gib;

/// `setup_arch`'s two calls of `init_memory_mapping` up to 3.6, with the lines they print:
/// `[0, max_low_pfn)`, then `[4 GiB, max_pfn)` if there is memory there, holes included.
pub fn low_then_high(cx: &mut Context<'_>) -> Plan {
    let high = low_first::all_above_4_gib(cx);
    low_then(cx, high)
}

/// Low memory, then these ranges above 4 GiB one by one, with the lines up to 3.4.
pub fn low_then(cx: &mut Context<'_>, high: impl IntoIterator<Item = PfnRange>) -> Plan {
    match low_first::low_then(cx, high) {
        Some(range) => {
            text::range(cx, &range);
            Plan::Map(range)
        }
        None => Plan::Done,
    }
}
