// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the guest comes up: the notes by which Xen knows it (`elfnote.h`), its first instructions, and what Xen tells
//! it (`start_info` of `xen.h`).

use core::arch::global_asm;

global_asm!(
    ".pushsection .note.xen,\"a\",@note",
    ".macro NOTE_TEXT kind, text",
    ".balign 4",
    ".long 4",
    ".long 7f-6f",
    ".long \\kind",
    ".asciz \"Xen\"",
    "6: .asciz \"\\text\"",
    "7: .balign 4",
    ".endm",
    ".macro NOTE_NUMBERS kind, numbers:vararg",
    ".balign 4",
    ".long 4",
    ".long 7f-6f",
    ".long \\kind",
    ".asciz \"Xen\"",
    "6: .quad \\numbers",
    "7: .balign 4",
    ".endm",
    "NOTE_TEXT 6, \"pgtlab\"",                                     // GUEST_OS
    "NOTE_TEXT 7, \"1\"",                                          // GUEST_VERSION
    "NOTE_TEXT 5, \"xen-3.0\"",                                    // XEN_VERSION
    "NOTE_TEXT 8, \"generic\"",                                    // LOADER
    "NOTE_NUMBERS 3, 0xffffffff80000000",                          // VIRT_BASE
    "NOTE_NUMBERS 4, 0",                                           // PADDR_OFFSET
    "NOTE_NUMBERS 1, _start",                                      // ENTRY
    "NOTE_NUMBERS 2, hypercall_page",                              // HYPERCALL_PAGE
    "NOTE_TEXT 10, \"!writable_page_tables|pae_pgdir_above_4gb\"", // FEATURES
    "NOTE_TEXT 9, \"yes\"",                                        // PAE_MODE
    "NOTE_NUMBERS 13, 1, 1",                                       // L1_MFN_VALID
    "NOTE_NUMBERS 12, 0xffff800000000000",                         // HV_START_LOW
    ".popsection",
    ".pushsection .head,\"ax\"",
    ".global _start",
    "_start:",
    "cld",
    "mov rdi, rsi",
    "lea rsp, [rip + stack + 65536]",
    "xor ebp, ebp",
    "call started",
    "1: jmp 1b",
    ".balign 4096",
    ".global hypercall_page",
    "hypercall_page: .skip 4096",
    ".popsection",
    ".pushsection .bss",
    ".balign 4096",
    "stack: .skip 65536",
    ".popsection",
);

/// Where the guest's memory is mapped.
pub(crate) const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;

/// What Xen tells a guest that starts. Addresses are virtual where nothing else is said.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct StartInfo {
    magic: [u8; 32],
    /// How many frames the guest has.
    pub n_frames: u64,
    /// The machine address of the page that holds CR2 among other things.
    pub shared_info: u64,
    flags: u32,
    store_mfn: u64,
    store_port: u32,
    console_mfn: u64,
    console_port: u32,
    /// The root of the page tables.
    pub pt_base: u64,
    /// How many frames the page tables take: root, one of level 3, one of level 2, the others of level 1.
    pub n_pt_frames: u64,
    /// For each frame the machine frame it is.
    pub mfn_list: u64,
    /// The module.
    pub module: u64,
    /// Its length in bytes.
    pub module_bytes: u64,
}
