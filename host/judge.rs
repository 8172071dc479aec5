// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges: independent checks of what the model says.

pub mod xen;
