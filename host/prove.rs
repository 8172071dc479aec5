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

use crate::protocol::Trial;
use crate::spawn::{Limits, RunError, run_trial};
use tally::{Failure, Found, Tally};

/// Runs machines `[from, to)` in a worker; where the strategy takes its worker down, the machine on which it
/// does is found by halves, and the rest is left out.
///
/// # Errors
/// The plugin could not be loaded, or no worker be started.
pub fn part(trial: &impl Fn(u64, u64) -> Trial, limits: &Limits, from: u64, to: u64) -> Result<Tally, RunError> {
    if let Ok(tally) = run_trial(&trial(from, to), limits)? {
        return Ok(tally);
    }
    if to - from == 1 {
        let failed = Found { n: 1, smallest: (0, 0, from) };
        return Ok(Tally { n: 1, failures: [(Failure::Strategy, failed)].into(), ..Tally::default() });
    }
    let middle = from + (to - from) / 2;
    let mut tally = part(trial, limits, from, middle)?;
    if !tally.failures.contains_key(&Failure::Strategy) {
        tally.merge(&part(trial, limits, middle, to)?);
    }
    Ok(tally)
}
