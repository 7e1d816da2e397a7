// SPDX-License-Identifier: GPL-2.0

//! Trace events.
//!
//! C header: [`include/trace/events/cpu_opv.h`](srctree/include/trace/events/cpu_opv.h)

use crate::run::Outcome;
#[cfg(CONFIG_TRACEPOINTS)]
use kernel::{
    bindings,
    jump_label::static_branch_unlikely, //
};
use kernel::{
    ffi::{
        c_int,
        c_long,
        c_uint, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

kernel::declare_trace! {
    /// # Safety
    ///
    /// None.
    unsafe fn cpu_opv_enter(cnt: c_int, cpu: c_int, flags: c_uint);

    /// # Safety
    ///
    /// None.
    unsafe fn cpu_opv_exit(ret: c_long, duration_ns: u64, exclusion: c_int, operands: c_int);
}

/// Whether the end of calls is traced.
#[inline(always)]
fn exit_enabled() -> bool {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: C defines the event.
    unsafe {
        static_branch_unlikely!(
            bindings::__tracepoint_cpu_opv_exit,
            bindings::tracepoint,
            key
        )
    }
    #[cfg(not(CONFIG_TRACEPOINTS))]
    false
}

/// A call that has begun.
pub(crate) struct Call {
    start: Option<Instant<Monotonic>>,
}

/// A call for `cpu`, with `cnt` operations and `flags`, begins.
#[inline(always)]
pub(crate) fn enter(cnt: c_int, cpu: c_int, flags: c_uint) -> Call {
    // SAFETY: Takes values only.
    unsafe { cpu_opv_enter(cnt, cpu, flags) };
    Call {
        start: exit_enabled().then(Instant::now),
    }
}

impl Call {
    /// The call returns `ret`; its vector ran, or not.
    #[inline(always)]
    pub(crate) fn exit(self, ret: c_long, outcome: Option<Outcome>) {
        if let Some(start) = self.start {
            let duration_ns = start.elapsed().as_nanos() as u64;
            // As the event names them.
            let (exclusion, operands) = outcome.map_or((0, 0), |outcome| {
                (
                    outcome.exclusion as c_int + 1,
                    outcome.operands as c_int + 1,
                )
            });

            // SAFETY: Takes values only.
            unsafe { cpu_opv_exit(ret, duration_ns, exclusion, operands) };
        }
    }
}
