// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking for a machine on which a strategy fails.
//!
//! Either every machine of a small family is run ([`family`]), or full-size machines are drawn at random
//! ([`random`]) and the one found is made as small as it can be ([`shrink`]). What counts as a failure is in
//! [`tally`]; what a machine needs is counted without the builder, in [`needed`] and [`solvable`].

pub mod family;
pub mod needed;
pub mod random;
pub mod shrink;
pub mod solvable;
pub mod tally;
