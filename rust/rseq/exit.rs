// SPDX-License-Identifier: GPL-2.0

//! Restartable sequences: the update of the area before the task returns to user mode.
//!
//! Runs after every context switch that concerns the task, with interrupts disabled, and is measured
//! in instructions: one access region for everything, values compared in memory, nothing read that is
//! not needed.
//!
//! A crate of its own, like C's inline code in kernel/entry: what of it is executed depends on when the
//! task was scheduled, which is not for the coverage that KCOV collects. It shares files with the
//! crate `rseq`, and uses some of what is in them.

#![expect(dead_code)]

mod abi;
mod area;
mod cs;
mod debug;
mod section;
#[cfg_attr(not(CONFIG_RSEQ_SLICE_EXTENSION), path = "slice_off.rs")]
mod slice;
mod stats;
mod task;
mod trace;

use abi::Ids;
use area::Area;
use kernel::{
    bindings,
    prelude::*,
    ptrace::PtRegs,
    uaccess::{
        access::UserRegion,
        PagefaultDisabled, //
    },
};
use stats::{
    Stat,
    Stats, //
};
use task::{
    Current,
    Failed, //
};

/// Updates the area of `current` before it returns to user mode.
///
/// Called with interrupts disabled if something asks for it: a context switch, mostly. Returns
/// whether that worked; if not, nothing is lost, and the slow path does it again and sorts out why.
///
/// # Safety
///
/// `t` must be `current`, and `regs` its user registers.
#[export]
pub(crate) unsafe extern "C" fn rseq_exit_user_update(
    regs: *mut bindings::pt_regs,
    t: *mut bindings::task_struct,
) -> bool {
    // Debug mode and tracing do more, which would make all of it slower.
    if debug::enabled() || trace::ip_fixup_enabled() {
        // SAFETY: By the safety requirements.
        return unsafe { bindings::rust_rseq_exit_user_update_watched(regs, t) };
    }

    // SAFETY: By the safety requirements.
    let (task, user_regs) = unsafe { (Current::from_raw(t), PtRegs::from_raw(regs)) };
    let stats = Stats::new();
    // Each is compiled for itself.
    let result = if task.data().event.ids_changed.get() {
        if trace::update_enabled() {
            // SAFETY: By the safety requirements.
            return unsafe { bindings::rust_rseq_exit_user_update_watched(regs, t) };
        }
        update(task, user_regs, Some(task.current_ids()), &stats)
    } else {
        update(task, user_regs, None, &stats)
    };
    stats.count();
    result.is_ok()
}

/// Brings the area up to date; `ids` if the IDs have changed.
#[inline(always)]
fn update(task: Current<'_>, regs: &PtRegs, ids: Option<Ids>, stats: &Stats) -> Result<(), Failed> {
    // A fault cannot be resolved with interrupts disabled.
    let _pagefault = PagefaultDisabled::new(task.task());
    // SAFETY: The only region. Nothing is called in it: all of the below is inlined, and what it
    // counts is counted by the caller.
    let region = unsafe { UserRegion::open() };
    let area = Area::registered(&region, task.data());

    // First what user space reads.
    area.update(task, ids)?;

    // Then what the kernel knows about that.
    if let Some(ids) = ids {
        task.data().set_ids(ids);
        stats.note(Stat::Ids);
    }
    slice::clear_grant(task.data(), stats);

    // At last the critical section. Without new IDs the task came by an interrupt, see
    // rseq_sched_switch_event(); a system call is not part of a section, which only debug mode verifies.
    if ids.is_none() || task.data().event.user_irq() {
        let csaddr = area.csaddr()?;
        if csaddr != 0 {
            section::update_user_cs(&region, &area, task, regs, csaddr, stats)?;
        }
    }
    Ok(())
}
