// SPDX-License-Identifier: GPL-2.0

//! Access to memory that may turn out to be poisoned, on x86-64.
//!
//! C: [`arch/x86/lib/copy_mc_64.S`](srctree/arch/x86/lib/copy_mc_64.S),
//! [`arch/x86/kernel/cpu/mce/severity.c`](srctree/arch/x86/kernel/cpu/mce/severity.c)

use crate::mm::mc::Poisoned;
use core::arch::asm;

macro_rules! words {
    ($($word:ty, $load:ident, $store:ident, $suffix:literal, $register:literal, $class:ident;)+) => {
        $(
            /// Loads a word, which need not be aligned.
            ///
            /// # Safety
            ///
            /// `ptr` must be kernel memory, which may be poisoned.
            ///
            /// # Errors
            ///
            /// [`Poisoned`]
            #[inline(always)]
            pub unsafe fn $load(ptr: *const u8) -> Result<$word, Poisoned> {
                let value: $word;
                let trap: u32;

                // SAFETY: By the safety requirements. A fault sets `trap` and skips the load.
                unsafe {
                    asm!(
                        concat!("1: mov", $suffix, " ({ptr}), {value", $register, "}\n9:"),
                        asm_extable_mc!(1),
                        ptr = in(reg) ptr,
                        value = out($class) value,
                        inout("eax") 0u32 => trap,
                        options(att_syntax, nostack, preserves_flags),
                    )
                };
                if trap != 0 {
                    return Err(Poisoned);
                }
                Ok(value)
            }

            /// Stores a word, which need not be aligned.
            ///
            /// # Safety
            ///
            /// `ptr` must be kernel memory that may be written, and may be poisoned.
            ///
            /// # Errors
            ///
            /// [`Poisoned`]
            #[inline(always)]
            pub unsafe fn $store(ptr: *mut u8, value: $word) -> Result<(), Poisoned> {
                let trap: u32;

                // SAFETY: As above.
                unsafe {
                    asm!(
                        concat!("1: mov", $suffix, " {value", $register, "}, ({ptr})\n9:"),
                        asm_extable_mc!(1),
                        ptr = in(reg) ptr,
                        value = in($class) value,
                        inout("eax") 0u32 => trap,
                        options(att_syntax, nostack, preserves_flags),
                    )
                };
                if trap != 0 {
                    return Err(Poisoned);
                }
                Ok(())
            }
        )+
    };
}

words! {
    u8, load_u8, store_u8, "b", "", reg_byte;
    u16, load_u16, store_u16, "w", ":x", reg;
    u32, load_u32, store_u32, "l", ":e", reg;
    u64, load_u64, store_u64, "q", "", reg;
}

/// Has the CPU load `len` bytes into its caches.
///
/// # Safety
///
/// `ptr` must be `len` bytes of kernel memory, which may be poisoned.
///
/// # Errors
///
/// [`Poisoned`]
#[inline(always)]
pub unsafe fn touch(ptr: *const u8, len: usize) -> Result<(), Poisoned> {
    const LINE: usize = 64;
    let trap: u32;

    if len == 0 {
        return Ok(());
    }
    // The first byte, and from the last one on those that are one line apart.
    //
    // SAFETY: By the safety requirements. A fault ends it.
    unsafe {
        asm!(
            "1: movb ({ptr}), {byte}",
            "2: movb -1({ptr}, {left}), {byte}",
            "sub ${line}, {left}",
            "ja 2b",
            "9:",
            asm_extable_mc!(1),
            asm_extable_mc!(2),
            ptr = in(reg) ptr,
            left = inout(reg) len => _,
            byte = out(reg_byte) _,
            line = const LINE,
            inout("eax") 0u32 => trap,
            options(att_syntax, nostack, readonly)
        )
    };
    if trap != 0 {
        return Err(Poisoned);
    }
    Ok(())
}

/// Copies `len` bytes in ascending order: words, then the rest by bytes.
///
/// # Safety
///
/// Both must be `len` bytes of kernel memory, which may be poisoned; those at `dst` may be written.
///
/// # Errors
///
/// [`Poisoned`], and then any part may have been copied.
#[inline]
pub unsafe fn copy_forward(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Poisoned> {
    let trap: u32;

    // SAFETY: By the safety requirements; the direction flag is clear. A fault ends the copy.
    unsafe {
        asm!(
            "1: rep movsq",
            "mov {tail:e}, %ecx",
            "2: rep movsb",
            "9:",
            asm_extable_mc!(1),
            asm_extable_mc!(2),
            tail = in(reg) len % 8,
            inout("rcx") len / 8 => _,
            inout("rdi") dst => _,
            inout("rsi") src => _,
            inout("eax") 0u32 => trap,
            options(att_syntax, nostack, preserves_flags)
        )
    }
    if trap != 0 {
        return Err(Poisoned);
    }
    Ok(())
}

/// Copies `len` bytes in descending order: the bytes of the last, incomplete word, then words.
///
/// # Safety
///
/// As for [`copy_forward`].
///
/// # Errors
///
/// As for [`copy_forward`].
#[inline]
pub unsafe fn copy_backward(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Poisoned> {
    let last = len.wrapping_sub(1);
    let trap: u32;

    // SAFETY: By the safety requirements. After the tail, of `len % 8` bytes, the pointers are at the
    // last byte of the last word; they are moved to its first byte. The direction flag is cleared at
    // the end, also after a fault.
    unsafe {
        asm!(
            "std",
            "1: rep movsb",
            "sub $7, %rdi",
            "sub $7, %rsi",
            "mov {words}, %rcx",
            "2: rep movsq",
            "9: cld",
            asm_extable_mc!(1),
            asm_extable_mc!(2),
            words = in(reg) len / 8,
            inout("rcx") len % 8 => _,
            inout("rdi") dst.wrapping_add(last) => _,
            inout("rsi") src.wrapping_add(last) => _,
            inout("eax") 0u32 => trap,
            options(att_syntax, nostack)
        )
    }
    if trap != 0 {
        return Err(Poisoned);
    }
    Ok(())
}
