// SPDX-License-Identifier: GPL-2.0

//! Access to memory that may turn out to be poisoned.
//!
//! A load of memory with an error that the hardware cannot correct raises a machine check, and a
//! page known to be bad is taken out of the kernel's own mapping. For memory of user space neither
//! must cost more than an error of those who use it: these functions return one, as
//! `copy_mc_to_kernel()` does.
//!
//! Words are accessed at once, by one instruction. Others may access all of the memory at the same
//! time.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use crate::prelude::*;
pub use crate::uaccess::access::mc::{
    copy_backward,
    copy_forward,
    load_u16,
    load_u32,
    load_u64,
    load_u8,
    store_u16,
    store_u32,
    store_u64,
    store_u8,
    touch, //
};

/// Memory that could not be accessed.
///
/// Converts to [`EFAULT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poisoned;

impl From<Poisoned> for Error {
    fn from(_: Poisoned) -> Error {
        EFAULT
    }
}

/// Returns whether `len` bytes at `a` and `b` are the same.
///
/// # Safety
///
/// Both must be `len` bytes of kernel memory, which may be poisoned.
///
/// # Errors
///
/// [`Poisoned`]
///
/// # Examples
///
/// ```
/// use kernel::mm::mc;
///
/// let (a, b) = (*b"per-CPU data", *b"per-cpu data");
/// // SAFETY: There are so many bytes.
/// unsafe {
///     assert_eq!(mc::equal(a.as_ptr(), b.as_ptr(), 4), Ok(true));
///     assert_eq!(mc::equal(a.as_ptr(), b.as_ptr(), 12), Ok(false));
/// }
/// ```
#[inline]
pub unsafe fn equal(a: *const u8, b: *const u8, len: usize) -> Result<bool, Poisoned> {
    const WORD: usize = size_of::<u64>();
    let mut at = 0;

    while at + WORD <= len {
        // SAFETY: By the safety requirements, as `at + WORD` is at most `len`.
        if unsafe { load_u64(a.wrapping_add(at))? != load_u64(b.wrapping_add(at))? } {
            return Ok(false);
        }
        at += WORD;
    }
    while at < len {
        // SAFETY: By the safety requirements, as `at` is less than `len`.
        if unsafe { load_u8(a.wrapping_add(at))? != load_u8(b.wrapping_add(at))? } {
            return Ok(false);
        }
        at += 1;
    }
    Ok(true)
}
