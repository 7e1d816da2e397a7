// SPDX-License-Identifier: GPL-2.0

//! The update of the area before the task returns to user mode.
//!
//! Runs after every context switch that concerns the task, with interrupts disabled, and is measured
//! in instructions: one access region for everything, values compared in memory, nothing read that is
//! not needed.

use crate::{
    abi::Ids,
    area::{
        self,
        Area, //
    },
    debug,
    section::{
        self,
        Abort,
        Failed, //
    },
    slice,
    stats::{
        Stat,
        Stats, //
    },
    task::RseqTask,
    trace, //
};
use kernel::{
    bindings,
    prelude::*,
    ptrace::PtRegs,
    uaccess::PagefaultDisabled, //
};

/// Updates the area of `current` before it returns to user mode.
///
/// Called with interrupts disabled if something asks for it: a context switch, mostly. Returns
/// whether that worked; if not, nothing is lost, and the slow path ([`crate::resume`]) does it again
/// and sorts out why.
///
/// # Safety
///
/// `t` must be `current`, and `regs` its user registers.
#[export]
pub(crate) unsafe extern "C" fn rseq_exit_user_update(
    regs: *mut bindings::pt_regs,
    t: *mut bindings::task_struct,
) -> bool {
    // SAFETY: By the safety requirements.
    let (task, regs) = unsafe { (RseqTask::from_raw(t), PtRegs::from_raw(regs)) };
    // Debug mode and tracing do more, which would make all of it slower.
    let result = if debug::enabled() || trace::enabled() {
        exit_watched(task, regs)
    } else {
        exit::<false>(task, regs)
    };
    result.is_ok()
}

/// The update in debug mode or under tracing.
#[cold]
#[inline(never)]
fn exit_watched(task: RseqTask<'_>, regs: &PtRegs) -> Result<(), Failed> {
    exit::<true>(task, regs)
}

#[inline(always)]
fn exit<const WATCHED: bool>(task: RseqTask<'_>, regs: &PtRegs) -> Result<(), Failed> {
    // Outlives the access regions, so that the counters are written when they are closed.
    let stats = Stats::new();
    // A fault cannot be resolved with interrupts disabled.
    let _pagefault = PagefaultDisabled::new(task.task());

    // Each is compiled for itself.
    if task.rseq().event.ids_changed.get() {
        update::<WATCHED>(task, regs, Some(task.current_ids()), &stats)
    } else {
        update::<WATCHED>(task, regs, None, &stats)
    }
}

/// Brings the area up to date: writes `ids` if they have changed, takes a slice extension back, and
/// ends the critical section of an interrupted task.
///
/// An area of version 2 must hold the IDs that the kernel wrote last.
#[inline(always)]
fn update<const WATCHED: bool>(
    task: RseqTask<'_>,
    regs: &PtRegs,
    ids: Option<Ids>,
    stats: &Stats,
) -> Result<(), Failed> {
    let rseq = task.rseq();
    let debug = WATCHED && debug::enabled();

    // May fail although the IDs have been written.
    let mut section: Result<Option<Abort>, Failed> = {
        let region = area::open();
        let area = Area::registered(&region, rseq);

        match (ids, rseq.is_v2()) {
            (Some(ids), true) => {
                if !area.has_ids(rseq.ids())? {
                    return Err(Failed::fatal(task));
                }
                if slice::available() {
                    area.write_ids_and_slice_ctrl(ids)?;
                } else {
                    area.write_ids(ids)?;
                }
            }
            (Some(ids), false) => {
                if debug && !area.has_ids(rseq.ids())? {
                    return Err(Failed::fatal(task));
                }
                area.write_ids(ids)?;
            }
            (None, true) => {
                if slice::available() {
                    area.clear_slice_ctrl()?;
                }
            }
            (None, false) => (),
        }
        if let Some(ids) = ids {
            rseq.set_ids(ids);
            stats.note(Stat::Ids);
        }
        slice::clear_grant(rseq, stats);

        // A system call is not part of a section; only debug mode verifies that. Without new IDs it
        // was no system call, see rseq_sched_switch_event().
        if debug || ids.is_some() && !rseq.event.user_irq() {
            Ok(None)
        } else {
            section::end(&region, &area, task, regs, stats)
        }
    };

    if WATCHED && ids.is_some() {
        trace::update(task);
    }
    if debug {
        // As ever, debug mode does not expect that there is no section if the IDs are up to date:
        // the fault that follows leads to the slow path, which checks the IDs.
        section = section::debug_end(task, regs, stats, ids.is_some());
    }
    let abort = section?;
    if WATCHED {
        trace::ip_fixup(abort);
    }
    Ok(())
}

/// Brings the area up to date in a context where page faults are resolved.
pub(crate) fn resume(
    task: RseqTask<'_>,
    regs: &PtRegs,
    ids: Ids,
    stats: &Stats,
) -> Result<(), Failed> {
    update::<true>(task, regs, Some(ids), stats)
}
