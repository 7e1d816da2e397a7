// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! What the kernel does for us. errno stays what it was: free() must not change it.

use core::ptr::null_mut;
use core::sync::atomic::AtomicU32;

/// Runs a system call, and puts errno back.
pub(crate) fn quietly<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: The address of this thread's errno.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let result = call();
        *errno = before;
        result
    }
}

pub(crate) fn wait(word: &AtomicU32, value: u32) {
    // SAFETY: The word is there as long as the call.
    quietly(|| unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            0,
        )
    });
}

pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: As above.
    quietly(|| unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        )
    });
}

fn map_anywhere(len: usize) -> Option<usize> {
    let rw = libc::PROT_READ | libc::PROT_WRITE;
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: A new mapping.
    let address = quietly(|| unsafe { libc::mmap(null_mut(), len, rw, private, -1, 0) });
    (address != libc::MAP_FAILED).then_some(address as usize)
}

/// Zeroed memory at a multiple of `align`, which is a power of 2 and of pages, as `len` is of pages.
pub(crate) fn map(len: usize, align: usize) -> Option<usize> {
    let address = map_anywhere(len)?;
    if address % align == 0 {
        return Some(address);
    }
    // SAFETY: The mapping that was just made.
    unsafe { unmap(address, len) };
    let address = map_anywhere(len.checked_add(align)?)?;
    let aligned = address.next_multiple_of(align);
    let (before, behind) = (aligned - address, align - (aligned - address));
    // SAFETY: What is around the aligned part of the mapping that was just made.
    unsafe {
        if before > 0 {
            unmap(address, before);
        }
        if behind > 0 {
            unmap(aligned + len, behind);
        }
    }
    Some(aligned)
}

/// # Safety
///
/// Nobody uses that memory any more.
pub(crate) unsafe fn unmap(address: usize, len: usize) {
    // SAFETY: By contract.
    quietly(|| unsafe { libc::munmap(address as *mut _, len) });
}

/// Gives the memory back; it is zeroed when it is next used.
///
/// # Safety
///
/// Nobody needs what is there.
pub(crate) unsafe fn discard(address: usize, len: usize) {
    // SAFETY: By contract.
    quietly(|| unsafe { libc::madvise(address as *mut _, len, libc::MADV_DONTNEED) });
}

/// Ends the program because it is wrong.
pub(crate) fn die(message: &str) -> ! {
    // SAFETY: The message has that length.
    unsafe {
        libc::write(2, message.as_ptr().cast(), message.len());
        libc::abort()
    }
}
