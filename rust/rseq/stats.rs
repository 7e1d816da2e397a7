// SPDX-License-Identifier: GPL-2.0

//! Counters of what rseq does, `CONFIG_RSEQ_STATS`.

use core::cell::Cell;

/// One of the counters.
///
/// The values are the positions in `struct rseq_stats` of
/// [`include/linux/rseq_entry.h`](srctree/include/linux/rseq_entry.h).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
#[cfg_attr(not(CONFIG_RSEQ_STATS), expect(dead_code))]
pub(crate) enum Stat {
    /// Returns to user mode. Counted in C.
    Exit = 0,
    /// Signals delivered to registered tasks.
    Signal = 1,
    /// Updates in the slow path.
    Slowpath = 2,
    /// Updates in the fast path. Counted in C.
    Fastpath = 3,
    /// IDs written.
    Ids = 4,
    /// Critical sections looked at.
    Cs = 5,
    /// Critical sections taken back, because the task was outside.
    Clear = 6,
    /// Critical sections aborted.
    Fixup = 7,
    /// Slice extensions granted.
    SliceGranted = 8,
    /// Slice extensions that ended by the timer.
    SliceExpired = 9,
    /// Slice extensions taken back.
    SliceRevoked = 10,
    /// Slice extensions given back by rseq_slice_yield(2).
    SliceYielded = 11,
    /// Slice extensions given back by other system calls.
    SliceAborted = 12,
}

#[cfg(CONFIG_RSEQ_STATS)]
const _: () = {
    use core::mem::offset_of;
    use kernel::bindings::rseq_stats;

    macro_rules! assert_position {
        ($($stat:ident $field:ident),*) => {
            $(assert!(
                offset_of!(rseq_stats, $field) == Stat::$stat as usize * size_of::<usize>()
            );)*
        };
    }
    assert_position!(
        Exit exit, Signal signal, Slowpath slowpath, Fastpath fastpath, Ids ids, Cs cs,
        Clear clear, Fixup fixup, SliceGranted s_granted, SliceExpired s_expired,
        SliceRevoked s_revoked, SliceYielded s_yielded, SliceAborted s_aborted
    );
};

/// Counts `stat` on the current CPU.
#[inline(always)]
pub(crate) fn inc(stat: Stat) {
    #[cfg(CONFIG_RSEQ_STATS)]
    // SAFETY: The value is a position in the structure.
    unsafe {
        kernel::bindings::rseq_stats_inc(stat as u32)
    };
    #[cfg(not(CONFIG_RSEQ_STATS))]
    let _ = stat;
}

/// Collects what is to be counted where nothing can be called: in an access region.
pub(crate) struct Stats(Cell<u32>);

impl Stats {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Has [`count`](Self::count) count `stat` once.
    #[inline(always)]
    pub(crate) fn note(&self, stat: Stat) {
        if cfg!(CONFIG_RSEQ_STATS) {
            self.0.set(self.0.get() | 1 << stat as u32);
        }
    }

    /// Counts what was noted, outside of access regions.
    #[inline(always)]
    pub(crate) fn count(&self) {
        if cfg!(CONFIG_RSEQ_STATS) && self.0.get() != 0 {
            count(self.0.take());
        }
    }
}

#[cold]
fn count(noted: u32) {
    #[cfg(CONFIG_RSEQ_STATS)]
    for position in 0..u32::BITS {
        if noted & 1 << position != 0 {
            // SAFETY: `noted` has only bits of `Stat`, whose values are positions in the structure.
            unsafe { kernel::bindings::rseq_stats_inc(position) };
        }
    }
    #[cfg(not(CONFIG_RSEQ_STATS))]
    let _ = noted;
}

/// The sum of a counter over all CPUs.
#[cfg(CONFIG_RSEQ_STATS)]
pub(crate) fn sum(stat: Stat) -> usize {
    use kernel::{
        bindings,
        cpumask::Cpumask,
        percpu::per_cpu_ptr, //
    };

    Cpumask::possible().iter().fold(0, |sum, cpu| {
        // SAFETY: C defines the per-CPU variable. The value of `stat` is a position in it. The owner
        // may write the word meanwhile, at once.
        let count = unsafe {
            per_cpu_ptr(&raw const bindings::rseq_stats, cpu)
                .cast::<usize>()
                .add(stat as usize)
                .read_volatile()
        };
        sum.wrapping_add(count)
    })
}
