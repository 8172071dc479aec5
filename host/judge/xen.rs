// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real Xen as a judge: a guest of ours replays operations on page tables before it, and says what Xen answered.
//!
//! [`machine`] boots Xen and the guest in QEMU and puts requests to it, [`answer`] is what comes back. What the two sides say to each other is
//! `wire`, a file of the guest's sources that is compiled into both.

pub mod answer;
mod encode;
pub mod machine;
pub mod recorded;
#[expect(dead_code, reason = "the guest's side of it is compiled too")]
#[path = "../../guest/src/wire.rs"]
mod wire;
