// SPDX-License-Identifier: GPL-2.0

//! The timer that ends a time slice extension, one for each CPU.

use crate::{
    stats::{
        self,
        Stat, //
    },
    task::Current,
};
use kernel::{
    bindings,
    cpu::CpuId,
    cpumask::Cpumask,
    percpu::per_cpu_ptr,
    preempt::PreemptDisabled,
    prelude::*, //
};

/// Sets the timers up.
pub(crate) fn init() {
    for cpu in Cpumask::possible().iter() {
        // SAFETY: The timer is not used yet, and lives for ever. `expired` may be called with it.
        unsafe {
            bindings::hrtimer_setup(
                &raw mut (*timer(cpu)).timer,
                Some(expired),
                bindings::CLOCK_MONOTONIC as bindings::clockid_t,
                bindings::hrtimer_mode_HRTIMER_MODE_REL_PINNED_HARD,
            )
        };
    }
}

/// The monotonic clock in ns, readable in every context.
pub(crate) fn now() -> u64 {
    // SAFETY: May be called everywhere.
    unsafe { bindings::ktime_get_mono_fast_ns() }
}

/// The timer of `cpu`.
fn timer(cpu: CpuId) -> *mut bindings::rseq_slice_timer {
    // SAFETY: C defines the per-CPU variable.
    unsafe { per_cpu_ptr(&raw const bindings::rseq_slice_timer, cpu) }
}

/// Ends the extension of the interrupted task.
///
/// If the task is in user mode, the return from this interrupt takes the grant back and schedules. If
/// it has entered the kernel by a system call that has not come to cancel the timer, it schedules
/// here or in [`crate::slice_syscall::rseq_syscall_enter_work`].
///
/// # Safety
///
/// `timer` must be one of the timers set up in [`init`].
unsafe extern "C" fn expired(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
    // SAFETY: By the safety requirements. The cookie is written with interrupts disabled on the CPU
    // of the timer, which is this one.
    let cookie =
        unsafe { (*kernel::container_of!(timer, bindings::rseq_slice_timer, timer)).cookie };
    let current = current!();
    let task = Current::new(current);

    // The task that started the timer may have left the CPU.
    if cookie == task.task().as_ptr().cast() && task.data().slice.granted.get() {
        stats::inc(Stat::SliceExpired);
        // SAFETY: Interrupts are disabled.
        unsafe { bindings::set_need_resched_current() };
    }
    bindings::hrtimer_restart::HRTIMER_NORESTART
}

/// Starts the timer of a task that returns to user mode on an extension.
///
/// Called with interrupts disabled. Returns whether the extension has expired already, and the task
/// has to schedule instead. Scheduling takes the grant back.
#[export]
pub(crate) extern "C" fn __rseq_arm_slice_extension_timer() -> bool {
    let current = current!();
    let task = Current::new(current);
    let raw = task.task().as_ptr();
    let expires = task.data().slice.expires.get();

    if expires < now() {
        // SAFETY: Interrupts are disabled.
        unsafe { bindings::set_need_resched_current() };
        return true;
    }

    let timer = timer(task.cpu());
    // SAFETY: The timer belongs to this CPU and interrupts are disabled, so its function does not
    // run, and nothing else writes the cookie. It was set up in `init()`.
    unsafe {
        (*timer).cookie = raw.cast();
        bindings::hrtimer_start_range_ns(
            &raw mut (*timer).timer,
            expires as bindings::ktime_t,
            0,
            bindings::hrtimer_mode_HRTIMER_MODE_ABS_PINNED_HARD,
        );
        bindings::rseq_set_slice_work(raw);
    }
    false
}

/// Stops the timer if `task` started it.
///
/// Expensive, as it is probably the next one to expire, but less so than the interrupt.
pub(crate) fn cancel_timer(task: Current<'_>, _preempt: &PreemptDisabled) {
    let timer = timer(task.cpu());

    // SAFETY: The timer belongs to this CPU, which the task cannot leave. Hence its function does
    // not run here, and only the task itself writes the cookie to its own address.
    unsafe {
        if (*timer).cookie == task.task().as_ptr().cast() {
            bindings::hrtimer_try_to_cancel(&raw mut (*timer).timer);
        }
    }
}
