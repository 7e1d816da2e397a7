// SPDX-License-Identifier: GPL-2.0

//! Counters of what cpu_opv(2) does, `CONFIG_CPU_OPV_STATS`.
//!
//! All CPUs share them: they are for tests and for looking closer, not for production.

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
    /// Operations of vectors that ran, not all of them to the end.
    Operations,
    /// Bytes of those operations.
    Bytes,
    /// Vectors that ran on the CPU where the caller was.
    Local,
    /// Vectors that the caller ran on another CPU.
    Migrated,
    /// Vectors that a stopper thread ran.
    Stopped,
    /// Vectors for CPUs that were offline.
    Offline,
    /// The caller could not go to the CPU, and tried again.
    Retries,
    /// Calls that failed with `EAGAIN`.
    Again,
    /// Pages pinned.
    Pinned,
    /// Pages that are pinned now.
    PinnedNow,
    /// Operands mapped.
    Vmap,
    /// Operands that are mapped now.
    VmapNow,
    /// Calls that waited for a permit to map.
    VmapWaits,
    /// The longest section with preemption off, in ns.
    Longest,
}

#[cfg(CONFIG_CPU_OPV_STATS)]
static COUNTERS: [Atomic<i64>; Stat::ALL.len()] = [const { Atomic::new(0) }; Stat::ALL.len()];

#[cfg(CONFIG_CPU_OPV_STATS)]
impl Stat {
    /// All counters, in the order of the type, with their names in debugfs.
    pub(crate) const ALL: [(Self, &'static str); Self::Longest as usize + 1] = [
        (Self::Calls, "calls"),
        (Self::Operations, "operations"),
        (Self::Bytes, "bytes"),
        (Self::Local, "local"),
        (Self::Migrated, "migrated"),
        (Self::Stopped, "stopped"),
        (Self::Offline, "offline"),
        (Self::Retries, "retries"),
        (Self::Again, "eagain"),
        (Self::Pinned, "pinned"),
        (Self::PinnedNow, "pinned_now"),
        (Self::Vmap, "vmap"),
        (Self::VmapNow, "vmap_now"),
        (Self::VmapWaits, "vmap_waits"),
        (Self::Longest, "longest_ns"),
    ];

    pub(crate) fn counter(self) -> &'static Atomic<i64> {
        &COUNTERS[self as usize]
    }

    /// Whether this is not how often something happened, but what there is.
    pub(crate) fn is_level(self) -> bool {
        matches!(self, Self::PinnedNow | Self::VmapNow)
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

/// Calls `section`, which runs with preemption off, and records how long that took.
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
