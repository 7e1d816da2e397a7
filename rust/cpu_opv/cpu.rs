// SPDX-License-Identifier: GPL-2.0

//! Reaching a CPU.
//!
//! What user space does on a CPU is excluded in one of three ways, each of which excludes the others:
//!
//! * The caller is on the CPU, with preemption off. Restartable sequences of threads that it
//!   preempted there are aborted by that context switch.
//! * The CPU's stopper thread runs the vector for the caller: it preempts whatever runs there, and
//!   never in a section with preemption off.
//! * The CPU is offline and cannot come back, since the caller holds the hotplug lock, and a mutex
//!   keeps out others that came to the same conclusion.

use crate::{
    exec,
    map::MappedVector,
    stats::{
        self,
        Stat, //
    },
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    cpu::{
        hotplug::CpusReadGuard,
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    migrate::Moved,
    nospec::array_index_nospec,
    preempt::PreemptDisabled,
    prelude::*,
    stop_machine::stop_one_cpu,
    types::NotThreadSafe, //
};

/// How often a caller tries to go to the CPU, if its mask changes meanwhile.
const RETRIES: usize = 8;

kernel::sync::global_lock! {
    // SAFETY: `init()` initializes it before any call can use it.
    unsafe(uninit) static OFFLINE: Mutex<()> = ();
}

/// Prepares this file for calls.
///
/// # Safety
///
/// Must be called once, before anything runs in user mode.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirements.
    unsafe { OFFLINE.init() };
}

/// Proof that nothing of user space runs on the CPU, nor another vector for it.
///
/// Nothing may sleep or fault while it exists.
pub(crate) struct Exclusive<'a>(PhantomData<&'a ()>, NotThreadSafe);

impl<'a> Exclusive<'a> {
    /// If this is `cpu`.
    #[inline]
    fn here(_: &'a PreemptDisabled, cpu: CpuId) -> Option<Self> {
        (CpuId::current() == cpu).then_some(Self(PhantomData, NotThreadSafe))
    }

    /// Where this is called by `stop_one_cpu()` for the CPU.
    ///
    /// # Safety
    ///
    /// It must be.
    #[inline]
    unsafe fn in_stopper() -> Self {
        Self(PhantomData, NotThreadSafe)
    }

    /// If `cpu` is offline.
    fn offline(cpus: &'a CpusReadGuard, _: &'a OfflineGuard, cpu: CpuId) -> Option<Self> {
        (!cpus.is_online(cpu)).then_some(Self(PhantomData, NotThreadSafe))
    }
}

type OfflineGuard = kernel::sync::GlobalGuard<OFFLINE>;

/// The possible CPU that has `number`.
///
/// # Errors
///
/// `EINVAL` if there is none.
#[inline]
pub(crate) fn possible(number: c_int) -> Result<CpuId> {
    let cpu = CpuId::from_i32(number).ok_or(EINVAL)?;
    let number = array_index_nospec(cpu.as_u32() as usize, nr_cpu_ids() as usize);
    let cpu = CpuId::from_u32(number as u32).ok_or(EINVAL)?;

    Cpumask::possible().test(cpu).then_some(cpu).ok_or(EINVAL)
}

/// Whether the current task may run on `cpu`, were it online.
///
/// Others can change that at any time.
#[inline]
pub(crate) fn allowed(cpu: CpuId) -> bool {
    // SAFETY: The pointer is to a mask that stays: that of the task, or of a single CPU.
    let mask =
        unsafe { Cpumask::from_raw((&raw const (*current!().as_ptr()).cpus_ptr).read_volatile()) };

    mask.test(cpu)
}

/// Runs `vector` on `cpu`. May sleep.
///
/// Returns what [`exec::run`] does.
///
/// # Errors
///
/// `EINVAL` if the task must not run there (any more), `EAGAIN` if it could not go there again and again.
#[inline]
pub(crate) fn run_on(cpu: CpuId, vector: MappedVector<'_>) -> Result<c_int> {
    if let Some(stopped_at) = run_here(cpu, vector) {
        stats::add(Stat::Local, 1);
        return Ok(stopped_at);
    }
    run_elsewhere(cpu, vector)
}

/// If this is `cpu`.
#[inline]
fn run_here(cpu: CpuId, vector: MappedVector<'_>) -> Option<c_int> {
    let here = PreemptDisabled::new();
    let exclusive = Exclusive::here(&here, cpu)?;

    Some(stats::time_section(|| exec::run(&exclusive, vector)))
}

#[inline(never)]
fn run_elsewhere(cpu: CpuId, vector: MappedVector<'_>) -> Result<c_int> {
    let cpus = CpusReadGuard::new();

    if !cpus.is_online(cpu) {
        return run_offline(&cpus, cpu, vector);
    }
    // SAFETY: An integer that is written at once.
    match unsafe { (&raw const bindings::cpu_opv_remote).read_volatile() } {
        bindings::cpu_opv_remote_CPU_OPV_MIGRATE => migrate_and_run(&cpus, cpu, vector),
        _ => stop_and_run(&cpus, cpu, vector),
    }
}

/// Has the stopper thread of `cpu` run the vector.
fn stop_and_run(cpus: &CpusReadGuard, cpu: CpuId, vector: MappedVector<'_>) -> Result<c_int> {
    let stopped_at = stop_one_cpu(cpus, cpu, &|| {
        stats::time_section(|| {
            // SAFETY: This is called by it.
            let exclusive = unsafe { Exclusive::in_stopper() };

            exec::run(&exclusive, vector)
        })
    })
    .ok_or(EAGAIN)?;

    stats::add(Stat::Stopped, 1);
    Ok(stopped_at)
}

/// Moves the current task to `cpu`, where it waits for its turn, and runs the vector there.
fn migrate_and_run(cpus: &CpusReadGuard, cpu: CpuId, vector: MappedVector<'_>) -> Result<c_int> {
    for _ in 0..RETRIES {
        match Moved::to(cpu, cpus) {
            Ok(_moved) => {
                let stopped_at = run_here(cpu, vector).ok_or(EAGAIN)?;

                stats::add(Stat::Migrated, 1);
                return Ok(stopped_at);
            }
            Err(e) if e == EAGAIN => stats::add(Stat::Retries, 1),
            Err(e) => return Err(e),
        }
    }
    Err(EAGAIN)
}

/// Runs the vector where the task is, since nothing can run on `cpu`.
fn run_offline(cpus: &CpusReadGuard, cpu: CpuId, vector: MappedVector<'_>) -> Result<c_int> {
    let only = OFFLINE.lock();
    let exclusive = Exclusive::offline(cpus, &only, cpu).ok_or(EAGAIN)?;

    stats::add(Stat::Offline, 1);
    Ok(exec::run(&exclusive, vector))
}
