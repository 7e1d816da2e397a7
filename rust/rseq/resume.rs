// SPDX-License-Identifier: GPL-2.0

//! Updates of the area where page faults can be resolved.
//!
//! All of this runs in the context of the task, with interrupts enabled. A failure here is final:
//! user space gets `SIGSEGV`.

use crate::{
    area::{
        self,
        Area, //
    },
    debug,
    exit,
    section::{
        self,
        Failed, //
    },
    stats::{
        self,
        Stat,
        Stats, //
    },
    task::{
        force_update,
        RseqTask, //
    },
    trace, //
};
use kernel::{
    bindings,
    prelude::*,
    ptrace::PtRegs, //
};

/// Kills the current task with `SIGSEGV`, unless it handles the signal.
pub(crate) fn force_sigsegv() {
    // SAFETY: Sends the signal to the current task, in its context.
    unsafe { bindings::force_sig(bindings::SIGSEGV as i32) };
}

/// Does the update that the fast path could not do, before the task returns to user mode.
///
/// `regs` is NULL if the task is not on its way there but, say, about to enter a guest; then the
/// update stays pending.
///
/// # Safety
///
/// `regs` must be NULL or point to the user registers of the current task.
#[export]
pub(crate) unsafe extern "C" fn __rseq_handle_slowpath(regs: *mut bindings::pt_regs) {
    if regs.is_null() {
        return;
    }

    let current = current!();
    let task = RseqTask::new(current);
    // SAFETY: By the safety requirements; not NULL.
    let regs = unsafe { PtRegs::from_raw(regs) };

    // SAFETY: The task is current; only it changes this flag of its own.
    if unsafe { (*current.as_ptr()).flags } & bindings::PF_EXITING != 0 {
        return;
    }
    stats::inc(Stat::Slowpath);

    let Some(ids) = task.take_event() else {
        return;
    };
    let result = {
        let stats = Stats::new();
        exit::resume(task, regs, ids, &stats)
    };
    if result.is_err() {
        // If the program handles the signal, it gets another try.
        task.rseq().event.clear_error();
        force_sigsegv();
    }
}

/// Ends the critical section of the current task, which is about to enter a signal handler.
///
/// After this `regs` point to the handler. The IDs are left to the return to user mode.
///
/// # Safety
///
/// `regs` must point to the user registers of the current task.
#[export]
pub(crate) unsafe extern "C" fn __rseq_signal_deliver(sig: c_int, regs: *mut bindings::pt_regs) {
    let current = current!();
    let task = RseqTask::new(current);
    // SAFETY: By the safety requirements.
    let regs = unsafe { PtRegs::from_raw(regs) };

    stats::inc(Stat::Signal);

    // What follows is either, so that registers need not be saved for what is rare.
    if debug::enabled() || trace::enabled() {
        return signal_watched(sig, task, regs);
    }
    let result = {
        let stats = Stats::new();

        let region = area::open();
        let area = Area::registered(&region, task.rseq());
        section::end(&region, &area, task, regs, &stats)
    };
    if result.is_err() {
        return signal_failed(sig, task);
    }
    signal_done(task);
}

/// The rest of [`__rseq_signal_deliver`] in debug mode or under tracing.
#[cold]
#[inline(never)]
fn signal_watched(sig: c_int, task: RseqTask<'_>, regs: &PtRegs) {
    let stats = Stats::new();

    let section = if debug::enabled() {
        section::debug_end(task, regs, &stats, true)
    } else {
        let region = area::open();
        let area = Area::registered(&region, task.rseq());
        section::end(&region, &area, task, regs, &stats)
    };
    let Ok(section) = section else {
        return signal_failed(sig, task);
    };
    trace::ip_fixup(section);
    signal_done(task);
}

/// The rest of [`__rseq_signal_deliver`] if that failed.
#[cold]
#[inline(never)]
fn signal_failed(sig: c_int, task: RseqTask<'_>) {
    task.rseq().event.clear_error();
    // SAFETY: Acts on the current task, in its context.
    unsafe { bindings::force_sigsegv(sig) };
    signal_done(task);
}

/// Programs with the original area expect the IDs to be written after every signal.
#[inline(always)]
fn signal_done(task: RseqTask<'_>) {
    if !task.rseq().is_v2() {
        force_update();
    }
}

/// Kills the current task if it made a system call in a critical section; in debug mode only.
///
/// # Safety
///
/// `regs` must point to the user registers of the current task.
#[export]
pub(crate) unsafe extern "C" fn __rseq_debug_syscall_return(regs: *mut bindings::pt_regs) {
    let current = current!();
    let task = RseqTask::new(current);
    // SAFETY: By the safety requirements.
    let regs = unsafe { PtRegs::from_raw(regs) };

    if task.rseq().event.version().is_none() {
        return;
    }
    if check_syscall(task, regs).is_err() {
        force_sigsegv();
    }
}

fn check_syscall(task: RseqTask<'_>, regs: &PtRegs) -> Result<(), Failed> {
    let stats = Stats::new();

    let address = section::announced(task)?;
    if address != 0 {
        trace::ip_fixup(section::debug_end_at(address, task, regs, &stats)?);
    }
    Ok(())
}
