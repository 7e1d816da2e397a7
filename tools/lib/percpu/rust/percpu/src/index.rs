// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! What data is indexed by.

use crate::area::{self, Place};

mod sealed {
    pub trait Sealed {}
}

/// What data is indexed by: [`Cpu`] or [`Cid`]. Always by the same: the two do not exclude each
/// other.
pub trait Index: sealed::Sealed + Send + Sync + 'static {
    /// Where `struct rseq` has the index.
    #[doc(hidden)]
    const FIELD: i32;
    /// Flags of cpu_opv(2).
    #[doc(hidden)]
    const FLAGS: u32;
    #[doc(hidden)]
    fn place() -> &'static Place;

    /// The index that the thread has, or had just now. If it is not registered: that of its CPU,
    /// or the concurrency ID 0, which it need not have to name it.
    fn current() -> u32;
}

/// By the number of the CPU: for what belongs to a CPU, and for data that processes share.
#[derive(Clone, Copy, Debug)]
pub struct Cpu;

/// By concurrency ID (`mm_cid`): there are as few as threads of the process run at the same time,
/// and each can be worked on from everywhere. Needs Linux 6.3.
#[derive(Clone, Copy, Debug)]
pub struct Cid;

impl sealed::Sealed for Cpu {}
impl sealed::Sealed for Cid {}

impl Index for Cpu {
    const FIELD: i32 = area::CPU_ID;
    const FLAGS: u32 = 0;

    #[inline(always)]
    fn place() -> &'static Place {
        static PLACE: Place = Place::new();
        &PLACE
    }

    fn current() -> u32 {
        // SAFETY: sched_getcpu() has no preconditions.
        area::index::<Self>().unwrap_or_else(|| unsafe { libc::sched_getcpu() }.max(0) as u32)
    }
}

impl Index for Cid {
    const FIELD: i32 = area::MM_CID;
    const FLAGS: u32 = crate::cpu_opv::MM_CID_FLAG;

    #[inline(always)]
    fn place() -> &'static Place {
        static PLACE: Place = Place::new();
        &PLACE
    }

    fn current() -> u32 {
        area::index::<Self>().unwrap_or(0)
    }
}

/// How many indices there are: the number of possible CPUs, for both kinds.
pub fn count() -> usize {
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    let mut n = COUNT.load(Relaxed);
    if n == 0 {
        n = possible().unwrap_or_else(configured);
        COUNT.store(n, Relaxed);
    }
    n
}

/// The highest number in a list such as "0-3,8", and one. No allocation: allocators call this.
fn parse(list: &[u8]) -> Option<usize> {
    let digits = list.trim_ascii().rsplit(|c| !c.is_ascii_digit()).next()?;
    let last: usize = core::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(last + 1)
}

fn possible() -> Option<usize> {
    let mut buffer = [0u8; 256];
    // SAFETY: The path ends with a zero byte, and the buffer has that length.
    let n = unsafe {
        let path = c"/sys/devices/system/cpu/possible";
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return None;
        }
        let n = libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(fd);
        n
    };
    parse(buffer.get(..usize::try_from(n).ok()?)?)
}

/// Without sysfs. The kernel has no IDs above the number of possible CPUs, which is not known
/// then: room for all that a mask of glibc has.
fn configured() -> usize {
    libc::CPU_SETSIZE as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(parse(b"0\n"), Some(1));
        assert_eq!(parse(b"0-3\n"), Some(4));
        assert_eq!(parse(b"0-3,8-11"), Some(12));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"\n"), None);
    }
}
