// SPDX-License-Identifier: GPL-2.0

//! System calls and time slice extensions: what ends one, prctl(2), rseq_slice_yield(2).

use crate::{
    abi::CS_FLAG_SLICE_EXT_ENABLED,
    area::Area,
    debug,
    slice::{
        available,
        ctrl,
        initial_flags, //
    },
    slice_grant::clear_slice_ctrl,
    slice_timer::cancel_timer,
    stats::{
        self,
        Stat, //
    },
    task::{
        force_sigsegv,
        Current, //
    },
};
use kernel::{
    bindings,
    preempt::PreemptDisabled,
    prelude::*,
    uaccess::{
        access::{
            Fault,
            UserRegion, //
        },
        might_fault, //
    },
};

/// Ends the extension of a task that makes a system call.
///
/// rseq_slice_yield(2) is meant for that and has no other effect; but any other system call does it
/// as well, as the code that asked for the extension cannot control all the code that it calls.
/// Reschedules if that is due. May sleep.
#[export]
pub(crate) extern "C" fn rseq_syscall_enter_work(syscall: c_long) {
    let current = current!();
    let task = Current::new(current);
    let data = task.data();
    let granted = data.slice.granted.get();

    // SAFETY: The task is current.
    unsafe { bindings::rseq_clear_slice_work(task.task().as_ptr()) };

    if debug::enabled() && slice_ctrl(task) != Ok(ctrl::expected(granted)) {
        force_sigsegv();
    }
    // The grant may have been taken back on another way into the kernel.
    if !granted {
        return;
    }

    {
        // Keeps the timer the same. Dropping it reschedules, if the kernel is preemptible.
        let preempt = PreemptDisabled::new();

        cancel_timer(task, &preempt);
        // Nothing to give back if the task has been scheduled on its way here.
        if !data.event.sched_switch.get() {
            // SAFETY: Interrupts are enabled.
            unsafe { bindings::rseq_slice_set_need_resched() };

            if syscall == bindings::__NR_rseq_slice_yield as c_long {
                stats::inc(Stat::SliceYielded);
                data.slice.set_yielded();
            } else {
                stats::inc(Stat::SliceAborted);
            }
        }
    }
    // Reschedules if the kernel is not preemptible.
    // SAFETY: Process context, may sleep.
    unsafe { bindings::cond_resched() };

    data.slice.granted.set(false);
    might_fault();
    if clear_slice_ctrl(task).is_err() {
        force_sigsegv();
    }
}

fn slice_ctrl(task: Current<'_>) -> Result<u32, Fault> {
    might_fault();
    // SAFETY: The only region. Nothing but the access is called in it.
    let region = unsafe { UserRegion::open() };

    Area::registered(&region, task.data()).slice_ctrl()
}

/// Gets or sets whether the current task may ask for extensions, for
/// `prctl(PR_RSEQ_SLICE_EXTENSION)`.
///
/// Kills the task if its flags are not as the kernel left them.
#[export]
pub(crate) extern "C" fn rseq_slice_extension_prctl(arg2: c_ulong, arg3: c_ulong) -> c_int {
    let current = current!();
    let task = Current::new(current);

    match prctl(task, arg2, arg3) {
        Ok(value) => value,
        Err(e) => e.to_errno(),
    }
}

fn prctl(task: Current<'_>, operation: c_ulong, arg: c_ulong) -> Result<c_int> {
    const GET: c_ulong = bindings::PR_RSEQ_SLICE_EXTENSION_GET as c_ulong;
    const SET: c_ulong = bindings::PR_RSEQ_SLICE_EXTENSION_SET as c_ulong;
    const ENABLE: c_ulong = bindings::PR_RSEQ_SLICE_EXT_ENABLE as c_ulong;

    let data = task.data();
    match operation {
        GET if arg == 0 => Ok(if data.slice.enabled() {
            ENABLE as c_int
        } else {
            0
        }),
        SET if arg & !ENABLE == 0 => {
            let enable = arg & ENABLE != 0;

            if !available() {
                return Err(ENOTSUPP);
            }
            if data.registration().is_none() {
                return Err(ENXIO);
            }
            if !data.is_v2() {
                return Err(ENOTSUPP);
            }
            if enable != data.slice.enabled() {
                set_enabled(task, enable).inspect_err(|_| force_sigsegv())?;
            }
            Ok(0)
        }
        _ => Err(EINVAL),
    }
}

/// Changes the flags in the area, and the state of the task.
#[inline(always)]
fn set_enabled(task: Current<'_>, enable: bool) -> Result<(), Fault> {
    let data = task.data();
    let expected = initial_flags(true, data.slice.enabled());

    might_fault();
    {
        // SAFETY: The only region. Nothing but accesses is called in it.
        let region = unsafe { UserRegion::open() };
        let area = Area::registered(&region, data);

        let flags = area.flags()?;
        if flags & expected != expected {
            return Err(Fault);
        }
        area.set_flags(flags & !CS_FLAG_SLICE_EXT_ENABLED | initial_flags(true, enable))?;
    }
    data.slice.set_enabled(enable);
    Ok(())
}

/// Returns 1 if this system call gave back the rest of an extension, else 0.
///
/// That happens in [`rseq_syscall_enter_work`].
#[export]
pub(crate) extern "C" fn rust_rseq_slice_yield() -> c_long {
    let current = current!();

    Current::new(current).data().slice.take_yielded().into()
}
