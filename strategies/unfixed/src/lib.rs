// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control: Linux 2.6.39-rc7 with every fix of the thread taken out (92bdaef7b2c5 with b9269dc7bfdf
//! and without a38647837a41).
//!
//! **Mechanism.** Table space: one buffer for each range, sized for all of `[0, end)`, as high as it fits
//! below the range's end (4b239f458c22, "x86-64, mm: Put early page table high"). Leaf: under Xen the whole
//! buffer `[start, top)` is mapped read-only (b9269dc7bfdf). Range done: the used part is reserved, and
//! nobody makes the spare part writable again.
//!
//! **Which rule breaks first.** Reach: the buffer lies above what is mapped. Under Xen, Return: the spare
//! part `[end, top)` stays read-only although memblock has it as free.
//!
//! **How that looked.** The next user of memory takes it from the top, which is the spare part: an oops
//! with error code 3 (present, write) in `setup_node_bootmem`, or in `memblock_find_dma_reserve` on a kernel
//! without NUMA. It boots where those users happen to find other memory.

use pgtlab_linux::rc7::{Fix, Rc7};

/// No fix: every answer is the kernel's.
#[derive(Debug, Default)]
pub struct NoFix;

impl Fix for NoFix {}

/// See the crate's page.
pub type Unfixed = Rc7<NoFix>;

pgtlab_core::export_strategy!(Unfixed, summary = "Linux 2.6.39-rc7 without any fix: the control");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        pgtlab_core::conform::check::<Unfixed>();
    }
}
