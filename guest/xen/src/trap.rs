// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions, and the accesses that are expected to cause them.
//!
//! An access notes where to go on before it is made; the handler of a page fault leaves the error code and goes
//! there. Any other exception ends the guest.

use crate::hypercall::{self, TrapInfo};
use crate::wire::{FIRST_ROOT_SLOT, N_ROOT_SLOTS, N_WINDOWS, WINDOWS};
use crate::{boot, stop};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

// A 64-bit exception frame of Xen's is rcx, r11, [error code], rip, cs, rflags, rsp, ss; HYPERVISOR_iret (23) takes
// flags, rcx, r11, rax below it. Exceptions come on the stack that is in use, so the accesses are functions of their
// own that keep nothing below rsp.
global_asm!(
    ".pushsection .head,\"ax\"",
    ".global probe_write",
    "probe_write:",
    "lea rax, [rip + 8f]",
    "mov [rip + RESUME_AT], rax",
    "mov qword ptr [rip + FAULT_CODE], 0",
    "mov [rdi], rsi",
    "8: mov rax, [rip + FAULT_CODE]",
    "mov qword ptr [rip + RESUME_AT], 0",
    "ret",
    ".global probe_read",
    "probe_read:",
    "lea rax, [rip + 9f]",
    "mov [rip + RESUME_AT], rax",
    "mov qword ptr [rip + FAULT_CODE], 0",
    "mov rsi, [rdi]",
    "9: mov rax, [rip + FAULT_CODE]",
    "mov qword ptr [rip + RESUME_AT], 0",
    "ret",
    ".macro TRAP name, vector, has_code",
    ".global \\name",
    "\\name:",
    "pop rcx",
    "pop r11",
    ".if \\has_code == 0",
    "push 0",
    ".endif",
    "push rdi",
    "mov edi, \\vector",
    "jmp trap_common",
    ".endm",
    "TRAP trap_ud, 6, 0",
    "TRAP trap_nm, 7, 0",
    "TRAP trap_df, 8, 1",
    "TRAP trap_gp, 13, 1",
    "TRAP trap_pf, 14, 1",
    "trap_common:",
    "push rax",
    "push rcx",
    "push rdx",
    "push rsi",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push rbx",
    "push rbp",
    "lea rsi, [rsp + 88]",
    "mov rbp, rsp",
    "and rsp, -16",
    "call trapped",
    "mov rsp, rbp",
    "pop rbp",
    "pop rbx",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rax",
    "pop rdi",
    "add rsp, 8",
    "push 0",
    "push rcx",
    "push r11",
    "push rax",
    "mov eax, 23",
    "syscall",
    ".popsection",
);

// SAFETY: all are defined above and keep to the C convention. The accesses touch no memory but the 8 bytes at
// `address`, and a fault there is caught; the handlers are called by Xen alone.
unsafe extern "C" {
    fn probe_write(address: u64, value: u64) -> u64;
    fn probe_read(address: u64) -> u64;
    safe fn trap_ud();
    safe fn trap_nm();
    safe fn trap_df();
    safe fn trap_gp();
    safe fn trap_pf();
}

/// Where to go on after a page fault; 0 where none is expected.
// SAFETY: no other symbol has the name.
#[unsafe(no_mangle)]
static RESUME_AT: AtomicU64 = AtomicU64::new(0);
/// The error code of the last access's fault, with `FAULTED`.
// SAFETY: no other symbol has the name.
#[unsafe(no_mangle)]
static FAULT_CODE: AtomicU64 = AtomicU64::new(0);
/// The bit that tells a fault with code 0 from none.
const FAULTED: u64 = 1 << 63;
/// The address of the last fault.
static FAULT_ADDRESS: AtomicU64 = AtomicU64::new(0);
/// Where Xen leaves CR2; 0 until that page is mapped.
static CR2_AT: AtomicU64 = AtomicU64::new(0);

/// What is left of an exception frame when the handler is called.
#[repr(C)]
struct Frame {
    code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// A page fault that an access met.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// Its error code.
    pub code: u8,
    /// The address in CR2.
    pub address: u64,
}

// SAFETY: no other symbol has the name; called by `trap_common` with the frame of the exception.
#[unsafe(no_mangle)]
extern "C" fn trapped(vector: u64, frame: &mut Frame) {
    let resume_at = RESUME_AT.load(Ordering::Relaxed);
    if vector == 14 {
        let cr2_at = CR2_AT.load(Ordering::Relaxed) as *const u64;
        if !cr2_at.is_null() {
            // SAFETY: `init` set it to the field of the shared page, which stays mapped.
            FAULT_ADDRESS.store(unsafe { cr2_at.read_volatile() }, Ordering::Relaxed);
        }
        if resume_at != 0 {
            FAULT_CODE.store(frame.code | FAULTED, Ordering::Relaxed);
            frame.rip = resume_at;
            return;
        }
        boot::meet_fault(frame.code, frame.rip, FAULT_ADDRESS.load(Ordering::Relaxed));
    }
    let address = FAULT_ADDRESS.load(Ordering::Relaxed);
    stop(format_args!(
        "exception {vector} code {:x} at {:x} (cs {:x} flags {:x} stack {:x} {:x}), cr2 {address:x}",
        frame.code, frame.rip, frame.cs, frame.rflags, frame.rsp, frame.ss
    ));
}

/// Sets the handlers; CR2 will be read from `cr2_at`.
pub(crate) fn init(cr2_at: u64) {
    CR2_AT.store(cr2_at, Ordering::Relaxed);
    let handlers: [(u8, extern "C" fn()); 5] = [(6, trap_ud), (7, trap_nm), (8, trap_df), (13, trap_gp), (14, trap_pf)];
    let mut table = [const { TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 } }; 6];
    for (line, (vector, handler)) in table.iter_mut().zip(handlers) {
        // 0xe033 is the flat 64-bit code segment (`FLAT_KERNEL_CS`).
        *line = TrapInfo { vector, flags: 4, cs: 0xe033, address: handler as usize as u64 };
    }
    let refused = hypercall::set_trap_table(&table);
    if refused != 0 {
        stop(format_args!("set_trap_table returned {refused}"));
    }
}

fn fault(code: u64) -> Option<Fault> {
    let address = FAULT_ADDRESS.load(Ordering::Relaxed);
    // The codes of a page fault that a guest can meet are below 0x100 (Intel SDM vol. 3A, "Page-Fault Exceptions").
    (code & FAULTED != 0).then(|| Fault { code: code.to_le_bytes()[0], address })
}

/// Whether an address is none of the guest's own memory: one of a window, or one below a root slot that records set.
fn is_foreign(address: u64) -> bool {
    let slot = address >> 39 & 511;
    let in_windows = WINDOWS <= address && address < WINDOWS + N_WINDOWS * 4096;
    in_windows || (slot >= u64::from(FIRST_ROOT_SLOT) && slot < u64::from(FIRST_ROOT_SLOT + N_ROOT_SLOTS))
}

fn check(address: u64) {
    if !is_foreign(address) || !address.is_multiple_of(8) {
        stop(format_args!("a record names the address {address:x}"));
    }
}

/// Writes 8 bytes, outside the guest's own memory.
pub(crate) fn write(address: u64, value: u64) -> Option<Fault> {
    check(address);
    // SAFETY: nothing of the guest's own lies there: what is mapped is a frame of the pool, or of the machine.
    fault(unsafe { probe_write(address, value) })
}

/// Reads 8 bytes, outside the guest's own memory.
pub(crate) fn read(address: u64) -> Option<Fault> {
    check(address);
    // SAFETY: reading has no effect on what is mapped there.
    fault(unsafe { probe_read(address) })
}
