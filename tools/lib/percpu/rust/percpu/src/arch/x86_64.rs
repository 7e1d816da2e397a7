// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Restartable sequences for x86-64. Each is one block of assembly: between its first instruction
//! and its last store the compiler has no say.
//!
//! A sequence ends with its only visible store. An abort before it restarts nothing by itself: it
//! is reported, and the caller decides.

use core::arch::{asm, global_asm};

use crate::area::{CPU_ID, RSEQ_CS};
use crate::index::Index;

/// What the C library on x86-64 registers threads with: the bytes before an abort handler.
pub(crate) const SIGNATURE: u32 = 0x5305_3053;

/// What a sequence answers.
pub(crate) const DONE: u32 = 0;
pub(crate) const DIFFERENT: u32 = 1;
pub(crate) const ABORTED: u32 = 2;

// For threads whose C library does not register them: cpu_id is -1 until we do. And a word for
// RSEQ_DISABLE=random.
global_asm!(
    ".pushsection .tdata, \"awT\", @progbits",
    ".balign 32",
    ".hidden percpu_own_area",
    ".globl percpu_own_area",
    "percpu_own_area: .long 0, -1, 0, 0, 0, 0, 0, 0",
    ".hidden percpu_own_choice",
    ".globl percpu_own_choice",
    "percpu_own_choice: .long 0, 0, 0, 0, 0, 0, 0, 0",
    ".popsection",
    ".weak __rseq_offset",
    ".weak __rseq_size",
);

/// A number in the global offset table: the offset of a thread-local or the address of a symbol.
macro_rules! got {
    ($name:literal) => {{
        let value: isize;
        // SAFETY: Reads a word of the global offset table.
        unsafe {
            asm!(
                concat!("mov {}, qword ptr [rip + ", $name, "]"),
                out(reg) value,
                options(nostack, preserves_flags, pure, readonly),
            )
        };
        value
    }};
}

pub(crate) fn own_area() -> isize {
    got!("percpu_own_area@GOTTPOFF")
}

pub(crate) fn own_choice() -> isize {
    got!("percpu_own_choice@GOTTPOFF")
}

/// `__rseq_offset`. Not by dlsym(), which may allocate.
pub(crate) fn libc_offset() -> Option<isize> {
    let address = got!("__rseq_offset@GOTPCREL") as *const isize;
    // SAFETY: Of the C library, constant once it is initialized.
    (!address.is_null()).then(|| unsafe { address.read() })
}

/// `__rseq_size`: 0 if it does not register threads.
pub(crate) fn libc_size() -> Option<u32> {
    let address = got!("__rseq_size@GOTPCREL") as *const u32;
    // SAFETY: As above.
    (!address.is_null()).then(|| unsafe { address.read() })
}

pub(crate) fn thread_pointer() -> usize {
    let value: usize;
    // SAFETY: The first word that fs points to is its own address, by the ABI.
    unsafe {
        asm!(
            "mov {}, qword ptr fs:[0]",
            out(reg) value,
            options(nostack, preserves_flags, pure, readonly),
        )
    };
    value
}

/// # Safety
///
/// `offset` is of a word in the thread-local memory of the thread.
#[inline(always)]
pub(crate) unsafe fn load(offset: isize) -> u32 {
    let value: u32;
    // SAFETY: By contract.
    unsafe {
        asm!(
            "mov {:e}, dword ptr fs:[{}]",
            out(reg) value,
            in(reg) offset,
            options(nostack, preserves_flags, readonly),
        )
    };
    value
}

/// # Safety
///
/// As for [`load()`], and nothing but this crate writes there.
pub(crate) unsafe fn store(offset: isize, value: u32) {
    // SAFETY: By contract.
    unsafe {
        asm!(
            "mov dword ptr fs:[{}], {:e}",
            in(reg) offset,
            in(reg) value,
            options(nostack, preserves_flags),
        )
    };
}

/// The start of a sequence: instructions from 2 to 3 are in it, 4 is where it is aborted to, and 5
/// is behind it. Goes to 4 as well if the thread is not registered. Clobbers {t}.
macro_rules! begin {
    () => {
        concat!(
            ".pushsection __rseq_cs, \"aw\", @progbits\n",
            ".balign 32\n",
            "7: .long 0, 0\n",
            ".quad 2f, 3f - 2f, 4f\n",
            ".popsection\n",
            // Nothing but debuggers uses it.
            ".pushsection __rseq_cs_ptr_array, \"awR\", @progbits\n",
            ".quad 7b\n",
            ".popsection\n",
            ".pushsection __rseq_failure, \"ax\", @progbits\n",
            // ud1 with the signature as its operand.
            ".byte 0x0f, 0xb9, 0x3d\n",
            ".long 0x53053053\n",
            "4: mov {status:e}, {aborted}\n",
            "jmp 5f\n",
            ".popsection\n",
            "lea {t}, [rip + 7b]\n",
            "mov qword ptr fs:[{area} + {cs}], {t}\n",
            "2:\n",
            "cmp dword ptr fs:[{area} + {cpu}], 0\n",
            "jl 4b\n",
        )
    };
}

/// The same for a sequence that is for an index.
macro_rules! begin_at {
    () => {
        concat!(
            begin!(),
            "cmp dword ptr fs:[{area} + {field}], {index:e}\n",
            "jne 4b\n",
        )
    };
}

/// The same for a sequence that is for the index that the thread has: then {t} is the offset of what
/// belongs to it.
macro_rules! begin_here {
    () => {
        concat!(
            begin!(),
            "mov {t:e}, dword ptr fs:[{area} + {field}]\n",
            "shl {t}, {shift}\n",
        )
    };
}

/// The end of a sequence that compares, which goes to 6 where that fails.
macro_rules! end {
    () => {
        concat!(
            "3:\n",
            "xor {status:e}, {status:e}\n",
            ".pushsection __rseq_failure, \"ax\", @progbits\n",
            "6: mov {status:e}, {different}\n",
            "jmp 5f\n",
            ".popsection\n",
            "5:\n",
        )
    };
}

/// One block of assembly: the code, in braces, and what is not common to all sequences: answers
/// `{status}`.
macro_rules! sequence {
    ($area:ident, $aborted:expr, { $($code:tt)* }, $($operands:tt)*) => {{
        let status;
        // SAFETY: By contract of the function that this is in.
        unsafe {
            asm!(
                $($code)*
                $($operands)*
                area = in(reg) $area,
                status = out(reg) status,
                t = out(reg) _,
                cs = const RSEQ_CS, cpu = const CPU_ID, field = const I::FIELD,
                aborted = const $aborted,
                options(nostack),
            )
        };
        status
    }};
}

/// # Safety
///
/// `area` is from [`crate::area`]; `v` can be written, and only sequences and cpu_opv(2) for
/// `index` write there. So for all below.
#[inline(always)]
pub(crate) unsafe fn addv<I: Index>(area: isize, v: *mut isize, count: isize, index: u32) -> u32 {
    sequence!(area, ABORTED, {
        begin_at!(),
        "add qword ptr [{v}], {count}",
        "3:",
        "xor {status:e}, {status:e}",
        "5:",
    },
        v = in(reg) v,
        count = in(reg) count,
        index = in(reg) index,
    )
}

/// # Safety
///
/// See [`addv()`].
#[inline(always)]
pub(crate) unsafe fn cmpeqv_storev<I: Index>(
    area: isize,
    v: *mut usize,
    expect: usize,
    newv: usize,
    index: u32,
) -> u32 {
    sequence!(area, ABORTED, {
        begin_at!(),
        "cmp qword ptr [{v}], {expect}",
        "jne 6f",
        "mov qword ptr [{v}], {newv}",
        end!(),
    },
        v = in(reg) v,
        expect = in(reg) expect,
        newv = in(reg) newv,
        index = in(reg) index,
        different = const DIFFERENT,
    )
}

/// What was in `*v` is the second answer if the first is [`DONE`].
///
/// # Safety
///
/// See [`addv()`]; and while a value is in `*v`, a word can be read `voffp` bytes behind it.
#[inline(always)]
pub(crate) unsafe fn cmpnev_storeoffp_load<I: Index>(
    area: isize,
    v: *mut usize,
    expectnot: usize,
    voffp: isize,
    index: u32,
) -> (u32, usize) {
    let load;
    let status = sequence!(area, ABORTED, {
        begin_at!(),
        "mov {load}, qword ptr [{v}]",
        "cmp {load}, {expectnot}",
        "je 6f",
        "mov {t}, qword ptr [{load} + {voffp}]",
        "mov qword ptr [{v}], {t}",
        end!(),
    },
        v = in(reg) v,
        expectnot = in(reg) expectnot,
        voffp = in(reg) voffp,
        load = out(reg) load,
        index = in(reg) index,
        different = const DIFFERENT,
    );
    (status, load)
}

/// # Safety
///
/// See [`addv()`]; and `len` bytes can be read at `src` and written at `dst`, where they do not
/// matter unless the sequence is done.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn cmpeqv_memcpy_storev<I: Index>(
    area: isize,
    v: *mut usize,
    expect: usize,
    dst: *mut u8,
    src: *const u8,
    len: usize,
    newv: usize,
    index: u32,
) -> u32 {
    sequence!(area, ABORTED, {
        begin_at!(),
        "cmp qword ptr [{v}], {expect}",
        "jne 6f",
        "rep movsb",
        "mov qword ptr [{v}], {newv}",
        end!(),
    },
        v = in(reg) v,
        expect = in(reg) expect,
        newv = in(reg) newv,
        inout("rdi") dst => _,
        inout("rsi") src => _,
        inout("rcx") len => _,
        index = in(reg) index,
        different = const DIFFERENT,
    )
}

/// A list, of which the head has the number of nodes above bit 48 and the address of the first
/// below, so that whoever takes it knows its length.
const COUNT: u32 = 48;

/// Answers 0 if the list is empty, 1 if aborted, else the node.
///
/// # Safety
///
/// `head` is that of index 0, others are 1 << SHIFT bytes apart; see also [`addv()`].
#[inline(always)]
pub(crate) unsafe fn pop_here<I: Index, const SHIFT: u32>(area: isize, head: *mut usize) -> usize {
    sequence!(area, 1, {
        begin_here!(),
        "mov {n}, qword ptr [{head} + {t}]",
        "mov {status}, {n}",
        "shl {status}, 64 - {count}",
        "jz 5f",
        "shr {status}, 64 - {count}",
        "mov {n}, qword ptr [{status}]",
        "mov qword ptr [{head} + {t}], {n}",
        "3:",
        "5:",
    },
        head = in(reg) head,
        n = out(reg) _,
        shift = const SHIFT, count = const COUNT,
    )
}

/// Unless the list has `limit` nodes already: then [`DIFFERENT`].
///
/// # Safety
///
/// See [`pop_here()`]; the first word of the node is the list's now.
#[inline(always)]
pub(crate) unsafe fn push_here<I: Index, const SHIFT: u32>(
    area: isize,
    head: *mut usize,
    node: usize,
    limit: usize,
) -> u32 {
    sequence!(area, ABORTED, {
        begin_here!(),
        "mov {n}, qword ptr [{head} + {t}]",
        "mov qword ptr [{node}], {n}",
        "shr {n}, {count}",
        "cmp {n}, {limit}",
        "jae 6f",
        "inc {n}",
        "shl {n}, {count}",
        "or {n}, {node}",
        "mov qword ptr [{head} + {t}], {n}",
        end!(),
    },
        head = in(reg) head,
        node = in(reg) node,
        limit = in(reg) limit,
        n = out(reg) _,
        different = const DIFFERENT,
        shift = const SHIFT, count = const COUNT,
    )
}
