// SPDX-License-Identifier: GPL-2.0

//! Trace events.
//!
//! C header: [`include/trace/events/rseq.h`](srctree/include/trace/events/rseq.h)

use crate::{
    section::Abort,
    task::Current, //
};
#[cfg(CONFIG_TRACEPOINTS)]
use kernel::{
    bindings,
    jump_label::static_branch_unlikely, //
};
use kernel::{
    bindings::task_struct,
    ffi::c_ulong, //
};

kernel::declare_trace! {
    /// # Safety
    ///
    /// `t` must be `current`.
    unsafe fn rseq_update(t: *mut task_struct);

    /// # Safety
    ///
    /// None.
    unsafe fn rseq_ip_fixup(
        regs_ip: c_ulong,
        start_ip: c_ulong,
        post_commit_offset: c_ulong,
        abort_ip: c_ulong,
    );
}

/// Whether updates of IDs are traced.
#[allow(dead_code)] // Only the crate `exit` asks.
#[inline(always)]
pub(crate) fn update_enabled() -> bool {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: C defines the event.
    unsafe {
        static_branch_unlikely!(
            bindings::__tracepoint_rseq_update,
            bindings::tracepoint,
            key
        )
    }
    #[cfg(not(CONFIG_TRACEPOINTS))]
    false
}

/// Whether aborts are traced.
#[inline(always)]
pub(crate) fn ip_fixup_enabled() -> bool {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: C defines the event.
    unsafe {
        static_branch_unlikely!(
            bindings::__tracepoint_rseq_ip_fixup,
            bindings::tracepoint,
            key
        )
    }
    #[cfg(not(CONFIG_TRACEPOINTS))]
    false
}

/// The IDs of `task` were written.
pub(crate) fn update(task: Current<'_>) {
    // SAFETY: The task is current.
    unsafe { rseq_update(task.task().as_ptr()) };
}

/// A critical section was aborted, if there is one.
pub(crate) fn ip_fixup(abort: Option<Abort>) {
    if let Some(Abort { ip, section }) = abort {
        // SAFETY: Takes values only.
        unsafe {
            rseq_ip_fixup(
                ip as c_ulong,
                section.start_ip as c_ulong,
                section.post_commit_offset as c_ulong,
                section.abort_ip as c_ulong,
            )
        };
    }
}
