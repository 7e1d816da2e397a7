// SPDX-License-Identifier: GPL-2.0

//! The slow path, signal delivery, and the check of system calls.
//!
//! All of this runs in the context of the task, with interrupts enabled, where page faults are
//! resolved. A failure here is final: user space gets `SIGSEGV`.

use crate::{
    area::Area,
    debug, section,
    stats::{
        self,
        Stat,
        Stats, //
    },
    task::{
        force_sigsegv,
        force_update,
        Current,
        Failed, //
    },
    trace,
    update::{
        update_user_cs,
        update_usr, //
    },
};
use kernel::{
    bindings,
    prelude::*,
    ptrace::PtRegs,
    uaccess::{
        access::{
            Fault,
            UserRegion, //
        },
        might_fault, //
    },
};

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
    let task = Current::new(current);
    // SAFETY: By the safety requirements; not NULL.
    let regs = unsafe { PtRegs::from_raw(regs) };

    if task.is_exiting() {
        return;
    }
    stats::inc(Stat::Slowpath);

    let Some(ids) = task.take_event() else {
        return;
    };
    if update_usr(task, regs, Some(ids)).is_err() {
        // If the program handles the signal, it gets another try.
        task.data().event.clear_error();
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
    let task = Current::new(current);
    // SAFETY: By the safety requirements.
    let regs = unsafe { PtRegs::from_raw(regs) };

    stats::inc(Stat::Signal);

    let result = if debug::enabled() || trace::ip_fixup_enabled() {
        handle_cs_watched(task, regs)
    } else {
        handle_cs(task, regs)
    };
    if result.is_err() {
        task.data().event.clear_error();
        // SAFETY: Acts on the current task, in its context.
        unsafe { bindings::force_sigsegv(sig) };
    }

    // Programs with the original area expect the IDs to be written after every signal.
    if !task.data().is_v2() {
        force_update();
    }
}

/// Ends the critical section that the area announces, in one access region.
#[inline(always)]
fn handle_cs(task: Current<'_>, regs: &PtRegs) -> Result<(), Failed> {
    let stats = Stats::new();
    let result = {
        // SAFETY: The only region. Nothing but accesses is called in it.
        let region = unsafe { UserRegion::open() };
        let area = Area::registered(&region, task.data());

        match area.csaddr() {
            Ok(0) => Ok(None),
            Ok(csaddr) => section::update_user_cs(&region, &area, task, regs, csaddr, &stats),
            Err(Fault) => Err(Failed),
        }
    };

    stats.count();
    result.map(drop)
}

/// As [`handle_cs`] in debug mode or under tracing.
#[cold]
#[inline(never)]
fn handle_cs_watched(task: Current<'_>, regs: &PtRegs) -> Result<(), Failed> {
    match csaddr(task)? {
        0 => Ok(()),
        csaddr => update_user_cs(task, regs, csaddr),
    }
}

/// Reads the address of the descriptor that the area announces.
fn csaddr(task: Current<'_>) -> Result<u64, Fault> {
    // SAFETY: The only region. Nothing but the access is called in it.
    let region = unsafe { UserRegion::open() };

    Area::registered(&region, task.data()).csaddr()
}

/// Kills the current task if it made a system call in a critical section; in debug mode only.
///
/// # Safety
///
/// `regs` must point to the user registers of the current task.
#[export]
pub(crate) unsafe extern "C" fn __rseq_debug_syscall_return(regs: *mut bindings::pt_regs) {
    let current = current!();
    let task = Current::new(current);
    // SAFETY: By the safety requirements.
    let regs = unsafe { PtRegs::from_raw(regs) };

    if task.data().event.version().is_some() && check_syscall(task, regs).is_err() {
        force_sigsegv();
    }
}

fn check_syscall(task: Current<'_>, regs: &PtRegs) -> Result<(), Failed> {
    might_fault();
    let csaddr = csaddr(task)?;
    if csaddr == 0 {
        return Ok(());
    }

    let stats = Stats::new();
    let abort = section::debug_update_user_cs(task, regs, csaddr, &stats);
    stats.count();
    trace::ip_fixup(abort?);
    Ok(())
}
