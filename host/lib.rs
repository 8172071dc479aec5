// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's parts, as a library so that tests and benches reach them; `main.rs` is the command line.

pub mod protocol;
pub mod record;
