// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux 6.1 itself as the judge: what Debian's kernel does when it builds its direct map, beside what a strategy does.
//!
//! ```text
//!  guest ─► machine: QEMU, stopped before and after init_mem_mapping ─► observed ─► text that is kept
//!                        │ gdb, symbols, kernel, tables                    │
//!                        └ the boot's log ─► import ─► layout              ▼
//!                                              │                       compare ─► report
//!                                              └─► strategy's cell ─► predicted ┘
//! ```
//! [`machine`] boots, [`observed`] is what came of it, [`compare`] holds a strategy to it. [`KEPT`] are boots that were
//! kept, so that the strategy of the version is held to the kernel where there is none.

pub mod compare;
pub mod gdb;
pub mod guest;
pub mod kernel;
pub mod machine;
pub mod observed;
pub mod predicted;
pub mod report;
pub mod symbols;
pub mod tables;

/// The strategy that says what this kernel does.
pub const STRATEGY: &str = "linux-6-1";

/// A boot that was kept: the machine's name, and the text of the record.
pub type Kept = (&'static str, &'static str);

/// Boots that were kept, by the machine's name.
pub static KEPT: &[Kept] = include!(concat!(env!("OUT_DIR"), "/kept-boots.rs"));
