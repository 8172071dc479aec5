// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several Linux versions have in common, for the strategies that reproduce them.
//!
//! [`rc7`] is the kernel of the thread, 2.6.39-rc7, as one strategy with a place for each fix. Its parts:
//! [`text`] prints the kernel's log lines, [`plan`] chooses its ranges, [`space`] sizes and places its table
//! buffer, [`guard`] answers what its Xen code answers about aliases and leaves.

pub mod guard;
pub mod plan;
pub mod rc7;
pub mod space;
pub mod text;
