// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges: independent checks of what the model says of a cell.
//!
//! What they run on is foreign and may be missing: [`engine`] finds it, starts it and ends it.

pub mod engine;
pub mod mmu;
pub mod xen;
