// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! cpu_opv(2): a vector of operations for a CPU or concurrency ID, whatever runs there.

use core::mem::size_of;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{Error, Index};

/// From include/uapi/linux/cpu_opv.h.
const SYS_CPU_OPV: libc::c_long = 473;
const FLAGS_FLAG: u32 = 1 << 2;
pub(crate) const MM_CID_FLAG: u32 = 1 << 3;
/// Bytes that a copy can have.
pub(crate) const DATA_LEN_MAX: usize = 4096;
/// Bytes that all operations of a vector can have.
pub(crate) const VECTOR_LEN_MAX: usize = DATA_LEN_MAX + 15 * 8;

/// How often a vector is tried that lost against others.
const TRIES: u32 = 1000;

/// `struct cpu_op`.
#[repr(C)]
pub(crate) struct Op {
    op: i32,
    len: u32,
    args: [u64; 3],
}

const _: () = assert!(size_of::<Op>() == 32);

const COMPARE_EQ: i32 = 0;
const MEMCPY: i32 = 2;
const ADD: i32 = 3;

impl Op {
    /// Stops the vector unless the words are equal.
    pub(crate) fn eq(a: *const usize, b: *const usize) -> Op {
        Op {
            op: COMPARE_EQ,
            len: 8,
            args: [a as u64, b as u64, 0],
        }
    }

    pub(crate) fn memcpy(dst: *mut u8, src: *const u8, len: usize) -> Op {
        Op {
            op: MEMCPY,
            len: len as u32,
            args: [dst as u64, src as u64, 0],
        }
    }

    pub(crate) fn store(dst: *mut usize, src: *const usize) -> Op {
        Self::memcpy(dst.cast(), src.cast(), size_of::<usize>())
    }

    /// As [`store()`](Self::store), where `src` may be gone, or not be there yet, if a comparison
    /// before it fails later: `EAGAIN` instead of `EFAULT`.
    pub(crate) fn store_guess(dst: *mut usize, src: *const usize) -> Op {
        /// `expect_fault_src`.
        const EXPECT_FAULT: u64 = 1 << 8;

        let mut op = Self::store(dst, src);
        op.args[2] = EXPECT_FAULT;
        op
    }

    pub(crate) fn add(p: *mut isize, count: isize) -> Op {
        Op {
            op: ADD,
            len: 8,
            args: [p as u64, count as u64, 0],
        }
    }
}

/// The flags that the kernel knows, and that they are known.
static FLAGS: AtomicU32 = AtomicU32::new(0);
const ASKED: u32 = 1 << 31;

/// Whether the kernel has it for that kind of index, and `PERCPU_FALLBACK=none` does not hide it.
pub fn available<I: Index>() -> bool {
    let mut flags = FLAGS.load(Relaxed);
    if flags == 0 {
        flags = ASKED | ask();
        FLAGS.store(flags, Relaxed);
    }
    let needed = FLAGS_FLAG | I::FLAGS;
    flags & needed == needed
}

fn ask() -> u32 {
    if crate::environment(c"PERCPU_FALLBACK") == b"none" {
        return 0;
    }
    // SAFETY: The call ignores all else. Any failure means that it is not there.
    unsafe { libc::syscall(SYS_CPU_OPV, 0, 0, 0, FLAGS_FLAG) }.max(0) as u32
}

/// Runs a vector for an index. False: a comparison stopped it.
///
/// # Safety
///
/// The operations can be done: what the kernel reads and writes is the caller's to use.
pub(crate) unsafe fn run<I: Index>(vector: &[Op], index: u32) -> Result<bool, Error> {
    if !available::<I>() {
        return Err(Error::Unavailable);
    }
    let (address, len) = (vector.as_ptr(), vector.len());
    for _ in 0..TRIES {
        // SAFETY: The vector has that length; its operations are right by contract.
        let ret = unsafe { libc::syscall(SYS_CPU_OPV, address, len, index, I::FLAGS) };
        if ret >= 0 {
            return Ok(ret == 0);
        }
        return Err(match crate::errno() {
            libc::EAGAIN => continue,
            libc::ENXIO => Error::Unreachable,
            libc::EBUSY => Error::Busy,
            libc::ENOMEM => Error::NoMemory,
            libc::EINVAL => Error::NoSuchIndex,
            // A filter that was installed since it was asked.
            libc::ENOSYS | libc::EPERM => {
                FLAGS.store(ASKED, Relaxed);
                Error::Unavailable
            }
            errno => Error::Os(errno),
        });
    }
    Err(Error::Again)
}
