// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest of `pgtlab judge mmu`: tries addresses under page tables that it did not make.
//!
//! It reads each address of a list, writes it and executes an instruction there (`attempt`), notes the exceptions
//! (`exception`), and ends by a triple fault: no device is needed, and every virtual machine ends by one. It comes up
//! either as a processor does after reset or in 64-bit mode at its first instruction (`start`).
//!
//! It runs below any operating system, so **unsafe code stands here**. It is built by the program's build script,
//! without a C library, and never loaded into the program.
#![no_std]
#![no_main]

mod attempt;
mod exception;
mod start;
#[expect(dead_code, reason = "the host's side of it is compiled too")]
mod wire;

use attempt::{Attempt, attempt};
use core::arch::asm;
use core::panic::PanicInfo;
use wire::{DONE, EXCEPTION, PARAMS, PROBES, Params, Probe, WINDOW};

/// The parameters, as the host wrote them.
const PARAMS_AT: *mut Params = (WINDOW + PARAMS) as *mut Params;
/// The first probe.
const PROBES_AT: *mut Probe = (WINDOW + PROBES) as *mut Probe;

// SAFETY: no other symbol has the name; called once, by `_start`.
#[unsafe(no_mangle)]
extern "C" fn started() -> ! {
    // SAFETY: the host wrote the parameters there before it started the machine.
    let mut params = unsafe { PARAMS_AT.read_volatile() };
    for number in 0..params.n_probes {
        let place = PROBES_AT.wrapping_add(number as usize);
        // SAFETY: the host wrote as many probes.
        let probe = unsafe { place.read_volatile() };
        // SAFETY: as above.
        unsafe { place.write_volatile(tried(probe)) };
    }
    params.state = DONE;
    leave(params)
}

fn tried(mut probe: Probe) -> Probe {
    let read = attempt(Attempt::Read, probe.data, 0);
    (probe.read, probe.read_at) = (read.outcome, read.address);
    probe.seen = if read.outcome & EXCEPTION == 0 { read.value } else { 0 };
    let write = attempt(Attempt::Write, probe.data, probe.seen);
    (probe.write, probe.write_at) = (write.outcome, write.address);
    let fetch = attempt(Attempt::Execute, probe.code, 0);
    (probe.fetch, probe.fetch_at) = (fetch.outcome, fetch.address);
    probe
}

/// Writes down how it ended, and ends the machine.
fn leave(params: Params) -> ! {
    // SAFETY: the parameters' own place.
    unsafe { PARAMS_AT.write_volatile(params) };
    loop {
        // SAFETY: without an interrupt table the next exception is a triple fault, which ends the machine. The empty
        // table is made on the stack by hand: a KVM that emulates the kernel's mode may know no SSE.
        unsafe { asm!("push 0", "push 0", "lidt [rsp]", "ud2") };
    }
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    // SAFETY: as in `started`.
    leave(unsafe { PARAMS_AT.read_volatile() })
}

/// Never called: a panic ends the machine.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
