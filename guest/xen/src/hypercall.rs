// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypercalls the guest makes, by the numbers of Xen's public headers (`xen.h`, `physdev.h`, `sched.h`).

use core::arch::asm;

const SET_TRAP_TABLE: u64 = 0;
const MMU_UPDATE: u64 = 1;
const MEMORY_OP: u64 = 12;
const UPDATE_VA_MAPPING: u64 = 14;
const CONSOLE_IO: u64 = 18;
const MMUEXT_OP: u64 = 26;
const SCHED_OP: u64 = 29;
const PHYSDEV_OP: u64 = 33;

/// `XENMEM_machine_memory_map` (`memory.h`).
const MACHINE_MEMORY_MAP: u64 = 10;
/// `DOMID_SELF`.
const SELF: u64 = 0x7ff0;
/// `UVMF_INVLPG | UVMF_LOCAL`.
const FLUSH_THIS: u64 = 2;
const UNPIN_TABLE: u32 = 4;
const NEW_BASEPTR: u32 = 5;
const TLB_FLUSH_LOCAL: u32 = 6;
const PHYSDEVOP_SET_IOPL: u64 = 6;
const SCHEDOP_SHUTDOWN: u64 = 2;
const SHUTDOWN_REBOOT: u32 = 1;

/// One line of the trap table (`trap_info`).
#[repr(C)]
pub(crate) struct TrapInfo {
    /// The exception; 0 with an address of 0 ends the table.
    pub vector: u8,
    /// Bit 2: interrupts stay off in the handler.
    pub flags: u8,
    /// The code segment it runs in.
    pub cs: u16,
    /// The handler.
    pub address: u64,
}

#[repr(C)]
struct MmuextOp {
    command: u32,
    argument_1: u64,
    argument_2: u64,
}

#[inline(never)]
fn hypercall(number: u64, arguments: [u64; 4]) -> i64 {
    let [first, second, third, fourth] = arguments;
    let returned: i64;
    // SAFETY: the 64-bit hypercall convention of `arch-x86/xen-x86_64.h`; Xen reads and writes memory only through
    // the addresses among the arguments, which the callers below take from values they own.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => returned,
            inlateout("rdi") first => _, inlateout("rsi") second => _,
            inlateout("rdx") third => _, inlateout("r10") fourth => _,
            out("rcx") _, out("r11") _, lateout("r8") _, lateout("r9") _,
        );
    }
    returned
}

fn address_of<T>(value: *const T) -> u64 {
    value as u64
}

/// Sets the exception handlers.
pub(crate) fn set_trap_table(table: &[TrapInfo]) -> i64 {
    hypercall(SET_TRAP_TABLE, [address_of(table.as_ptr()), 0, 0, 0])
}

/// Sets the entry that maps a virtual address.
pub(crate) fn update_va_mapping(address: u64, entry: u64) -> i64 {
    hypercall(UPDATE_VA_MAPPING, [address, entry, FLUSH_THIS, 0])
}

/// Sets one entry, by the machine address it has.
pub(crate) fn mmu_update(machine_address: u64, entry: u64) -> i64 {
    let request = [machine_address, entry];
    let mut n_done = 0u32;
    hypercall(MMU_UPDATE, [address_of(request.as_ptr()), 1, address_of(&raw mut n_done), SELF])
}

/// A range of a memory map (`e820entry`), 20 bytes long.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub(crate) struct MemoryRange {
    /// Where it starts.
    pub start: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What it is.
    pub kind: u32,
}

#[repr(C)]
struct MemoryMap {
    n_ranges: u32,
    ranges: *mut MemoryRange,
}

/// The machine's memory map, as much of it as there is room for: how many ranges there are, or why there are none.
pub(crate) fn memory_map(room: &mut [MemoryRange]) -> i64 {
    let mut map = MemoryMap { n_ranges: room.len() as u32, ranges: room.as_mut_ptr() };
    match hypercall(MEMORY_OP, [MACHINE_MEMORY_MAP, address_of(&raw mut map), 0, 0]) {
        0 => i64::from(map.n_ranges),
        refused => refused,
    }
}

fn mmuext(command: u32, argument_1: u64) -> i64 {
    let op = MmuextOp { command, argument_1, argument_2: 0 };
    let mut n_done = 0u32;
    hypercall(MMUEXT_OP, [address_of(&raw const op), 1, address_of(&raw mut n_done), SELF])
}

/// Pins a machine frame as a table of this level.
pub(crate) fn pin(level: u8, machine_frame: u64) -> i64 {
    mmuext(u32::from(level).wrapping_sub(1), machine_frame)
}

/// Takes a pin back.
pub(crate) fn unpin(machine_frame: u64) -> i64 {
    mmuext(UNPIN_TABLE, machine_frame)
}

/// Makes a machine frame, a table of level 4, the root that is in use.
pub(crate) fn use_root(machine_frame: u64) -> i64 {
    mmuext(NEW_BASEPTR, machine_frame)
}

/// Drops what the TLB knows.
pub(crate) fn flush_tlb() -> i64 {
    mmuext(TLB_FLUSH_LOCAL, 0)
}

/// Prints on the machine's console.
pub(crate) fn print(text: &[u8]) {
    hypercall(CONSOLE_IO, [0, text.len() as u64, address_of(text.as_ptr()), 0]);
}

/// Lets the guest use the machine's ports.
pub(crate) fn allow_ports() -> i64 {
    let level = 1u32;
    hypercall(PHYSDEV_OP, [PHYSDEVOP_SET_IOPL, address_of(&raw const level), 0, 0])
}

/// Has the machine restarted, which ends QEMU where it runs with `-no-reboot`.
pub(crate) fn reboot() -> i64 {
    let reason = SHUTDOWN_REBOOT;
    hypercall(SCHED_OP, [SCHEDOP_SHUTDOWN, address_of(&raw const reason), 0, 0])
}
