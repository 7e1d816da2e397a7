// SPDX-License-Identifier: GPL-2.0

//! User access regions on x86-64.
//!
//! C headers: [`arch/x86/include/asm/uaccess.h`](srctree/arch/x86/include/asm/uaccess.h),
//! [`arch/x86/include/asm/smap.h`](srctree/arch/x86/include/asm/smap.h)

use super::{
    Fault,
    UserRead,
    UserWord, //
};
use crate::{
    bindings,
    page::PAGE_SIZE,
    task::CurrentTask,
    uaccess::UserPtr, //
};
use core::{
    arch::asm,
    mem::offset_of, //
};

include!(concat!(
    env!("OBJTREE"),
    "/rust/kernel/generated_arch_uaccess_asm.rs"
));

// After the macros, which it uses too.
#[path = "x86_64/mc.rs"]
pub(crate) mod mc;

// The layout of C, of what is used of it.
const _: () = {
    use bindings::task_struct;

    assert!(offset_of!(task_struct, thread_info.flags) == bindings::TASK_STRUCT_THREAD_INFO_FLAGS);
    assert!(offset_of!(task_struct, personality) == bindings::TASK_STRUCT_PERSONALITY);
};

/// Opens the access to user memory.
#[inline(always)]
pub(super) fn begin() {
    // SAFETY: Sets `RFLAGS.AC`, which no Rust code depends on. As the assembly may touch all memory,
    // no access moves across it.
    unsafe { asm!(asm_stac!(), options(att_syntax, nostack)) };
}

/// Closes the access to user memory.
#[inline(always)]
pub(super) fn end() {
    // SAFETY: As in `begin()`, clearing the flag.
    unsafe { asm!(asm_clac!(), options(att_syntax, nostack)) };
}

/// Returns the highest user address.
#[inline(always)]
fn user_ptr_max() -> usize {
    // Not the runtime constant that C uses: it cannot be used in modules, which this may be inlined
    // into.
    //
    // SAFETY: Written once during boot, before there is user space.
    unsafe { bindings::USER_PTR_MAX }
}

/// Returns whether the `len` bytes at `ptr` can be user memory, as `__access_ok()`.
#[inline(always)]
pub(in crate::uaccess) fn access_ok(ptr: UserPtr, len: usize) -> bool {
    (ptr.as_const_ptr() as usize)
        .checked_add(len)
        .is_some_and(|end| end <= user_ptr_max())
}

/// Returns `ptr` if it is a user address, else the highest one, above which one page is unmapped.
///
/// As `mask_user_address()`: a conditional move, which is not speculated.
#[inline(always)]
pub(super) fn user_address(ptr: UserPtr) -> Result<*mut u8, Fault> {
    let mut address = ptr.as_mut_ptr() as usize;
    let max = user_ptr_max();

    // SAFETY: Computes with registers only.
    unsafe {
        asm!(
            "cmp {max}, {address}",
            "cmova {max}, {address}",
            max = in(reg) max,
            address = inout(reg) address,
            options(att_syntax, pure, nomem, nostack),
        )
    };
    Ok(address as *mut u8)
}

/// Returns the size in bytes of the user address space of `task`, as `TASK_SIZE` does.
///
/// Depends on the program that the task runs: 4 GiB or less for 32-bit programs, and otherwise the
/// largest user address that the processor supports. May be called inside a
/// [`UserRegion`](super::UserRegion).
///
/// C header: [`arch/x86/include/asm/page_64_types.h`](srctree/arch/x86/include/asm/page_64_types.h)
#[inline(always)]
pub fn task_size(task: &CurrentTask) -> u64 {
    let task = task.as_ptr();
    let size: u64;

    // In assembly, like everything that happens inside a region: the debug assertions of a
    // dereference are calls.
    //
    // SAFETY: The task is current, hence valid. Its flags are also written by others, at once; the
    // bit of interest changes in `execve()` of the task itself only.
    unsafe {
        asm!(
            "testl ${addr32}, {flags}({task})",
            "jnz {compat}",
            task = in(reg) task,
            flags = const offset_of!(bindings::task_struct, thread_info.flags),
            addr32 = const 1u32 << bindings::TIF_ADDR32,
            compat = label { return ia32_page_offset(task) },
            options(att_syntax, nostack, readonly),
        )
    };

    // SAFETY: Loads a constant into a register.
    unsafe {
        asm!(
            asm_task_size_max!(),
            max = out(reg) size,
            small = const (1u64 << 47) - PAGE_SIZE as u64,
            large = const (1u64 << 56) - PAGE_SIZE as u64,
            options(att_syntax, pure, nomem, nostack, preserves_flags),
        )
    };
    size
}

/// Returns the size in bytes of the user address space of a 32-bit program, as `IA32_PAGE_OFFSET`.
#[inline(always)]
fn ia32_page_offset(task: *mut bindings::task_struct) -> u64 {
    let personality: u32;

    // SAFETY: The task is current, hence valid, and only itself writes its personality.
    unsafe {
        asm!(
            "movl {personality}({task}), {value:e}",
            task = in(reg) task,
            personality = const offset_of!(bindings::task_struct, personality),
            value = out(reg) personality,
            options(att_syntax, nostack, readonly, preserves_flags),
        )
    };
    if personality & bindings::ADDR_LIMIT_3GB != 0 {
        0xc000_0000
    } else {
        0xffff_e000
    }
}

macro_rules! impl_user_word {
    ($word:ty, $suffix:literal, $register:literal, $class:ident) => {
        // SAFETY: One load of the size of the word at `ptr + OFF`, with an exception table entry.
        unsafe impl UserRead for $word {
            #[inline(always)]
            unsafe fn read<const OFF: usize>(ptr: *const u8) -> Result<Self, Fault> {
                let value: $word;
                let error: u32;

                // SAFETY: By the safety requirements the load reads user memory or faults. A fault
                // sets `error` and skips the load.
                unsafe {
                    asm!(
                        concat!("1: mov", $suffix, " {off}({ptr}), {value", $register, "}\n9:\n"),
                        asm_extable_rcx!(1),
                        ptr = in(reg) ptr,
                        off = const OFF,
                        value = out($class) value,
                        inout("ecx") 0u32 => error,
                        options(att_syntax, nostack, preserves_flags),
                    )
                };
                if error != 0 {
                    return Err(Fault);
                }
                Ok(value)
            }
        }

        // SAFETY: One access of the size of the word at `ptr + OFF` each, with an exception table
        // entry.
        unsafe impl UserWord for $word {
            #[inline(always)]
            unsafe fn write<const OFF: usize>(self, ptr: *mut u8) -> Result<(), Fault> {
                // SAFETY: By the safety requirements the store writes user memory or faults.
                unsafe {
                    asm!(
                        concat!("1: mov", $suffix, " {value", $register, "}, {off}({ptr})\n"),
                        asm_extable_label!(),
                        ptr = in(reg) ptr,
                        off = const OFF,
                        value = in($class) self,
                        fault = label { return Err(Fault) },
                        options(att_syntax, nostack, preserves_flags),
                    )
                };
                Ok(())
            }

            #[inline(always)]
            unsafe fn clear<const OFF: usize>(ptr: *mut u8) -> Result<(), Fault> {
                // SAFETY: As in `write()`.
                unsafe {
                    asm!(
                        concat!("1: mov", $suffix, " $0, {off}({ptr})\n"),
                        asm_extable_label!(),
                        ptr = in(reg) ptr,
                        off = const OFF,
                        fault = label { return Err(Fault) },
                        options(att_syntax, nostack, preserves_flags),
                    )
                };
                Ok(())
            }

            #[inline(always)]
            unsafe fn equals<const OFF: usize>(self, ptr: *const u8) -> Result<bool, Fault> {
                // SAFETY: By the safety requirements the compare reads user memory or faults.
                unsafe {
                    asm!(
                        concat!("1: cmp", $suffix, " {value", $register, "}, {off}({ptr})\n"),
                        "jne {differs}",
                        asm_extable_label!(),
                        ptr = in(reg) ptr,
                        off = const OFF,
                        value = in($class) self,
                        differs = label { return Ok(false) },
                        fault = label { return Err(Fault) },
                        options(att_syntax, nostack, readonly),
                    )
                };
                Ok(true)
            }

            #[inline(always)]
            unsafe fn is_zero<const OFF: usize>(ptr: *const u8) -> Result<bool, Fault> {
                // SAFETY: As in `equals()`.
                unsafe {
                    asm!(
                        concat!("1: cmp", $suffix, " $0, {off}({ptr})\n"),
                        "jne {differs}",
                        asm_extable_label!(),
                        ptr = in(reg) ptr,
                        off = const OFF,
                        differs = label { return Ok(false) },
                        fault = label { return Err(Fault) },
                        options(att_syntax, nostack, readonly),
                    )
                };
                Ok(true)
            }
        }
    };
}

impl_user_word!(u8, "b", "", reg_byte);
impl_user_word!(u16, "w", ":x", reg);
impl_user_word!(u32, "l", ":e", reg);
impl_user_word!(u64, "q", "", reg);

macro_rules! impl_user_words {
    ($len:literal: $($label:tt $off:literal $word:ident),+) => {
        // SAFETY: That many loads of 8 bytes each from `ptr + OFF` on, with exception table entries.
        unsafe impl UserRead for [u64; $len] {
            // One error register, and one test of it, for all loads.
            #[inline(always)]
            unsafe fn read<const OFF: usize>(ptr: *const u8) -> Result<Self, Fault> {
                $(let $word: u64;)+
                let error: u32;

                // SAFETY: By the safety requirements the loads read user memory or fault. A fault
                // sets `error` and skips the rest.
                unsafe {
                    asm!(
                        $(concat!(
                            $label, ": movq {off} + ", $off, "({ptr}), {", stringify!($word), "}"
                        ),)+
                        "9:",
                        $(asm_extable_rcx!($label),)+
                        ptr = in(reg) ptr,
                        off = const OFF,
                        $($word = out(reg) $word,)+
                        inout("ecx") 0u32 => error,
                        options(att_syntax, nostack, preserves_flags),
                    )
                };
                if error != 0 {
                    return Err(Fault);
                }
                Ok([$($word),+])
            }
        }
    };
}

impl_user_words!(3: 1 0 a, 2 8 b, 3 16 c);
impl_user_words!(4: 1 0 a, 2 8 b, 3 16 c, 4 24 d);
