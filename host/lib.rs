// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's parts, as a library so that tests and benches reach them; `main.rs` is the command line.

pub mod discover;
pub mod load;
pub mod protocol;
pub mod record;
pub mod spawn;
pub mod stage_cell;
pub mod worker;
