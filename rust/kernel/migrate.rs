// SPDX-License-Identifier: GPL-2.0

//! Migration of the current task.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::{
    bindings,
    cpu::CpuId,
    error::to_result,
    prelude::*, //
};

/// Moves the current task to `cpu`, where it waits for its turn like any other one. May sleep.
///
/// Its affinity mask, which has to allow that, stays as it is, and others can move the task again at
/// any time: look where it is. Nothing is to be undone, so no caller can get that wrong.
///
/// # Errors
///
/// `EINVAL` if the affinity mask does not have `cpu`, or the task has disabled migration; `EAGAIN` if
/// the CPU takes no tasks now.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, migrate::move_current_to};
///
/// // Is here already, or has not got far.
/// let _ = move_current_to(CpuId::current());
/// ```
pub fn move_current_to(cpu: CpuId) -> Result {
    // SAFETY: Possible CPUs may be named; the task can sleep.
    to_result(unsafe { bindings::sched_move_current(cpu.as_u32() as c_int) })
}
