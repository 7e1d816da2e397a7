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
//! * [`exit`] has the fast path of every return to user mode after a context switch.
//! * [`resume`] has the slow path where that fails, signal delivery, and the check of system calls.
//! * [`syscall`] has registration.
//! * [`slice`] has time slice extensions.
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
mod exit;
mod registration;
mod resume;
mod section;
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
mod slice;
#[cfg(not(CONFIG_RSEQ_SLICE_EXTENSION))]
#[path = "slice_off.rs"]
mod slice;
mod stats;
mod syscall;
mod task;
#[cfg(CONFIG_RSEQ_RUST_KUNIT_TEST)]
mod tests;
mod trace;
