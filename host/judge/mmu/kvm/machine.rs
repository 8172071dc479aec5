// SPDX-License-Identifier: MIT OR Apache-2.0
//! A virtual machine of one processor and memory, and nothing else.
//!
//! KVM is given addresses of this process: **that they stay good for as long as a processor runs is the one thing here
//! that the compiler cannot see to**. A [`Machine`] therefore owns both, and lets go of neither.
#![expect(unsafe_code, reason = "KVM is told by address where the guest's memory is")]

use super::slots::slots;
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, Kvm, VcpuExit, VcpuFd, VmFd};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

/// A virtual machine that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The guest's memory cannot be had.
    #[error("failed to map the guest's memory {}: {source}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The guest's memory is in too many places.
    #[error("the guest's memory lies in {n} places; KVM takes {most}")]
    Scattered {
        /// In how many.
        n: usize,
        /// How many KVM takes.
        most: usize,
    },
    /// KVM refuses something.
    #[error("KVM does not {what}: {source}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What it says.
        source: io::Error,
    },
    /// The guest came to another end than a triple fault.
    #[error("the guest ended by {exit} at {rip:#x}")]
    Exit {
        /// How, in KVM's words.
        exit: String,
        /// Where it was.
        rip: u64,
    },
}

/// KVM does not do what was asked for.
pub(super) fn refused<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> MachineError {
    move |source| MachineError::Refused { what, source: source.into() }
}

/// A machine. What is dropped first stands first: the memory outlives the processor.
#[derive(Debug)]
pub(super) struct Machine {
    processor: VcpuFd,
    _vm: VmFd,
    memory: MmapRegion,
}

impl Machine {
    /// A machine whose memory is the first `bytes` of a file, from address 0 on, with a processor that can all that
    /// this one can.
    ///
    /// # Errors
    /// The memory cannot be had, or KVM refuses something.
    pub(super) fn new(memory: &Path, bytes: u64) -> Result<Self, MachineError> {
        let mapped = map(memory, bytes).map_err(|source| MachineError::Memory { path: memory.to_owned(), source })?;
        let (memory, slots) = mapped;
        let kvm = Kvm::new().map_err(refused("open"))?;
        let vm = kvm.create_vm().map_err(refused("make a machine"))?;
        let most = usize::try_from(vm.check_extension_int(Cap::NrMemslots)).unwrap_or(0);
        if most < slots.len() {
            return Err(MachineError::Scattered { n: slots.len(), most });
        }
        for (slot, range) in (0..).zip(slots) {
            let region = kvm_userspace_memory_region {
                slot,
                flags: 0,
                guest_phys_addr: range.start,
                memory_size: range.end - range.start,
                userspace_addr: memory.as_ptr().addr() as u64 + range.start,
            };
            // SAFETY: the range lies in the mapping, which nothing here refers into, and which is dropped after the
            // machine and its processor: below, where the machine owns it, and here, where it was declared first.
            unsafe { vm.set_user_memory_region(region) }.map_err(refused("take the guest's memory"))?;
        }
        let processor = vm.create_vcpu(0).map_err(refused("make a processor"))?;
        // No-execute, large pages and the width of addresses are there only if the processor says so.
        let features = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(refused("say what processors can"))?;
        processor.set_cpuid2(&features).map_err(refused("take what the processor can"))?;
        Ok(Self { processor, _vm: vm, memory })
    }

    /// The processor, to set up.
    pub(super) const fn processor(&self) -> &VcpuFd {
        &self.processor
    }

    /// Runs until the guest leaves it.
    ///
    /// # Errors
    /// KVM refuses to, or was interrupted.
    pub(super) fn run(&mut self) -> io::Result<Left> {
        let memory = self.memory.as_volatile_slice();
        let place = |at| usize::try_from(at).unwrap_or(usize::MAX);
        Ok(match self.processor.run()? {
            VcpuExit::MmioRead(at, data) => {
                // Behind the memory's end there is nothing.
                data.fill(0);
                let _ = memory.read_slice(data, place(at));
                Left::ForMemory
            }
            VcpuExit::MmioWrite(at, data) => {
                let _ = memory.write_slice(data, place(at));
                Left::ForMemory
            }
            VcpuExit::Shutdown => Left::AtTheEnd,
            other => Left::Otherwise(format!("{other:?}")),
        })
    }
}

/// Why the guest left the processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// KVM had memory read or written by this program, which was done: where no slot is, and in the page of the local
    /// interrupt controller, which this machine has not, when KVM emulates the access.
    ForMemory,
    /// A triple fault.
    AtTheEnd,
    /// In KVM's words.
    Otherwise(String),
}

/// The memory, and where anything is in it.
fn map(path: &Path, bytes: u64) -> io::Result<(MmapRegion, Vec<Range<u64>>)> {
    let file: File = OpenOptions::new().read(true).write(true).open(path)?;
    let slots = slots(&file, bytes)?;
    let size = usize::try_from(bytes).map_err(io::Error::other)?;
    // It refuses a file that ends before.
    let region = MmapRegion::from_file(FileOffset::new(file, 0), size).map_err(io::Error::other)?;
    Ok((region, slots))
}
