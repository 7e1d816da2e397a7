// SPDX-License-Identifier: GPL-2.0

//! Vectors of operations on per-CPU data.
//!
//! cpu_opv(2) runs a short vector of comparisons, copies and updates of user memory on a given CPU,
//! while nothing else of user space runs there. That makes it the slow path of restartable
//! sequences: it excludes them, reaches the data of other CPUs and of those that are offline, and
//! always comes to an end, under a debugger too.
//!
//! A call goes through these steps, each of which needs what the one before made, and is undone when
//! that is dropped:
//!
//! 1. [`read`] reads the vector, once, and [`op`] checks it.
//! 2. [`plan`] notes where its operands lie, and in which pages: a [`plan::Plan`].
//! 3. [`pages`] pins them, and nothing is held while that sleeps: [`pages::Pinned`].
//! 4. [`map`] gives every operand an address in the kernel, with a permit from [`budget`] if that
//!    takes address space: a [`map::MappedVector`].
//! 5. [`cpu`] reaches the CPU: [`cpu::Exclusive`]. Nothing may sleep or fault any more.
//! 6. [`exec`] runs the operations.
//!
//! C header: [`include/uapi/linux/cpu_opv.h`](srctree/include/uapi/linux/cpu_opv.h)

mod abi;
mod array_vec;
mod budget;
mod copy;
mod cpu;
#[cfg(CONFIG_CPU_OPV_STATS)]
mod debugfs;
mod exec;
mod map;
mod op;
mod pages;
mod plan;
mod read;
mod stats;
mod syscall;
#[cfg(CONFIG_CPU_OPV_KUNIT_TEST)]
mod tests;
mod trace;
