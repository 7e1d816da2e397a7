// SPDX-License-Identifier: GPL-2.0

//! Granting and refusing time slice extensions.

use crate::{
    area::Area,
    slice::{
        clear_grant,
        ctrl, //
    },
    slice_timer::now,
    stats::{
        self,
        Stat,
        Stats, //
    },
    task::{
        force_sigsegv,
        Current, //
    },
};
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    uaccess::access::{
        Fault,
        UserRegion, //
    },
};

/// The least and the greatest length of an extension, in ns.
pub(crate) const NSECS_MIN: u32 = 5_000;
pub(crate) const NSECS_MAX: u32 = 50_000;

/// The length of an extension, in ns.
pub(crate) static NSECS: Atomic<u32> = Atomic::new(NSECS_MIN);

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
    let task = unsafe { Current::from_raw(t) };

    // Most tasks that may ask do not. What faults here faults again.
    match is_slice_ctrl_null(task) {
        Ok(true) => false,
        _ => try_grant(task),
    }
}

/// Grants `task` its request, if there is one; returns whether it may go on.
#[inline(never)]
fn try_grant(task: Current<'_>) -> bool {
    match answer_request(task) {
        Ok(true) => {
            start(task);
            true
        }
        Ok(false) => false,
        Err(Fault) => {
            force_sigsegv();
            false
        }
    }
}

/// Answers the request in the area, if there is one; returns whether there was.
#[inline(always)]
fn answer_request(task: Current<'_>) -> Result<bool, Fault> {
    // SAFETY: The only region. Nothing but accesses is called in it.
    let region = unsafe { UserRegion::open() };
    let area = Area::registered(&region, task.data());

    let Some(answer) = ctrl::answer(area.slice_ctrl()?) else {
        return Ok(false);
    };
    area.set_slice_ctrl(answer)?;
    Ok(true)
}

/// Starts the extension of `task`.
#[inline(always)]
fn start(task: Current<'_>) {
    let slice = &task.data().slice;

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
    let task = unsafe { Current::from_raw(t) };

    if clear_slice_ctrl(task).is_err() {
        force_sigsegv();
        return false;
    }
    let stats = Stats::new();
    clear_grant(task.data(), &stats);
    stats.count();
    false
}

/// Returns whether there is neither a request nor a grant.
#[inline(always)]
fn is_slice_ctrl_null(task: Current<'_>) -> Result<bool, Fault> {
    // SAFETY: The only region. Nothing but the access is called in it.
    let region = unsafe { UserRegion::open() };

    Area::registered(&region, task.data()).is_slice_ctrl_null()
}

/// Takes request and grant in the area back.
pub(crate) fn clear_slice_ctrl(task: Current<'_>) -> Result<(), Fault> {
    // SAFETY: The only region. Nothing but the access is called in it.
    let region = unsafe { UserRegion::open() };

    Area::registered(&region, task.data()).clear_slice_ctrl()
}
