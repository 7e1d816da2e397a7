// SPDX-License-Identifier: GPL-2.0

//! Migration of the current task.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::{
    bindings,
    cpu::{
        hotplug::CpusReadGuard,
        CpuId, //
    },
    error::to_result,
    prelude::*,
    types::NotThreadSafe, //
};
use core::marker::PhantomData;

/// A guard that keeps the current task on the CPU that it moved to, until it is dropped.
///
/// The task can be preempted there, and sleep.
///
/// # Invariants
///
/// The current task has disabled migration once for it.
#[must_use = "the task may be migrated again when the guard is dropped"]
pub struct Moved<'a>(PhantomData<&'a CpusReadGuard>, NotThreadSafe);

impl<'a> Moved<'a> {
    /// Moves the current task, of user space, to `cpu`.
    ///
    /// Its affinity mask, which has to allow it, stays as it is. The task waits for its turn there
    /// like any other one. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the affinity mask does not have `cpu`, or the CPU is offline; `EAGAIN` if the mask
    /// changed at the same time, or the task slept: it is worth another try.
    pub fn to(cpu: CpuId, cpus: &'a CpusReadGuard) -> Result<Self> {
        if !cpus.is_online(cpu) {
            return Err(EINVAL);
        }
        // SAFETY: The CPU is online, and stays so for `'a`.
        to_result(unsafe { bindings::sched_move_current(cpu.as_u32()) })?;

        // INVARIANT: Done by `sched_move_current()`.
        Ok(Self(PhantomData, NotThreadSafe))
    }
}

impl Drop for Moved<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::migrate_enable() };
    }
}
