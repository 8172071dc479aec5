// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges: independent checks of what the model says of a cell.
//!
//! [`mmu`] puts the tables that a cell left before a processor, [`xen`] what it did to the MMU before the real Xen, and
//! [`linux`] sets what Linux itself does beside it. A cell then has a [`standing`]. What they run on is foreign and may be missing: [`engine`] finds it,
//! starts it and ends it.

pub mod engine;
pub mod linux;
pub mod mmu;
pub mod standing;
pub mod xen;
