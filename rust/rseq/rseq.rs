// SPDX-License-Identifier: GPL-2.0

//! Restartable sequences.
//!
//! A thread registers a [`struct rseq`](abi) in its memory with rseq(2). The kernel keeps in it the
//! CPU, the NUMA node and the concurrency ID that the thread runs with. The thread announces in it
//! the critical section that it is about to enter; when the kernel preempts, migrates or signals the
//! thread inside of the section, the thread continues at the abort address of the section. So user
//! space updates per-CPU data without atomic instructions.
//!
//! This crate is the implementation that `CONFIG_RSEQ_RUST` selects. What happens in the scheduler,
//! in fork and exec, and on entry to the kernel is the same for both implementations and stays
//! inline in C: it sets bits in `task_struct::rseq` ([`task`]). This crate does what these bits
//! ask for, before the task returns to user mode:
//!
//! * The crate in [`exit.rs`](srctree/kernel/restartable/rust/rseq/exit.rs) has the fast path of
//!   every return to user mode after a context switch.
//! * [`slowpath`] has the slow path where that fails, signal delivery, and the check of system calls;
//!   [`update`] what both paths do in debug mode and under tracing.
//! * [`syscall`] has registration.
//! * [`slice`], [`slice_grant`], [`slice_timer`] and [`slice_syscall`] have time slice extensions.
//!
//! [`cs`] and [`registration`] decide; they are pure. [`area`] and [`section`] act on user memory.
//!
//! C headers: [`include/linux/rseq.h`](srctree/include/linux/rseq.h),
//! [`include/linux/rseq_entry.h`](srctree/include/linux/rseq_entry.h),
//! [`include/uapi/linux/rseq.h`](srctree/include/uapi/linux/rseq.h)

mod abi;
mod area;
mod cs;
mod debug;
mod debugfs;
mod registration;
mod section;
#[cfg_attr(not(CONFIG_RSEQ_SLICE_EXTENSION), path = "slice_off.rs")]
mod slice;
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
mod slice_grant;
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
mod slice_syscall;
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
mod slice_timer;
mod slowpath;
mod stats;
mod syscall;
mod task;
#[cfg(CONFIG_RSEQ_RUST_KUNIT_TEST)]
mod tests;
mod trace;
mod update;

use kernel::prelude::*;

/// Sets the timers of slice extensions up, and creates the files in debugfs.
#[export]
#[link_section = ".init.text"]
pub(crate) extern "C" fn rust_rseq_init() -> c_int {
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    slice_timer::init();

    match debugfs::create_files() {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}
