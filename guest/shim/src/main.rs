// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands before Xen where a machine is to have another memory map than its firmware tells of.
//!
//! A boot loader that keeps to Multiboot hands an image a map of the memory (Multiboot Specification, "Boot information
//! format"). QEMU takes this page for the beginning of such an image, Xen follows in the same file; so Xen is loaded and
//! its modules are found as ever, and the code here only puts another map into its hands before it goes on to Xen.
//!
//! It is 32-bit code, by the state a boot loader leaves, so all of it is assembler. Where the host finds the fields that
//! it fills is told by `wire`.
#![no_std]
#![no_main]

#[expect(dead_code, reason = "the host's side of it is compiled too")]
mod wire;

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

global_asm!(
    ".pushsection .shim, \"ax\"",
    ".code32",
    // The header: modules on page borders, sizes of memory, and the addresses that follow, since this is no ELF.
    ".long 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)",
    ".long {base}, {base}, 0, 0, {base} + 32",
    // The state: `eax` the loader's magic, which Xen asks for too, and `ebx` the boot information.
    "or dword ptr [ebx], 0x40",
    "mov ecx, dword ptr [{base} + {map_bytes}]",
    "mov dword ptr [ebx + 44], ecx",
    "mov dword ptr [ebx + 48], {base} + {map}",
    "jmp dword ptr [{base} + {entry}]",
    ".org {bytes}",
    ".code64",
    ".popsection",
    base = const wire::BASE,
    bytes = const wire::BYTES,
    entry = const wire::ENTRY,
    map_bytes = const wire::MAP_BYTES,
    map = const wire::MAP,
);

/// Never called: nothing here is Rust that could panic.
#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: the processor stops until something wakes it.
        unsafe { asm!("hlt") };
    }
}
