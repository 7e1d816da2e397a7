// SPDX-License-Identifier: GPL-2.0

//! Keeping user code off a CPU, or a concurrency ID.
//!
//! A [`Section`] runs while no user code executes on a CPU, and no other section runs for it.
//! A restartable sequence that was executing there before is aborted. [`here`] runs it if the caller
//! is on the CPU, [`locked`] if the CPU runs no user task, and [`interrupt`] if it does.
//!
//! Or it runs while no thread of the address space has a concurrency ID and executes user code, in
//! the same sense: [`here`] if the caller has it, [`with_cid`] else. The two kinds do not exclude
//! each other.
//!
//! Why each way excludes the others, and what keeps callers from taking CPUs from others, is proven
//! in `kernel/sched/exclude.c`.
//!
//! C header: [`include/linux/sched/exclude.h`](srctree/include/linux/sched/exclude.h)
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     cpu::CpuId,
//!     exclude::{self, Caller, Excluded, Place, Section},
//! };
//!
//! struct Answer;
//!
//! // SAFETY: Returns at once.
//! unsafe impl Section for Answer {
//!     type Output = u32;
//!
//!     fn run(&self, _: &Excluded) -> u32 {
//!         42
//!     }
//! }
//!
//! // SAFETY: The task can sleep, and nothing but tests, one at a time, uses this module yet.
//! let caller = unsafe { Caller::in_syscall() };
//! let here = Place::Cpu(CpuId::current().as_u32() as i32);
//! if let Some(answer) = exclude::here(&caller, here, &Answer) {
//!     assert_eq!(answer, 42);
//! }
//! assert!(exclude::Cpu::named(-1).is_err());
//! #[cfg(CONFIG_SCHED_MM_CID)]
//! assert!(exclude::Cid::new(-1).is_err());
//! ```

use crate::{
    bindings,
    cpu::CpuId,
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    types::NotThreadSafe, //
};

/// What can run while user code is kept off a CPU.
///
/// It may run on any CPU, in an interrupt or with a runqueue locked, while the caller spins.
///
/// # Safety
///
/// `run()` must neither sleep, print, wake up anything, allocate, take locks nor enable interrupts,
/// and it must not access memory in a way that can fault, unless page faults are disabled. It must
/// not take more than a quarter of a millisecond: others wait.
pub unsafe trait Section: Sync {
    /// What it returns to the caller.
    type Output: Send;

    /// Runs with interrupts off.
    fn run(&self, excluded: &Excluded) -> Self::Output;
}

/// Proof that no user code executes on the CPU, or with the concurrency ID, nor another [`Section`]
/// for it.
///
/// # Invariants
///
/// That is so while the value exists, and interrupts are off. If `own`, user accesses reach the
/// memory of the caller, with its rights. Unless `here`, others wait meanwhile.
pub struct Excluded {
    own: bool,
    here: bool,
    _not_send: NotThreadSafe,
}

impl Excluded {
    /// Whether user accesses reach the memory of the caller, with its rights.
    #[inline(always)]
    pub fn own_memory(&self) -> bool {
        self.own
    }

    /// Whether this is by [`here`]: at the expense of the caller alone.
    #[inline(always)]
    pub fn is_here(&self) -> bool {
        self.here
    }
}

/// A task of user space in its own context.
///
/// # Invariants
///
/// The current task is not in an interrupt, and can sleep, except by what this module does. It is
/// one of user space, or nobody else uses this module.
pub struct Caller(NotThreadSafe);

impl Caller {
    /// The current task.
    ///
    /// # Safety
    ///
    /// This must be called by a system call, or while nobody else uses this module; the value must
    /// be used where the task can sleep.
    #[inline(always)]
    pub unsafe fn in_syscall() -> Self {
        // INVARIANT: By the safety requirements. Kernel threads make no system calls.
        Self(NotThreadSafe)
    }
}

/// A CPU that the current task may keep others off.
///
/// # Invariants
///
/// It is a possible CPU.
#[derive(Clone, Copy)]
pub struct Cpu {
    number: c_int,
    in_mask: bool,
}

impl Cpu {
    /// The CPU `number`, if the affinity mask of the current task or its cpuset has it, or it is
    /// offline.
    ///
    /// Others can change that at any time. May sleep.
    ///
    /// # Errors
    ///
    /// `ENXIO` if neither has it, or there is no such CPU; `ENOMEM`.
    pub fn named(number: c_int) -> Result<Self> {
        // SAFETY: Any number may be asked about; the task can sleep.
        let ret = unsafe { bindings::sched_exclude_permitted(number) };

        to_result(ret)?;
        // INVARIANT: It was found to be one.
        Ok(Self {
            number,
            in_mask: ret > 0,
        })
    }

    /// Whether the affinity mask of the task has it.
    #[inline]
    pub fn in_mask(self) -> bool {
        self.in_mask
    }

    /// Its number.
    #[inline]
    pub fn number(self) -> c_int {
        self.number
    }

    /// As what other functions take.
    #[inline]
    pub fn id(self) -> CpuId {
        // SAFETY: By the type invariant.
        unsafe { CpuId::from_i32_unchecked(self.number) }
    }
}

/// Why a section did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Others use the CPU's slot, or it was changing: try again. The caller should not hold back
    /// others meanwhile, and look for signals.
    Again,
    /// The CPU runs a user task.
    Occupied(Occupant),
}

/// What is known of the user task that a CPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupant(u32);

impl Occupant {
    /// Of these properties, for tests of what is decided by them.
    pub fn new(same_mm: bool, realtime: bool, isolated: bool) -> Self {
        Self(
            bindings::sched_occupant_SCHED_OCCUPANT
                | (u32::from(same_mm) * bindings::sched_occupant_SCHED_OCCUPANT_SAME_MM)
                | (u32::from(realtime) * bindings::sched_occupant_SCHED_OCCUPANT_REALTIME)
                | (u32::from(isolated) * bindings::sched_occupant_SCHED_OCCUPANT_ISOLATED),
        )
    }

    /// Whether it has the mm of the caller.
    #[inline]
    pub fn same_mm(self) -> bool {
        self.0 & bindings::sched_occupant_SCHED_OCCUPANT_SAME_MM != 0
    }

    /// Whether it is of a real-time class.
    #[inline]
    pub fn realtime(self) -> bool {
        self.0 & bindings::sched_occupant_SCHED_OCCUPANT_REALTIME != 0
    }

    /// Whether its CPU is isolated from disturbances, by `isolcpus=`, `nohz_full=` or a cpuset.
    #[inline]
    pub fn isolated(self) -> bool {
        self.0 & bindings::sched_occupant_SCHED_OCCUPANT_ISOLATED != 0
    }
}

/// Interrupts are off on this CPU until it is dropped.
///
/// # Invariants
///
/// `flags` are from `local_irq_save()`.
struct InterruptsOff {
    flags: c_ulong,
    _not_send: NotThreadSafe,
}

impl InterruptsOff {
    #[inline(always)]
    fn new() -> Self {
        Self {
            // INVARIANT: As it has to be.
            // SAFETY: The drop undoes it; guards of a function are dropped in reverse order.
            flags: unsafe { bindings::local_irq_save() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for InterruptsOff {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::local_irq_restore(self.flags) };
    }
}

/// What user code runs on, or with, that is to be kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The CPU of this number, if there is one.
    Cpu(c_int),
    /// This concurrency ID of the address space, if there is such a one.
    #[cfg(CONFIG_SCHED_MM_CID)]
    Cid(c_int),
}

impl Place {
    /// Whether the current task is there, or has it. That can change while interrupts are on.
    #[inline(always)]
    fn is_here(self) -> bool {
        match self {
            Self::Cpu(number) => CpuId::current().as_u32() as c_int == number,
            #[cfg(CONFIG_SCHED_MM_CID)]
            Self::Cid(cid) => {
                let current = current!();

                // SAFETY: The current task is valid.
                unsafe { bindings::task_mm_cid(current.as_ptr()) == cid }
            }
        }
    }
}

/// Runs `section` if the current task is at `place`.
#[inline(always)]
pub fn here<S: Section>(_: &Caller, place: Place, section: &S) -> Option<S::Output> {
    // Mostly so already: interrupts are not turned off in vain.
    if !place.is_here() {
        return None;
    }
    let _off = InterruptsOff::new();

    // INVARIANT: A user task is the only thing that runs on this CPU, and with its concurrency ID,
    // until it is scheduled out, and that is this.
    place.is_here().then(|| {
        section.run(&Excluded {
            own: true,
            here: true,
            _not_send: NotThreadSafe,
        })
    })
}

/// A section on its way through C, and what it returned.
struct Call<'a, S: Section> {
    section: &'a S,
    output: Option<S::Output>,
}

/// # Safety
///
/// `arg` must point to a `Call<'_, S>` that nobody else accesses, and user code must be excluded
/// as [`Excluded`] says.
unsafe extern "C" fn run<S: Section>(arg: *mut c_void, own: bool) {
    // SAFETY: By the safety requirements.
    let call = unsafe { &mut *arg.cast::<Call<'_, S>>() };

    // INVARIANT: By the safety requirements.
    call.output = Some(call.section.run(&Excluded {
        own,
        here: false,
        _not_send: NotThreadSafe,
    }));
}

/// Runs `section` here if `cpu` runs no user task: it is neither interrupted nor woken up.
///
/// # Errors
///
/// Says why it did not run.
#[inline]
pub fn locked<S: Section>(_: &Caller, cpu: Cpu, section: &S) -> Result<S::Output, Busy> {
    let mut call = Call {
        section,
        output: None,
    };
    let arg = (&raw mut call).cast();

    // SAFETY: A possible CPU, interrupts are on, and `call` outlives the function.
    match unsafe { bindings::sched_exclude_locked(cpu.number, Some(run::<S>), arg) } {
        0 => call.output.ok_or(Busy::Again),
        occupant @ 1.. => Err(Busy::Occupied(Occupant(occupant as u32))),
        _ => Err(Busy::Again),
    }
}

/// Runs `section` on `cpu`, in an interrupt, if it runs a user task.
///
/// For CPUs of which [`locked`] told that, and that may be interrupted.
///
/// # Errors
///
/// [`Busy::Again`]
#[inline]
pub fn interrupt<S: Section>(_: &Caller, cpu: Cpu, section: &S) -> Result<S::Output, Busy> {
    let mut call = Call {
        section,
        output: None,
    };
    let arg = (&raw mut call).cast();

    // SAFETY: As in `locked()`. The section is `Sync`, and what it returns is `Send`.
    unsafe { bindings::sched_exclude_interrupt(cpu.number, Some(run::<S>), arg) };
    call.output.ok_or(Busy::Again)
}

/// A concurrency ID that threads of the current address space can have.
///
/// # Invariants
///
/// It is less than the number of possible CPUs.
#[cfg(CONFIG_SCHED_MM_CID)]
#[derive(Clone, Copy)]
pub struct Cid(c_int);

#[cfg(CONFIG_SCHED_MM_CID)]
impl Cid {
    /// The ID `number`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such ID.
    pub fn new(number: c_int) -> Result<Self> {
        // SAFETY: Does not change after boot.
        let count = unsafe { bindings::__num_possible_cpus };

        // INVARIANT: As is asked here.
        match u32::try_from(number)? < count {
            true => Ok(Self(number)),
            false => Err(EINVAL),
        }
    }

    /// Its number.
    #[inline]
    pub fn number(self) -> c_int {
        self.0
    }
}

/// Whether a thread had a concurrency ID when a section ran.
#[cfg(CONFIG_SCHED_MM_CID)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidOwner {
    /// No thread that ran.
    None,
    /// One that was interrupted.
    Running,
}

/// Runs `section` while no other thread of the address space has the concurrency ID `cid`, or
/// executes user code with it.
///
/// # Errors
///
/// [`Busy::Again`], also if the ID changes hands. If that lasts, [wait](wait_for_cids).
#[cfg(CONFIG_SCHED_MM_CID)]
#[inline]
pub fn with_cid<S: Section>(
    _: &Caller,
    cid: Cid,
    section: &S,
) -> Result<(S::Output, CidOwner), Busy> {
    let mut call = Call {
        section,
        output: None,
    };
    let arg = (&raw mut call).cast();

    // SAFETY: There can be such an ID, interrupts are on, and `call` outlives the function. The
    // section is `Sync`, and what it returns is `Send`.
    let ret = unsafe { bindings::sched_exclude_cid(cid.0, Some(run::<S>), arg) };
    let owner = match u32::try_from(ret) {
        Ok(bindings::sched_cid_SCHED_CID_TAKEN) => CidOwner::None,
        _ => CidOwner::Running,
    };
    // Without an output it did not run.
    call.output.map(|output| (output, owner)).ok_or(Busy::Again)
}

/// Waits for those who give concurrency IDs of the address space to other owners. Sleeps.
///
/// # Errors
///
/// `EINTR` if the task was killed.
#[cfg(CONFIG_SCHED_MM_CID)]
pub fn wait_for_cids(_: &Caller) -> Result {
    // SAFETY: The task can sleep.
    to_result(unsafe { bindings::sched_exclude_cid_wait() })
}
