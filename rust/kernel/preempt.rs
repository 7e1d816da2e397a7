// SPDX-License-Identifier: GPL-2.0

//! Preemption control.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h)

use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// A guard that keeps the current task on its CPU, running until it is dropped.
///
/// Interrupts may still come in. Code under the guard must not sleep. Guards nest. Dropping the last
/// one reschedules if that became necessary in the meantime. They cannot be sent to another task. If
/// one is forgotten, preemption stays disabled: as harmful as a spinlock whose guard is forgotten, and
/// as safe.
///
/// # Invariants
///
/// The preemption count of the current task includes this guard.
///
/// # Examples
///
/// ```
/// use kernel::{
///     cpu::CpuId,
///     preempt::PreemptDisabled, //
/// };
///
/// let guard = PreemptDisabled::new();
/// let cpu = CpuId::current();
/// // No migration in between.
/// assert_eq!(cpu.as_u32(), CpuId::current().as_u32());
/// drop(guard);
/// ```
#[must_use = "preemption is enabled again when the guard is dropped"]
pub struct PreemptDisabled(NotThreadSafe);

impl PreemptDisabled {
    /// Disables preemption.
    #[inline]
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        // SAFETY: May be called in every context; the drop undoes it.
        unsafe { bindings::preempt_disable() };

        // INVARIANT: Counted just now.
        Self(NotThreadSafe)
    }
}

impl Drop for PreemptDisabled {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a `preempt_disable()` to undo.
        unsafe { bindings::preempt_enable() };
    }
}
