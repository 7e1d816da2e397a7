// SPDX-License-Identifier: GPL-2.0

//! Copies in a given direction.
//!
//! `memmove()` cannot tell from kernel addresses whether two ranges of user memory overlap: they can
//! be mapped anywhere. And the preemption-off section is to be short: words are copied, not bytes.

#[cfg(CONFIG_X86_64)]
use core::arch::asm;

/// Copies `len` bytes in ascending order.
///
/// # Safety
///
/// `src` must be valid for reads and `dst` for writes of `len` bytes, both also when others access
/// them at the same time.
#[cfg(CONFIG_X86_64)]
#[inline]
pub(crate) unsafe fn forward(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: By the safety requirements; the direction flag is clear.
    unsafe {
        asm!(
            "rep movsq",
            "mov {tail:e}, %ecx",
            "rep movsb",
            tail = in(reg) len % 8,
            inout("rcx") len / 8 => _,
            inout("rdi") dst => _,
            inout("rsi") src => _,
            options(att_syntax, nostack, preserves_flags)
        )
    }
}

/// Copies `len` bytes in descending order.
///
/// # Safety
///
/// As for [`forward`].
#[cfg(CONFIG_X86_64)]
#[inline]
pub(crate) unsafe fn backward(dst: *mut u8, src: *const u8, len: usize) {
    let last = len.wrapping_sub(1);

    // SAFETY: By the safety requirements. After the tail, of `len % 8` bytes, the pointers are at
    // the last byte of the last word; they are moved to its first byte.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "sub $7, %rdi",
            "sub $7, %rsi",
            "mov {words}, %rcx",
            "rep movsq",
            "cld",
            words = in(reg) len / 8,
            inout("rcx") len % 8 => _,
            inout("rdi") dst.wrapping_add(last) => _,
            inout("rsi") src.wrapping_add(last) => _,
            options(att_syntax, nostack)
        )
    }
}

/// Copies `len` bytes in ascending order.
///
/// # Safety
///
/// `src` must be valid for reads and `dst` for writes of `len` bytes, both also when others access
/// them at the same time.
#[cfg(not(CONFIG_X86_64))]
pub(crate) unsafe fn forward(dst: *mut u8, src: *const u8, len: usize) {
    for i in 0..len {
        // SAFETY: By the safety requirements.
        unsafe { dst.add(i).write_volatile(src.add(i).read_volatile()) };
    }
}

/// Copies `len` bytes in descending order.
///
/// # Safety
///
/// As for [`forward`].
#[cfg(not(CONFIG_X86_64))]
pub(crate) unsafe fn backward(dst: *mut u8, src: *const u8, len: usize) {
    for i in (0..len).rev() {
        // SAFETY: By the safety requirements.
        unsafe { dst.add(i).write_volatile(src.add(i).read_volatile()) };
    }
}
