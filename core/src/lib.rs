// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model behind pgtlab: how early kernel page tables are built, natively and under Xen PV, and how a
//! *strategy* decides at each stage of it.
//!
//! ```text
//!  boot log ── bootlog ──►  layout  ◄── layout::parse ── layout file
//!                             │
//!                             ▼
//!                   memblock { memory, reserved }
//!                             │
//!    strategy ───decides────► │  build: stages in order, every entry written through the mmu
//!                             ▼
//!                   Built { records, events, end }
//!                             │  consumers: what boots next takes memory and writes to it
//!                             ▼
//!                   walk ──► permission map ──► rules, measures ──► trace
//! ```
//!
//! The crate reads no file, clock, environment or random number: the same input gives the same bytes.
//!
//! To write a strategy, start with the [`guide`].
//!
//! # Reading order
//!
//! [`addr`] and [`geometry`] (addresses, levels, landmarks), [`e820`], [`layout`] and [`bootlog`] (the
//! machine), [`memblock`], [`entry`], [`table`] and [`walk`] (page tables), [`permission`] (what they
//! grant), [`mmu`] (who guards them), [`strategy`] (the questions), [`plugin`] (a strategy as a dylib),
//! [`build`] (the boot), [`rules`] and [`measure`] (the judgement), [`trace`] and [`event`] (what is told of
//! it), [`ops`] (what judges are given), [`replay`] (a boot log's own lines against it),
//! [`conform`] (what is expected of a strategy besides).
//!
//! # A boot in five lines
//!
//! ```
//! use pgtlab_core::{build, layout::Layout, strategy::Strategy, trace};
//!
//! struct Defaults;
//! impl Strategy for Defaults {}
//!
//! let layout = Layout::parse("e820 1000 40000000 1\nkernel 1000000 2000000\n", "one-gib")?;
//! let built = build::boot(&layout, &mut Defaults, build::Watch::RULES)?;
//! assert_eq!(built.end, build::End::Completed);
//! assert!(trace::render("defaults", &layout, &built).ends_with("result OK\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What always holds
//!
//! * **A strategy reaches tables only through its [`strategy::Context`]**, and every entry is written
//!   through the back end.
//! * **The permission map comes only from walking finished tables**, never from what the builder meant.
//! * **Ranges are half open**; inclusive ends exist only in the text of boot logs.
//! * **A strategy's mistake is a finding or a verdict, ours is an error**: never one in place of the other.

pub mod addr;
pub mod bootlog;
pub mod build;
pub mod cmdline;
pub mod conform;
mod consume;
pub mod decide;
pub mod e820;
pub mod entry;
pub mod event;
pub mod follow;
mod frame_map;
pub mod geometry;
#[doc = include_str!("guide.md")]
pub mod guide {}
pub mod layout;
pub mod measure;
pub mod memblock;
pub mod mmu;
pub mod ops;
pub mod permission;
pub mod plugin;
pub mod ptdump;
pub mod replay;
pub mod rules;
pub mod strategy;
pub mod table;
pub mod trace;
pub mod walk;
