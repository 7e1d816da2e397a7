// SPDX-License-Identifier: GPL-2.0

//! Time slice extensions.
//!
//! A task in a critical section of its own (a lock, say) can ask in its area not to be preempted. If
//! the request is there when an interrupt wants to preempt the task, the kernel grants it a few
//! microseconds, up to a timer. The task gives the rest back with rseq_slice_yield(2), or by any
//! other system call. Only for areas of version 2, which have the field.

use crate::{
    abi::{
        CS_FLAG_SLICE_EXT_AVAILABLE,
        CS_FLAG_SLICE_EXT_ENABLED, //
    },
    area::{
        self,
        Area, //
    },
    debug,
    resume::force_sigsegv,
    stats::{
        self,
        Stat,
        Stats, //
    },
    task::{
        RseqTask,
        TaskRseq, //
    },
};
use kernel::{
    bindings,
    cpu::CpuId,
    cpumask::Cpumask,
    jump_label,
    percpu::per_cpu_ptr,
    preempt::PreemptDisabled,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    uaccess::access::Fault, //
};

/// The least and the greatest length of an extension, in ns.
pub(crate) const NSECS_MIN: u32 = 5_000;
pub(crate) const NSECS_MAX: u32 = 50_000;

/// The length of an extension, in ns.
pub(crate) static NSECS: Atomic<u32> = Atomic::new(NSECS_MIN);

/// Whether extensions exist: the boot parameter `rseq_slice_ext=` can switch them off.
#[inline(always)]
pub(crate) fn available() -> bool {
    // SAFETY: C defines the key, initially true.
    unsafe { jump_label::static_branch_likely!(bindings::rseq_slice_extension_key) }
}

/// What the flags in the area of a new registration say, for `available` extensions.
pub(crate) fn initial_flags(available: bool, default_on: bool) -> u32 {
    match (available, default_on) {
        (false, _) => 0,
        (true, false) => CS_FLAG_SLICE_EXT_AVAILABLE,
        (true, true) => CS_FLAG_SLICE_EXT_AVAILABLE | CS_FLAG_SLICE_EXT_ENABLED,
    }
}

/// Takes an extension back.
#[inline(always)]
pub(crate) fn clear_grant(rseq: &TaskRseq, stats: &Stats) {
    if cfg!(CONFIG_RSEQ_STATS) && rseq.slice.granted.get() {
        stats.note(Stat::SliceRevoked);
    }
    rseq.slice.granted.set(false);
}

/// The fields of `slice_ctrl`.
///
/// C: `struct rseq_slice_ctrl`
pub(crate) mod ctrl {
    /// The request, a byte that user space sets.
    const REQUEST: u32 = 0xff;
    /// The grant, a byte that the kernel sets.
    const GRANTED: u32 = 0xff << 8;

    /// What the kernel writes if it grants the request in `ctrl`; [`None`] if there is none.
    pub(crate) const fn grant(ctrl: u32) -> Option<u32> {
        if ctrl & REQUEST == 0 {
            None
        } else {
            Some(ctrl & !(REQUEST | GRANTED) | granted(true))
        }
    }

    /// What the kernel writes, and nobody may have changed, depending on the state of the grant.
    pub(crate) const fn granted(granted: bool) -> u32 {
        (granted as u32) << 8
    }
}

/// Grants an interrupted task that is about to be preempted its request, if there is one.
///
/// Called on the way back to user mode, for tasks that may ask. Returns whether the task may go on.
/// May sleep.
///
/// # Safety
///
/// `t` must be `current`.
#[export]
pub(crate) unsafe extern "C" fn rseq_slice_grant_requested(t: *mut bindings::task_struct) -> bool {
    // SAFETY: By the safety requirements.
    let task = unsafe { RseqTask::from_raw(t) };

    // Most tasks that may ask do not. What faults here faults again.
    match is_slice_ctrl_null(task.rseq()) {
        Ok(true) => false,
        _ => grant(task),
    }
}

/// Answers the request of `task`, if there is one; returns whether it may go on.
#[inline(never)]
fn grant(task: RseqTask<'_>) -> bool {
    match grant_in_area(task.rseq()) {
        Ok(granted) => {
            if granted {
                start(task);
            }
            granted
        }
        Err(Fault) => {
            force_sigsegv();
            false
        }
    }
}

/// Answers the request in the area, if there is one; returns whether there was.
#[inline(always)]
fn grant_in_area(rseq: &TaskRseq) -> Result<bool, Fault> {
    let region = area::open();
    let area = Area::registered(&region, rseq);

    let Some(granted) = ctrl::grant(area.slice_ctrl()?) else {
        return Ok(false);
    };
    area.set_slice_ctrl(granted)?;
    Ok(true)
}

/// Starts the extension of `task`.
#[inline(always)]
fn start(task: RseqTask<'_>) {
    let slice = &task.rseq().slice;

    stats::inc(Stat::SliceGranted);

    slice.granted.set(true);
    slice
        .expires
        .set(now().wrapping_add(NSECS.load(Relaxed).into()));

    // A remote CPU may set the bit of the task at any time: before this, the request is dropped in
    // favour of the timer, and its IPI finds nothing to do; after this, it works as ever.
    //
    // SAFETY: The task is current, and interrupts are enabled.
    unsafe { bindings::rseq_slice_clear_need_resched(task.task().as_ptr()) };
}

/// Takes request and grant back from an interrupted task that is about to be preempted.
///
/// Called instead of [`rseq_slice_grant_requested`] for a task that has other work to do before, or
/// that has had an extension. Returns `false`: the task may not go on. May sleep.
///
/// # Safety
///
/// `t` must be `current`.
#[export]
pub(crate) unsafe extern "C" fn rseq_slice_refuse(t: *mut bindings::task_struct) -> bool {
    // SAFETY: By the safety requirements.
    let rseq = unsafe { RseqTask::from_raw(t) }.rseq();

    if clear_slice_ctrl(rseq).is_err() {
        force_sigsegv();
    } else {
        clear_grant(rseq, &Stats::new());
    }
    false
}

/// The monotonic clock in ns, readable in every context.
fn now() -> u64 {
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
/// here or in [`rseq_syscall_enter_work`].
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
    let task = RseqTask::new(current);

    // The task that started the timer may have left the CPU.
    if cookie == task.task().as_ptr().cast() && task.rseq().slice.granted.get() {
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
    let task = RseqTask::new(current);
    let raw = task.task().as_ptr();
    let expires = task.rseq().slice.expires.get();

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
fn cancel_timer(task: RseqTask<'_>, _preempt: &PreemptDisabled) {
    let timer = timer(task.cpu());

    // SAFETY: The timer belongs to this CPU, which the task cannot leave. Hence its function does
    // not run here, and only the task itself writes the cookie to its own address.
    unsafe {
        if (*timer).cookie == task.task().as_ptr().cast() {
            bindings::hrtimer_try_to_cancel(&raw mut (*timer).timer);
        }
    }
}

/// Ends the extension of a task that makes a system call.
///
/// rseq_slice_yield(2) is meant for that and has no other effect; but any other system call does it
/// as well, as the code that asked for the extension cannot control all the code that it calls.
/// Reschedules if that is due. May sleep.
#[export]
pub(crate) extern "C" fn rseq_syscall_enter_work(syscall: c_long) {
    let current = current!();
    let task = RseqTask::new(current);
    let rseq = task.rseq();
    let granted = rseq.slice.granted.get();

    // SAFETY: The task is current.
    unsafe { bindings::rseq_clear_slice_work(task.task().as_ptr()) };

    if debug::enabled() && slice_ctrl(rseq) != Ok(ctrl::granted(granted)) {
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
        if !rseq.event.sched_switch.get() {
            // SAFETY: Interrupts are enabled.
            unsafe { bindings::rseq_slice_set_need_resched() };

            if syscall == bindings::__NR_rseq_slice_yield as c_long {
                stats::inc(Stat::SliceYielded);
                rseq.slice.set_yielded();
            } else {
                stats::inc(Stat::SliceAborted);
            }
        }
    }
    // Reschedules if the kernel is not preemptible.
    // SAFETY: Process context, may sleep.
    unsafe { bindings::cond_resched() };

    rseq.slice.granted.set(false);
    if clear_slice_ctrl(rseq).is_err() {
        force_sigsegv();
    }
}

/// Returns whether there is neither a request nor a grant.
#[inline(always)]
fn is_slice_ctrl_null(rseq: &TaskRseq) -> Result<bool, Fault> {
    let region = area::open();

    Area::registered(&region, rseq).is_slice_ctrl_null()
}

fn slice_ctrl(rseq: &TaskRseq) -> Result<u32, Fault> {
    let region = area::open();

    Area::registered(&region, rseq).slice_ctrl()
}

fn clear_slice_ctrl(rseq: &TaskRseq) -> Result<(), Fault> {
    let region = area::open();

    Area::registered(&region, rseq).clear_slice_ctrl()
}

/// Gets or sets whether the current task may ask for extensions, for
/// `prctl(PR_RSEQ_SLICE_EXTENSION)`.
///
/// Kills the task if its flags are not as the kernel left them.
#[export]
pub(crate) extern "C" fn rseq_slice_extension_prctl(arg2: c_ulong, arg3: c_ulong) -> c_int {
    let current = current!();
    let task = RseqTask::new(current);

    match prctl(task, arg2, arg3) {
        Ok(value) => value,
        Err(e) => e.to_errno(),
    }
}

fn prctl(task: RseqTask<'_>, operation: c_ulong, arg: c_ulong) -> Result<c_int> {
    const GET: c_ulong = bindings::PR_RSEQ_SLICE_EXTENSION_GET as c_ulong;
    const SET: c_ulong = bindings::PR_RSEQ_SLICE_EXTENSION_SET as c_ulong;
    const ENABLE: c_ulong = bindings::PR_RSEQ_SLICE_EXT_ENABLE as c_ulong;

    let rseq = task.rseq();
    match operation {
        GET if arg == 0 => Ok(if rseq.slice.enabled() {
            ENABLE as c_int
        } else {
            0
        }),
        SET if arg & !ENABLE == 0 => {
            let enable = arg & ENABLE != 0;

            if !available() {
                return Err(ENOTSUPP);
            }
            if rseq.registration().is_none() {
                return Err(ENXIO);
            }
            if !rseq.is_v2() {
                return Err(ENOTSUPP);
            }
            if enable != rseq.slice.enabled() {
                set_enabled(rseq, enable).inspect_err(|_| force_sigsegv())?;
            }
            Ok(0)
        }
        _ => Err(EINVAL),
    }
}

/// Changes the flags in the area, and the state of the task.
fn set_enabled(rseq: &TaskRseq, enable: bool) -> Result<(), Fault> {
    let expected = initial_flags(true, rseq.slice.enabled());

    {
        let region = area::open();
        let area = Area::registered(&region, rseq);

        let flags = area.flags()?;
        if flags & expected != expected {
            return Err(Fault);
        }
        area.set_flags(flags & !CS_FLAG_SLICE_EXT_ENABLED | initial_flags(true, enable))?;
    }
    rseq.slice.set_enabled(enable);
    Ok(())
}

/// Returns 1 if this system call gave back the rest of an extension, else 0.
///
/// That happens in [`rseq_syscall_enter_work`].
#[export]
pub(crate) extern "C" fn rust_rseq_slice_yield() -> c_long {
    let current = current!();

    RseqTask::new(current).rseq().slice.take_yielded().into()
}

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
