// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several Linux versions have in common, for the strategies that reproduce them.
//!
//! [`rc7`] is the kernel of the thread, 2.6.39-rc7, as one strategy with a place for each fix. Its parts serve
//! the versions before and after it too: [`text`] prints the kernel's log lines and [`mem_text`] their later
//! form, [`plan`] chooses ranges, [`space`] sizes and places the table buffer, [`guard`] answers what the
//! kernel's Xen code answers about aliases and leaves, [`hook`] is what 2.6.39 made of the end of a range, [`page_by_page`]
//! what 3.9 and later have instead of all that.

pub mod hook;
pub mod mem_text;
pub mod page_by_page;
pub mod plan;
pub mod rc7;
pub mod space;
pub mod text;

pub use pgtlab_core::strategy::guard;
