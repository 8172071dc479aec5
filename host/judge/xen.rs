// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real Xen as a judge: a guest of ours replays operations on page tables before it, and says what Xen answered.
//!
//! Two kinds of operations are put before it: what cells did to the MMU ([`cells`], planned by [`plan`]), and requests
//! drawn at random ([`random`]), which look for what the model gets wrong. [`recorded`] keeps scenarios and Xen's
//! answers. [`session`] runs cells, and [`report`] tells of them.
//!
//! Or the guest *is* a cell: [`boot`] has it build the cell's direct map for itself, and tells where it dies.
//!
//! [`machine`] boots Xen and the guest in QEMU and puts requests to it, [`answer`] is what comes back. The memory map
//! that Xen finds there is a layout's own where there is one ([`firmware`]), put into its hands by `shim`. What the two
//! sides say to each other is `wire`, a file of the guest's sources that is compiled into both; `encode` makes requests
//! into it.

pub mod answer;
pub mod boot;
pub mod cells;
mod encode;
pub mod firmware;
pub mod machine;
pub mod plan;
pub mod random;
pub mod recorded;
pub mod report;
pub mod session;
mod shim;
#[expect(dead_code, reason = "the guest's side of it is compiled too")]
#[path = "../../guest/xen/src/wire.rs"]
mod wire;
