// SPDX-License-Identifier: GPL-2.0

//! Counters of what cpu_opv(2) does, `CONFIG_CPU_OPV_STATS`.
//!
//! All CPUs share them: they are for tests and for looking closer, not for production.

use crate::run::Outcome;
#[cfg(CONFIG_CPU_OPV_STATS)]
use crate::way::{
    Exclusion,
    Operands, //
};
use kernel::prelude::*;
#[cfg(CONFIG_CPU_OPV_STATS)]
use kernel::{
    bindings::ktime_get_mono_fast_ns,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// One of the counters.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(CONFIG_CPU_OPV_STATS), expect(dead_code))]
pub(crate) enum Stat {
    /// Calls, queries apart.
    Calls,
    /// Vectors for the CPU, or the concurrency ID, of the caller.
    Local,
    /// Vectors for CPUs that ran no user task.
    Locked,
    /// Vectors that ran in an interrupt.
    Interrupted,
    /// Vectors that the caller ran on another CPU.
    Migrated,
    /// Vectors for concurrency IDs that no running thread had.
    Taken,
    /// Vectors that ran in place.
    InPlace,
    /// Vectors that ran on pinned pages.
    Pinned,
    /// The CPU was in use, or had changed, and the caller tried again.
    Retries,
    /// Calls that failed with `EAGAIN`.
    Again,
    /// Calls that failed with `EBUSY`.
    Refused,
    /// Operands, or pages of them, that were faulted in.
    Faults,
    /// Pages pinned.
    PagesPinned,
    /// Pages that are pinned now.
    PinnedNow,
    /// The longest section with interrupts off, in ns.
    Longest,
}

#[cfg(CONFIG_CPU_OPV_STATS)]
static COUNTERS: [Atomic<i64>; Stat::ALL.len()] = [const { Atomic::new(0) }; Stat::ALL.len()];

#[cfg(CONFIG_CPU_OPV_STATS)]
impl Stat {
    /// All counters, in the order of the type, with their names in debugfs.
    pub(crate) const ALL: [(Self, &'static str); Self::Longest as usize + 1] = [
        (Self::Calls, "calls"),
        (Self::Local, "local"),
        (Self::Locked, "locked"),
        (Self::Interrupted, "interrupted"),
        (Self::Migrated, "migrated"),
        (Self::Taken, "taken"),
        (Self::InPlace, "in_place"),
        (Self::Pinned, "pinned"),
        (Self::Retries, "retries"),
        (Self::Again, "eagain"),
        (Self::Refused, "ebusy"),
        (Self::Faults, "faults"),
        (Self::PagesPinned, "pages_pinned"),
        (Self::PinnedNow, "pinned_now"),
        (Self::Longest, "longest_ns"),
    ];

    pub(crate) fn counter(self) -> &'static Atomic<i64> {
        &COUNTERS[self as usize]
    }

    /// Whether this is not how often something happened, but what there is.
    pub(crate) fn is_level(self) -> bool {
        matches!(self, Self::PinnedNow)
    }
}

/// Adds `n` to `stat`.
#[inline(always)]
pub(crate) fn add(stat: Stat, n: usize) {
    #[cfg(CONFIG_CPU_OPV_STATS)]
    stat.counter().add(n as i64, Relaxed);
    #[cfg(not(CONFIG_CPU_OPV_STATS))]
    let _ = (stat, n);
}

/// Takes `n` off `stat`.
#[inline(always)]
pub(crate) fn sub(stat: Stat, n: usize) {
    #[cfg(CONFIG_CPU_OPV_STATS)]
    stat.counter().add(-(n as i64), Relaxed);
    #[cfg(not(CONFIG_CPU_OPV_STATS))]
    let _ = (stat, n);
}

/// Counts a call, and the way that it took.
#[inline(always)]
pub(crate) fn count_call(result: &Result<Outcome>) {
    #[cfg(CONFIG_CPU_OPV_STATS)]
    {
        add(Stat::Calls, 1);
        match result {
            Ok(outcome) => {
                add(
                    match outcome.exclusion {
                        Exclusion::Local => Stat::Local,
                        Exclusion::Locked => Stat::Locked,
                        Exclusion::Interrupt => Stat::Interrupted,
                        Exclusion::Migrate => Stat::Migrated,
                        Exclusion::Taken => Stat::Taken,
                    },
                    1,
                );
                add(
                    match outcome.operands {
                        Operands::InPlace => Stat::InPlace,
                        Operands::Pinned => Stat::Pinned,
                    },
                    1,
                );
            }
            Err(e) if *e == EAGAIN => add(Stat::Again, 1),
            Err(e) if *e == EBUSY => add(Stat::Refused, 1),
            Err(_) => {}
        }
    }
    #[cfg(not(CONFIG_CPU_OPV_STATS))]
    let _ = result;
}

/// Calls `section`, which runs with interrupts off, and records how long that took.
#[inline(always)]
pub(crate) fn time_section<R>(section: impl FnOnce() -> R) -> R {
    #[cfg(CONFIG_CPU_OPV_STATS)]
    {
        // SAFETY: Can be called in every context.
        let start = unsafe { ktime_get_mono_fast_ns() };
        let result = section();
        // SAFETY: As above.
        let end = unsafe { ktime_get_mono_fast_ns() };

        note_longest(end.wrapping_sub(start) as i64);
        result
    }
    #[cfg(not(CONFIG_CPU_OPV_STATS))]
    section()
}

#[cfg(CONFIG_CPU_OPV_STATS)]
fn note_longest(ns: i64) {
    let longest = Stat::Longest.counter();
    let mut seen = longest.load(Relaxed);

    while seen < ns {
        match longest.cmpxchg(seen, ns, Relaxed) {
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
}
