// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `core` of the hosted target expects a C library to provide.

use core::arch::asm;

/// # Safety
/// As C's `memset`.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: the caller owns `n` bytes at `to`; the direction flag is clear.
    unsafe { asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte.to_le_bytes()[0]) };
    to
}

/// # Safety
/// As C's `memcpy`.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller owns `n` bytes at both, apart from each other; the direction flag is clear.
    unsafe { asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _) };
    to
}

/// # Safety
/// As C's `memmove`.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if to.addr() <= from.addr() {
        // SAFETY: as the caller's; forwards, no byte is overwritten before it is read.
        return unsafe { memcpy(to, from, n) };
    }
    let (last_to, last_from) = (to.wrapping_add(n).wrapping_sub(1), from.wrapping_add(n).wrapping_sub(1));
    // SAFETY: as the caller's; backwards, no byte is overwritten before it is read, and the flag is cleared again.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") n => _, inout("rdi") last_to => _, inout("rsi") last_from => _)
    };
    to
}

/// # Safety
/// As C's `memcmp`.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, n: usize) -> i32 {
    for at in 0..n {
        // SAFETY: the caller owns `n` bytes at `left`.
        let one = unsafe { left.wrapping_add(at).read_volatile() };
        // SAFETY: the caller owns `n` bytes at `right`.
        let other = unsafe { right.wrapping_add(at).read_volatile() };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

/// # Safety
/// As `memcmp`.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, n: usize) -> i32 {
    // SAFETY: as the caller's.
    unsafe { memcmp(left, right, n) }
}

/// Never called: a panic stops the guest.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Never called: a panic stops the guest.
// SAFETY: nothing else is linked that has the name.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}
