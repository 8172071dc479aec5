// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions: kept for whoever expects one, the end for whoever does not.

use crate::wire::{EXCEPTION, PAGE_FAULT, STRAY};
use crate::{PARAMS_AT, leave};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many vectors there are handlers for; the processor's own exceptions.
const N_VECTORS: usize = 32;

global_asm!(
    ".pushsection .text",
    ".macro VECTOR number, pushes_error",
    ".balign 16",
    ".if \\pushes_error == 0",
    "push 0",
    ".endif",
    "push \\number",
    "jmp exception_entry",
    ".endm",
    ".balign 16",
    ".global vectors",
    "vectors:",
    "VECTOR 0, 0",
    "VECTOR 1, 0",
    "VECTOR 2, 0",
    "VECTOR 3, 0",
    "VECTOR 4, 0",
    "VECTOR 5, 0",
    "VECTOR 6, 0",
    "VECTOR 7, 0",
    "VECTOR 8, 1",
    "VECTOR 9, 0",
    "VECTOR 10, 1",
    "VECTOR 11, 1",
    "VECTOR 12, 1",
    "VECTOR 13, 1",
    "VECTOR 14, 1",
    "VECTOR 15, 0",
    "VECTOR 16, 0",
    "VECTOR 17, 1",
    "VECTOR 18, 0",
    "VECTOR 19, 0",
    "VECTOR 20, 0",
    "VECTOR 21, 1",
    "VECTOR 22, 0",
    "VECTOR 23, 0",
    "VECTOR 24, 0",
    "VECTOR 25, 0",
    "VECTOR 26, 0",
    "VECTOR 27, 0",
    "VECTOR 28, 0",
    "VECTOR 29, 1",
    "VECTOR 30, 1",
    "VECTOR 31, 0",
    // The stack is the exceptions' own: vector, error code, RIP, CS, RFLAGS, RSP, SS. No register has to be kept: the
    // end of an attempt takes what it needs from the stack it began on.
    "exception_entry:",
    "cld",
    "mov rdi, rsp",
    "mov rbx, rsp",
    "and rsp, -16",
    "call excepted",
    "mov rsp, rbx",
    "lea rax, [rip + attempt_end]",
    "mov [rsp + 16], rax",
    // Interrupts stay off, and the trap flag goes.
    "mov qword ptr [rsp + 32], 2",
    "add rsp, 16",
    "iretq",
    ".popsection",
);

/// What lies on the stack at an exception.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Frame {
    vector: u64,
    error: u64,
    rip: u64,
}

static IS_EXPECTED: AtomicBool = AtomicBool::new(false);
static OUTCOME: AtomicU64 = AtomicU64::new(0);
static ADDRESS: AtomicU64 = AtomicU64::new(0);

/// Says whether an exception may come.
pub(crate) fn expect(is_expected: bool) {
    IS_EXPECTED.store(is_expected, Ordering::SeqCst);
}

/// The exception that came and CR2 then; zeros if none did.
pub(crate) fn take() -> (u64, u64) {
    (OUTCOME.swap(0, Ordering::SeqCst), ADDRESS.swap(0, Ordering::SeqCst))
}

// SAFETY: no other symbol has the name; called by `exception_entry` with what the processor pushed.
#[unsafe(no_mangle)]
extern "C" fn excepted(frame: &Frame) {
    let address: u64;
    // SAFETY: reading CR2 changes nothing.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    let outcome = EXCEPTION | frame.vector << 32 | frame.error;
    if IS_EXPECTED.swap(false, Ordering::SeqCst) {
        OUTCOME.store(outcome, Ordering::SeqCst);
        ADDRESS.store(if frame.vector == PAGE_FAULT { address } else { 0 }, Ordering::SeqCst);
        return;
    }
    // SAFETY: the parameters' own place.
    let mut params = unsafe { PARAMS_AT.read_volatile() };
    (params.state, params.stray, params.address, params.rip) = (STRAY, outcome, address, frame.rip);
    leave(params)
}

/// A gate of the interrupt table. Intel SDM vol. 3A, "64-Bit Mode IDT".
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Gate([u64; 2]);

static mut GATES: [Gate; N_VECTORS] = [Gate([0; 2]); N_VECTORS];

unsafe extern "C" {
    static vectors: [[u8; 16]; N_VECTORS];
}

/// Makes the interrupt table: every vector to its handler, on the stack for exceptions.
// SAFETY: no other symbol has the name; called once, by `_start`, before any exception is expected.
#[unsafe(no_mangle)]
extern "C" fn set_up_vectors(code_selector: u64) {
    /// Present, an interrupt gate.
    const GATE: u64 = 0x8e << 8;
    /// The first stack of the interrupt stack table.
    const STACK: u64 = 1;
    let first = (&raw const vectors).addr() as u64;
    let mut gate = (&raw mut GATES).cast::<Gate>();
    for vector in 0..N_VECTORS as u64 {
        let handler = first + vector * 16;
        let low = handler & 0xffff | code_selector << 16 | (STACK | GATE) << 32 | (handler >> 16 & 0xffff) << 48;
        // SAFETY: one of the table's gates; nothing else runs.
        unsafe { gate.write_volatile(Gate([low, handler >> 32])) };
        gate = gate.wrapping_add(1);
    }
    let table = (&raw const GATES).addr() as u64;
    let limit = (N_VECTORS * size_of::<Gate>() - 1) as u64;
    // Ten bytes: the limit, and the address.
    let descriptor = [limit | table << 16, table >> 48];
    // SAFETY: the table is complete and stays.
    unsafe { asm!("lidt [{}]", in(reg) &raw const descriptor) };
}
