// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking into Linux 6.1 itself while it builds its direct map, in QEMU.
//!
//! [`gdb`] stops it, [`symbols`] says where its variables lie, [`kernel`] reads them, and [`tables`] its direct map.

pub mod gdb;
pub mod kernel;
pub mod symbols;
pub mod tables;
