// SPDX-License-Identifier: GPL-2.0

//! The update of the area with all checks and trace events.
//!
//! Does what the fast path (exit.rs) does, one step after the other: in the slow path, and in place of
//! the fast path in debug mode and under tracing. So a trace event sees what came before it, in the
//! area and in the registers of the task, and nothing of what comes after.

use crate::{
    abi::Ids,
    area::Area,
    debug,
    section::{
        self,
        Abort, //
    },
    slice,
    stats::{
        Stat,
        Stats, //
    },
    task::{
        Current,
        Failed, //
    },
    trace, //
};
use kernel::{
    bindings,
    prelude::*,
    ptrace::PtRegs,
    uaccess::{
        access::UserRegion,
        PagefaultDisabled, //
    },
};

/// The update before a return to user mode in debug mode or under tracing.
///
/// # Safety
///
/// As for `rseq_exit_user_update()`.
#[export]
pub(crate) unsafe extern "C" fn rust_rseq_exit_user_update_watched(
    regs: *mut bindings::pt_regs,
    t: *mut bindings::task_struct,
) -> bool {
    // SAFETY: By the safety requirements.
    let (task, regs) = unsafe { (Current::from_raw(t), PtRegs::from_raw(regs)) };
    // A fault cannot be resolved with interrupts disabled.
    let _pagefault = PagefaultDisabled::new(task.task());

    let changed = task.data().event.ids_changed.get();
    update_usr(task, regs, changed.then(|| task.current_ids())).is_ok()
}

/// Brings the area up to date; `ids` if the IDs have changed.
///
/// # Errors
///
/// Fatal if the area does not hold the IDs that the kernel wrote last, and it is one of version 2 or
/// in debug mode. Or those of [`update_user_cs`].
pub(crate) fn update_usr(task: Current<'_>, regs: &PtRegs, ids: Option<Ids>) -> Result<(), Failed> {
    let stats = Stats::new();
    let csaddr = set_ids_get_csaddr(task, ids)?;

    slice::clear_grant(task.data(), &stats);
    if let Some(ids) = ids {
        task.data().set_ids(ids);
        stats.note(Stat::Ids);
        stats.count();
        trace::update(task);
    }
    stats.count();

    // A system call is not part of a section; only debug mode verifies that. Without new IDs it was
    // no system call, see rseq_sched_switch_event().
    let debug = debug::enabled();
    if !debug && ids.is_some() && !task.data().event.user_irq() {
        return Ok(());
    }
    // As ever, debug mode does not expect that there is no section if the IDs are up to date: the
    // fault that follows leads to the slow path, which checks the IDs.
    if csaddr == 0 && !(debug && ids.is_none()) {
        return Ok(());
    }
    update_user_cs(task, regs, csaddr)
}

/// Updates the area, and reads the address of the descriptor that it announces.
fn set_ids_get_csaddr(task: Current<'_>, ids: Option<Ids>) -> Result<u64, Failed> {
    let strict = debug::enabled() && ids.is_some();
    // SAFETY: The only region. Nothing but accesses is called in it.
    let region = unsafe { UserRegion::open() };
    let area = Area::registered(&region, task.data());

    if strict && !area.has_ids(task.data().ids())? {
        return Err(task.die());
    }
    area.update(task, ids)?;
    Ok(area.csaddr()?)
}

/// Ends the critical section whose descriptor is at `csaddr`, by the rules of the mode.
///
/// # Errors
///
/// As for [`section::update_user_cs`] and [`section::debug_update_user_cs`].
pub(crate) fn update_user_cs(task: Current<'_>, regs: &PtRegs, csaddr: u64) -> Result<(), Failed> {
    let stats = Stats::new();
    let abort = if debug::enabled() {
        stats.note(Stat::Cs);
        section::debug_update_user_cs(task, regs, csaddr, &stats)
    } else {
        normal_update_user_cs(task, regs, csaddr, &stats)
    };

    stats.count();
    trace::ip_fixup(abort?);
    Ok(())
}

/// As [`section::update_user_cs`], in an access region of its own.
#[inline(always)]
fn normal_update_user_cs(
    task: Current<'_>,
    regs: &PtRegs,
    csaddr: u64,
    stats: &Stats,
) -> Result<Option<Abort>, Failed> {
    // SAFETY: The only region. Nothing but accesses is called in it.
    let region = unsafe { UserRegion::open() };
    let area = Area::registered(&region, task.data());

    section::update_user_cs(&region, &area, task, regs, csaddr, stats)
}
