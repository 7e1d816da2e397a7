// SPDX-License-Identifier: GPL-2.0

//! Functions that run on a CPU instead of everything else.
//!
//! C header: [`include/linux/stop_machine.h`](srctree/include/linux/stop_machine.h)

use crate::{
    bindings,
    cpu::CpuId,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};
use core::ptr::from_ref;

/// Runs `f` on `cpu`, in the task of the highest priority there, and waits for it.
///
/// `f` preempts whatever runs on the CPU; interrupts stay enabled, preemption is disabled: `f` must
/// not sleep. Returns what `f` returns, which must not be negative. May sleep.
///
/// # Errors
///
/// `ENOENT` if the CPU is offline or on its way; then `f` was not called.
///
/// # Examples
///
/// ```
/// use kernel::{
///     cpu::CpuId,
///     stop_machine::stop_one_cpu, //
/// };
///
/// let cpu = CpuId::from_i32(0).ok_or(EINVAL)?;
/// let there = stop_one_cpu(cpu, &|| CpuId::current().as_u32() as i32)?;
/// assert_eq!(there, 0);
/// # Ok::<(), Error>(())
/// ```
pub fn stop_one_cpu<F: Fn() -> c_int + Sync>(cpu: CpuId, f: &F) -> Result<c_int> {
    unsafe extern "C" fn call<F: Fn() -> c_int + Sync>(f: *mut c_void) -> c_int {
        // SAFETY: `f` is the reference that was passed below, to an object that can be shared, and
        // whose owner waits.
        let f = unsafe { &*f.cast::<F>() };

        f()
    }

    let f = from_ref(f).cast_mut().cast();
    // SAFETY: `call` gets what it expects, and is not called any more when this returns.
    let ret = unsafe { bindings::stop_one_cpu(cpu.as_u32(), Some(call::<F>), f) };
    if ret < 0 {
        return Err(Error::from_errno(ret));
    }
    Ok(ret)
}
