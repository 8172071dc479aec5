// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strategies as shared libraries: what stands between [`crate::strategy::Strategy`] in a plugin and
//! [`crate::decide::Decider`] in the host.
//!
//! An author writes safe Rust and one line:
//!
//! ```standalone_crate
//! #[derive(Default)]
//! struct MyFix;
//! impl pgtlab_core::strategy::Strategy for MyFix { /* what it changes */ }
//! pgtlab_core::export_strategy!(MyFix, summary = "what it does, in a line", aliases = ["mine"]);
//! ```
//!
//! The [`guide`](crate::guide) goes from there to a pull request.
//!
//! ```text
//!  host                                │ border: `interface`, C layouts only    │ plugin
//!  builder ─ Decider ─ PluginStrategy ─┼─► RawStrategy (one method a stage) ────┼─► Adapter ─ Strategy
//!            Services ◄────── Near ◄───┼── RawServices ◄────────────────────────┼── Far ◄──── Context
//! ```
//!
//! The parts: `numbers` (what each enum is called across the border, and [`SEMANTICS`], the digest of all
//! of it), `raw` (the C layouts), `interface` (the two traits and the root module), `far` (the plugin's
//! side), `near` (the host's side: [`PluginStrategy`]), `budget` (how much a plugin may ask of the host:
//! [`Budget`]), `odd` (a host that asks with numbers nobody has defined, to see what comes back), `describe`
//! (what a plugin says of itself without being run).
//!
//! # Versions
//!
//! The interface has a version of its own, [`INTERFACE`], which is not the version of this crate. A host and
//! a plugin compare it before the plugin is opened, from the description in the file.
//!
//! | what changes | which number rises | a plugin built before | a plugin built after, in a host of before |
//! |---|---|---|---|
//! | a field, a type, an argument or the order of any of them; the meaning of a number; a question that means something else | major | is refused | is refused |
//! | a question at the end of `RawStrategy`, a service at the end of `RawServices`, a function at the end of the root module; a new stage, with a new number | minor | runs; the host does without an answer | is refused |
//! | names, texts and help in the description; new keys in it | none | runs | runs |
//!
//! *May be added without a new build of plugins:* a method of either trait, or a function of the root module,
//! behind the last one, with a note in `numbers::ADDED`. The host takes what an older plugin lacks for the
//! default answer. *May not:* anything else that crosses. A field is never added to a structure, a number is
//! never given a second meaning; what is needed is a new method with a structure of its own.
//!
//! Three things hold the two sides to it. The description names the version, so a refusal is two lines that
//! name both versions and the next step. abi_stable compares the types when the library is opened: this
//! catches a change of type that nobody gave a number. [`SEMANTICS`] compares what types do not show, the
//! meaning of numbers: a plugin of minor version 1 must have the digest of minor version 1, and the digest of
//! minor version 0 stands in the types as well.
//!
//! abi_stable also compares the version of this crate, type by type: within 0.x it takes a change of x for a
//! break. So this crate's x rises with the major version and never otherwise.
//!
//! **Nothing unwinds across the border, in either direction.** A panic of the strategy becomes an answer
//! that says so; a panic of the host's services is kept and goes on when the plugin has returned.

mod budget;
mod describe;
mod far;
mod interface;
mod near;
mod numbers;
mod odd;
mod raw;
mod version;

pub use abi_stable;
pub use budget::{Budget, OutOfSteps};
pub use describe::{
    DESCRIPTION_FORMAT, DESCRIPTION_SECTION, Description, HEADER_SYMBOL, PROFILE, RUSTC, TARGET, VERSION,
};
#[doc(hidden)]
pub use far::header;
pub use interface::{StrategyModule, StrategyModuleRef};
pub use near::{PluginFault, PluginStrategy};
pub use numbers::{INTERFACE_REVISION, SEMANTICS, semantics_at};
pub use odd::Odd;
pub use version::{INTERFACE, InterfaceVersion};
