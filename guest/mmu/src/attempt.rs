// SPDX-License-Identifier: MIT OR Apache-2.0
//! One access that may meet an exception.
//!
//! The access stands between `attempt` and `attempt_end` in the assembly below. Whatever exception comes meanwhile is
//! kept by [`crate::exception`], which then goes on at `attempt_end` with the stack as it was. An instruction is executed
//! by a return from interrupt with the trap flag set: the processor executes one and raises a debug exception behind it
//! (Intel SDM vol. 3B, "Single-Stepping"), so no code of ours has to stand there. Whatever stands there finds every
//! register pointing at memory of our own.

use crate::exception;
use core::arch::global_asm;

/// What is tried.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Attempt {
    Read = 0,
    Write = 1,
    Execute = 2,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    /// What was read.
    pub value: u64,
    /// The exception, as [`crate::wire`] counts them; 0 if there was none.
    pub outcome: u64,
    /// CR2 at the exception.
    pub address: u64,
}

global_asm!(
    ".pushsection .text",
    ".global attempt_asm",
    // rdi: what, rsi: the address, rdx: the value. Gives the value that was read.
    "attempt_asm:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rip + resume_stack], rsp",
    "cmp rdi, 1",
    "je 2f",
    "ja 3f",
    "mov rax, [rsi]",
    "jmp attempt_end",
    "2: mov [rsi], dl",
    "jmp attempt_end",
    // SS, RSP, RFLAGS with the trap flag, CS, RIP.
    "3: mov ax, ss",
    "movzx eax, ax",
    "push rax",
    "lea rax, [rip + scratch + 4096]",
    "push rax",
    "push 0x102",
    "mov cx, cs",
    "movzx ecx, cx",
    "push rcx",
    "push rsi",
    "mov rbx, rax",
    "mov rcx, rax",
    "mov rdx, rax",
    "mov rsi, rax",
    "mov rdi, rax",
    "mov rbp, rax",
    "mov r8, rax",
    "mov r9, rax",
    "mov r10, rax",
    "mov r11, rax",
    "mov r12, rax",
    "mov r13, rax",
    "mov r14, rax",
    "mov r15, rax",
    "iretq",
    ".global attempt_end",
    "attempt_end:",
    "cld",
    "mov rsp, [rip + resume_stack]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    ".popsection",
    ".pushsection .bss",
    ".balign 4096",
    // What a stray instruction may read and write: its registers point into the middle.
    "scratch: .skip 8192",
    "resume_stack: .skip 8",
    ".popsection",
);

unsafe extern "C" {
    fn attempt_asm(what: Attempt, address: u64, value: u64) -> u64;
}

/// Tries it.
pub(crate) fn attempt(what: Attempt, address: u64, value: u64) -> Came {
    exception::expect(true);
    // SAFETY: it saves what it changes, exceptions on the way return to its end, and the tables under test map none of
    // the guest's own memory but through the window.
    let value = unsafe { attempt_asm(what, address, value) };
    exception::expect(false);
    let (outcome, address) = exception::take();
    Came { value, outcome, address }
}
