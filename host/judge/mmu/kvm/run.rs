// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `pgtlab vm` does: runs a guest under KVM to its end, in a process of its own that can be killed.
//!
//! The machine starts at the guest's first instruction, in 64-bit mode under the tables by which the guest comes up; the
//! reset vector is for machines that start as a real one does.

use super::machine::{Left, Machine, MachineError, refused};
use crate::judge::mmu::cr0;
use crate::judge::mmu::wire::WINDOW;
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;
use std::io;
use std::path::Path;

/// Flags of a processor that does nothing yet: bit 1 is always set.
const RFLAGS: u64 = 1 << 1;
/// Physical address extension, which 64-bit mode asks for.
const CR4: u64 = 1 << 5;
/// Long mode, enabled and active, and no-execute.
const EFER: u64 = 1 << 8 | 1 << 10 | 1 << 11;

/// Runs the guest whose memory is the first `bytes` of a file to its end, which is a triple fault. `boot_root` is the
/// physical address of the tables it comes up under.
///
/// # Errors
/// The machine cannot be made, or ends in another way.
pub fn run(memory: &Path, bytes: u64, boot_root: u64) -> Result<(), MachineError> {
    let mut machine = Machine::new(memory, bytes)?;
    set_up(machine.processor(), boot_root).map_err(refused("take the processor's state"))?;
    let exit = loop {
        match machine.run() {
            Ok(Left::ForMemory) => {}
            Ok(Left::AtTheEnd) => return Ok(()),
            Ok(Left::Otherwise(exit)) => break exit,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refused("run the guest")(error)),
        }
    };
    let rip = machine.processor().get_regs().map_err(refused("say where the guest was"))?.rip;
    Err(MachineError::Exit { exit, rip })
}

/// 64-bit mode at the guest's first instruction. Intel SDM vol. 3A, "Initializing IA-32e Mode"; the segments are flat,
/// and what the guest needs of them and of interrupts it loads itself.
fn set_up(processor: &VcpuFd, boot_root: u64) -> io::Result<()> {
    let flat = kvm_segment { limit: u32::MAX, present: 1, s: 1, g: 1, ..kvm_segment::default() };
    // Accessed; executable and readable, or writable.
    let code = kvm_segment { selector: 8, type_: 11, l: 1, ..flat };
    let data = kvm_segment { selector: 16, type_: 3, db: 1, ..flat };
    // A busy task state, which the guest replaces by one that it has.
    let task = kvm_segment { selector: 24, type_: 11, limit: 103, present: 1, ..kvm_segment::default() };
    let mut state = processor.get_sregs()?;
    (state.cs, state.tr) = (code, task);
    (state.ds, state.es, state.fs, state.gs, state.ss) = (data, data, data, data, data);
    state.idt = kvm_dtable::default();
    (state.cr0, state.cr3, state.cr4, state.efer) = (cr0::BASE | cr0::WRITE_PROTECT, boot_root, CR4, EFER);
    processor.set_sregs(&state)?;
    Ok(processor.set_regs(&kvm_regs { rip: WINDOW, rflags: RFLAGS, ..kvm_regs::default() })?)
}
