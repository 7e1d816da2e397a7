// SPDX-License-Identifier: GPL-2.0

//! Functions that run on a CPU instead of everything else.
//!
//! C header: [`include/linux/stop_machine.h`](srctree/include/linux/stop_machine.h)

use crate::{
    bindings,
    cpu::{
        hotplug::CpusReadGuard,
        CpuId, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Completion, //
    },
    types::Opaque, //
};

/// How often to look for the result before the caller sleeps: a few microseconds to some tens of them.
const SPINS: usize = 1000;

/// What the two CPUs share.
#[pin_data]
struct Work<'f, F> {
    #[pin]
    work: Opaque<bindings::cpu_stop_work>,
    #[pin]
    done: Completion,
    finished: Atomic<bool>,
    result: Atomic<c_int>,
    f: &'f F,
}

impl<F: Fn() -> c_int + Sync> Work<'_, F> {
    /// # Safety
    ///
    /// `this` must point to a `Work<'_, F>` that stays there until `done` is completed.
    unsafe extern "C" fn run(this: *mut c_void) -> c_int {
        // SAFETY: By the safety requirements.
        let this = unsafe { &*this.cast::<Self>() };

        this.result.store((this.f)(), Release);
        this.finished.store(true, Release);
        this.done.complete_all();
        0
    }
}

/// Runs `f` on `cpu`, in the task of the highest priority there, and returns what it returns.
///
/// `f` preempts whatever runs on the CPU; interrupts stay enabled, preemption is disabled: `f` must
/// not sleep. It should be short: the caller expects it to be done soon, and looks for that before
/// it sleeps.
///
/// Returns [`None`] if the CPU is offline; then `f` was not called. May sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     cpu::{hotplug::CpusReadGuard, CpuId},
///     stop_machine::stop_one_cpu, //
/// };
///
/// let cpu = CpuId::from_i32(0).ok_or(EINVAL)?;
/// let there = stop_one_cpu(&CpusReadGuard::new(), cpu, &|| CpuId::current().as_u32() as i32);
/// assert_eq!(there, Some(0));
/// # Ok::<(), Error>(())
/// ```
pub fn stop_one_cpu<F: Fn() -> c_int + Sync>(
    cpus: &CpusReadGuard,
    cpu: CpuId,
    f: &F,
) -> Option<c_int> {
    if !cpus.is_online(cpu) {
        return None;
    }
    pin_init::stack_pin_init!(let work = pin_init!(Work {
        work: Opaque::uninit(),
        done <- Completion::new(),
        finished: Atomic::new(false),
        result: Atomic::new(0),
        f,
    }));
    let work = work.into_ref().get_ref();
    let this = core::ptr::from_ref(work).cast_mut().cast();

    // SAFETY: The CPU is online, and stays so while `cpus` is borrowed. `work` stays here until
    // `run` has completed it.
    unsafe {
        bindings::stop_one_cpu_nowait(cpu.as_u32(), Some(Work::<F>::run), this, work.work.get())
    };
    for _ in 0..SPINS {
        if work.finished.load(Acquire) {
            break;
        }
        cpu_relax();
    }
    // It may have been about to complete it.
    work.done.wait_for_completion();
    Some(work.result.load(Acquire))
}
