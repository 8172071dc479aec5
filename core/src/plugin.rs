// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strategies as shared libraries: what stands between [`crate::strategy::Strategy`] in a plugin and
//! [`crate::decide::Decider`] in the host.
//!
//! An author writes safe Rust and one line:
//!
//! ```ignore
//! #[derive(Default)]
//! struct MyFix;
//! impl pgtlab_core::strategy::Strategy for MyFix { /* what it changes */ }
//! pgtlab_core::export_strategy!(MyFix, summary = "what it does, in a line", aliases = ["mine"]);
//! ```
//!
//! ```text
//!  host                                │ border: `interface`, C layouts only    │ plugin
//!  builder ─ Decider ─ PluginStrategy ─┼─► RawStrategy (one method a stage) ────┼─► Adapter ─ Strategy
//!            Services ◄────── Near ◄───┼── RawServices ◄────────────────────────┼── Far ◄──── Context
//! ```
//!
//! The parts: `numbers` (what each enum is called across the border, and [`SEMANTICS`], the digest of all
//! of it), `raw` (the C layouts), `interface` (the two traits and the root module), `far` (the plugin's
//! side), `near` (the host's side: [`PluginStrategy`]), `describe` (what a plugin says of itself without
//! being run).
//!
//! **Nothing unwinds across the border, in either direction.** A panic of the strategy becomes an answer
//! that says so; a panic of the host's services is kept and goes on when the plugin has returned.

mod describe;
mod far;
mod interface;
mod near;
mod numbers;
mod raw;

pub use abi_stable;
pub use describe::{DESCRIPTION_SECTION, Description, HEADER_SYMBOL, PROFILE, RUSTC, TARGET, VERSION};
#[doc(hidden)]
pub use far::header;
pub use interface::{StrategyModule, StrategyModuleRef};
pub use near::{PluginFault, PluginStrategy};
pub use numbers::{INTERFACE_REVISION, SEMANTICS};
