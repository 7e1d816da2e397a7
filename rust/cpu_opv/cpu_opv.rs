// SPDX-License-Identifier: GPL-2.0

//! Vectors of operations on per-CPU data.
//!
//! cpu_opv(2) runs a short vector of comparisons, copies and updates of user memory on a given CPU,
//! while nothing else of user space runs there. That makes it the slow path of restartable
//! sequences: it excludes them, reaches the data of other CPUs and of those that are offline, and
//! always comes to an end, under a debugger too.
//!
//! [`read`] reads the vector, while [`op`] checks it: an [`op::Vector`]. Then [`run`] takes it
//! through the cheapest way that there is, chosen by [`way`]:
//!
//! * [`in_place`]: on user memory itself, if it has at most one store, of a word, at the end.
//! * [`pinned`]: on pinned pages, by these steps, each of which needs what the one before made, and
//!   is undone when that is dropped:
//!
//!   1. [`plan`] notes in which pages operands are: a [`plan::Plan`].
//!   2. [`pages`] pins them, and so gives every operand an address in the kernel, or two: a
//!      [`pages::Pinned`]. What is not there is faulted in before, by [`fault_in`], with nothing
//!      held.
//!   3. [`exec`] runs the operations, in [`segments`] where operands cross pages.
//!
//! Both need their [`target`]: a CPU, which [`cpu`] gets by one of the ways of [`kernel::exclude`],
//! or by going there, or a concurrency ID, see [`cid`]. What runs then neither sleeps nor waits for a
//! page.
//!
//! C header: [`include/uapi/linux/cpu_opv.h`](srctree/include/uapi/linux/cpu_opv.h)

mod abi;
mod array_vec;
#[cfg(CONFIG_SCHED_MM_CID)]
mod cid;
mod cpu;
#[cfg(CONFIG_CPU_OPV_STATS)]
mod debugfs;
mod exec;
mod fault_in;
mod in_place;
mod mapped;
mod op;
mod pages;
mod pinned;
mod plan;
mod read;
mod run;
mod segments;
mod stats;
mod syscall;
mod target;
#[cfg(CONFIG_CPU_OPV_KUNIT_TEST)]
mod tests;
mod trace;
mod way;
