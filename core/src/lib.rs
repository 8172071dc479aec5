// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model behind pgtlab.

pub mod addr;
pub mod bootlog;
pub mod build;
mod consume;
pub mod decide;
pub mod e820;
pub mod entry;
pub mod event;
mod frame_map;
pub mod geometry;
pub mod layout;
pub mod measure;
pub mod memblock;
pub mod mmu;
pub mod permission;
pub mod rules;
pub mod strategy;
pub mod table;
pub mod trace;
pub mod walk;
