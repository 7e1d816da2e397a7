// SPDX-License-Identifier: GPL-2.0

//! Accesses to user memory that must not sleep, or may.

use crate::{
    bindings,
    sync::barrier::barrier,
    task::CurrentTask, //
};

/// A guard that makes user accesses of the current task fail instead of resolving a page fault.
///
/// Needed where user memory is accessed with interrupts or preemption disabled. Guards nest, and may
/// be dropped in any order. They stay with their task: neither they nor [`CurrentTask`] can be sent
/// to another one. If one is forgotten, accesses to user memory that is not present go on failing,
/// which is an error that their callers expect, and nothing worse.
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
#[must_use = "page faults are resolved again when the guard is dropped"]
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

// The layout of C, of what is used of it.
const _: () = assert!(
    core::mem::offset_of!(bindings::task_struct, pagefault_disabled)
        == bindings::TASK_STRUCT_PAGEFAULT_DISABLED
);

/// Says that a page fault may have to be resolved here, which sleeps.
///
/// A debugging aid, as `might_fault()` of C: it warns where that must not happen. Accesses in a
/// [`UserRegion`](super::access::UserRegion) do not say so by themselves.
#[track_caller]
#[inline]
pub fn might_fault() {
    #[cfg(all(CONFIG_MMU, any(CONFIG_PROVE_LOCKING, CONFIG_DEBUG_ATOMIC_SLEEP)))]
    {
        use crate::str::CStrExt;

        let caller = core::panic::Location::caller();
        let file = crate::file_from_location(caller);

        // SAFETY: `file` is a valid string, which ends with a zero.
        unsafe { bindings::__might_fault(file.as_char_ptr(), caller.line() as crate::ffi::c_int) }
    }
}
