// SPDX-License-Identifier: GPL-2.0

//! Accesses to user memory that must not sleep.

use crate::{
    sync::barrier::barrier,
    task::CurrentTask, //
};

/// A guard that makes user accesses of the current task fail instead of resolving a page fault.
///
/// Needed where user memory is accessed with interrupts or preemption disabled. Guards nest, and may
/// be dropped in any order.
///
/// C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h), `pagefault_disable()`
///
/// # Invariants
///
/// `task.pagefault_disabled` counts this guard.
///
/// # Examples
///
/// ```
/// use kernel::uaccess::PagefaultDisabled;
///
/// let current = current!();
/// let guard = PagefaultDisabled::new(current);
/// // Accesses to user memory that is not present fail here.
/// drop(guard);
/// ```
pub struct PagefaultDisabled<'a> {
    task: &'a CurrentTask,
}

impl<'a> PagefaultDisabled<'a> {
    /// Disables the resolution of page faults of the current task.
    #[inline(always)]
    pub fn new(task: &'a CurrentTask) -> Self {
        // INVARIANT: Counted here.
        Self::add(task, 1);
        Self { task }
    }

    #[inline(always)]
    fn add(task: &CurrentTask, n: i32) {
        // Keeps the compiler from moving user accesses out of the guarded section, as the
        // `barrier()` of C does.
        barrier();
        let task = task.as_ptr();
        // SAFETY: The task is current, and the field is accessed in its context only; interrupts
        // leave it as they found it.
        unsafe { (*task).pagefault_disabled = (*task).pagefault_disabled.wrapping_add(n) };
        barrier();
    }
}

impl Drop for PagefaultDisabled<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        Self::add(self.task, -1);
    }
}
