// SPDX-License-Identifier: GPL-2.0

//! CPU hotplug.
//!
//! C header: [`include/linux/cpuhplock.h`](srctree/include/linux/cpuhplock.h)

use crate::{
    bindings,
    cpu::CpuId,
    cpumask::Cpumask,
    types::NotThreadSafe, //
};

/// A guard that keeps CPUs from going online or offline until it is dropped.
///
/// The task may sleep under the guard, but whoever changes CPUs waits for it.
///
/// # Invariants
///
/// The current task holds the CPU hotplug lock for reading.
///
/// # Examples
///
/// ```
/// use kernel::{
///     cpu::hotplug::CpusReadGuard,
///     preempt::PreemptDisabled, //
/// };
///
/// let cpus = CpusReadGuard::new();
/// let _here = PreemptDisabled::new();
/// assert!(cpus.is_online(kernel::cpu::CpuId::current()));
/// ```
#[must_use = "CPUs may change again when the guard is dropped"]
pub struct CpusReadGuard(NotThreadSafe);

impl CpusReadGuard {
    /// Waits until no CPU is on its way, and keeps it so. May sleep.
    #[inline]
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        // SAFETY: May be called wherever the task can sleep; the drop undoes it.
        unsafe { bindings::cpus_read_lock() };

        // INVARIANT: Taken just now.
        Self(NotThreadSafe)
    }

    /// Returns whether `cpu` is online, which it stays or becomes not under the guard.
    #[inline]
    pub fn is_online(&self, cpu: CpuId) -> bool {
        // SAFETY: The mask is always there, and by the type invariant nobody writes it.
        unsafe { Cpumask::from_raw(&raw const bindings::__cpu_online_mask) }.test(cpu)
    }
}

impl Drop for CpusReadGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is held.
        unsafe { bindings::cpus_read_unlock() };
    }
}
