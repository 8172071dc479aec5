// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Xen PV guest that replays operations on page tables and prints Xen's answer to each.
//!
//! It is what `pgtlab judge xen` boots as dom0 of a real Xen. It knows nothing of kernels or strategies: the host
//! gives it records (`wire`), it makes the hypercall or the access that each asks for (`replay`), on frames that
//! nothing else uses (`pool`), and catches the page faults (`trap`). Or it *is* a kernel that boots (`boot`), on a direct
//! map of its own, and ends where that dies.
//!
//! It runs below any operating system, so **unsafe code stands here**: hypercalls, exception frames, memory that Xen
//! hands over. It is built by the program's build script, without a C library, and never loaded into the program.
#![no_std]
#![no_main]

mod boot;
mod console;
mod firmware;
mod hypercall;
mod mem;
mod pool;
mod replay;
mod start;
mod trap;
#[expect(dead_code, reason = "the host's side of it is compiled too")]
mod wire;

use core::arch::asm;
use core::fmt;
use core::panic::PanicInfo;
use pool::Pool;
use start::StartInfo;
use wire::{N_WINDOWS, WINDOWS};

/// The port of QEMU's `isa-debug-exit`; its status is twice the byte, and one.
const EXIT_PORT: u16 = 0xf4;
const EXIT_DONE: u8 = 0x10;
const EXIT_STOPPED: u8 = 0x11;
/// The status where a boot died.
const EXIT_DIED: u8 = 0x12;

/// Where the page that Xen shares is mapped: a page of the image.
#[repr(C, align(4096))]
struct SharedInfo([u8; 4096]);
static SHARED_INFO: SharedInfo = SharedInfo([0; 4096]);
/// Of the page that Xen shares, the place of CR2 (`arch_vcpu_info`).
const CR2_OFFSET: u64 = 16;

// SAFETY: no other symbol has the name; called once, by `_start`, with the address that Xen gave.
#[unsafe(no_mangle)]
extern "C" fn started(info: &StartInfo) -> ! {
    let shared = &raw const SHARED_INFO.0 as u64;
    // Present, writable, accessed, dirty, never executed.
    let refused = hypercall::update_va_mapping(shared, info.shared_info & !0xfff | 0x63 | 1 << 63);
    if refused != 0 {
        stop(format_args!("the shared page cannot be mapped: {refused}"));
    }
    trap::init(shared + CR2_OFFSET);
    for window in 0..N_WINDOWS {
        let refused = hypercall::update_va_mapping(WINDOWS + window * 4096, 0);
        if refused != 0 {
            stop(format_args!("window {window} cannot be emptied: {refused}"));
        }
    }
    // SAFETY: Xen put the module there, and nothing writes to it.
    let module = unsafe { core::slice::from_raw_parts(info.module as *const u8, info.module_bytes as usize) };
    firmware::tell();
    let pool = Pool::new(info);
    if let Some(module) = module.strip_prefix(&wire::BOOT_MAGIC) {
        boot::run(&pool, info.pt_base, module);
        leave(EXIT_DONE)
    }
    let root = pool.of_image(info.pt_base) << 12;
    replay::run(pool, root, module);
    leave(EXIT_DONE)
}

/// Says why, and ends.
fn stop(why: fmt::Arguments<'_>) -> ! {
    console::say(format_args!("stopped {why}"));
    leave(EXIT_STOPPED)
}

fn leave(status: u8) -> ! {
    if hypercall::allow_ports() == 0 {
        // SAFETY: the port is QEMU's, and ends it; elsewhere nothing answers.
        unsafe { asm!("out dx, al", in("dx") EXIT_PORT, in("al") status) };
    }
    loop {
        hypercall::reboot();
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}
