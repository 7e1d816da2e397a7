// SPDX-License-Identifier: GPL-2.0

//! Whom a vector keeps out.

#[cfg(CONFIG_SCHED_MM_CID)]
use crate::cid::WithCid;
use crate::{
    cpu::OnCpu,
    stats::{
        self,
        Stat, //
    },
    way::Exclusion, //
};
use kernel::{
    bindings,
    exclude::{
        self,
        Caller,
        Section, //
    },
    prelude::*,
    processor::cpu_relax, //
};

/// How often a caller tries to get its target, before it lets go of what it holds for a moment.
pub(crate) const TRIES: usize = 64;

/// What user code runs on, or with, that is to be kept out, as the caller names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The CPU of this number.
    Cpu(c_int),
    /// This concurrency ID of the address space.
    #[cfg(CONFIG_SCHED_MM_CID)]
    Cid(c_int),
}

impl Place {
    /// Runs `section` if the caller is there, or has it.
    #[inline(always)]
    pub(crate) fn here<S: Section>(self, caller: &Caller, section: &S) -> Option<S::Output> {
        match self {
            Self::Cpu(number) => exclude::here(caller, number, section),
            #[cfg(CONFIG_SCHED_MM_CID)]
            Self::Cid(cid) => exclude::here_with_cid(caller, cid, section),
        }
    }
}

/// A [`Place`] that the caller may name.
pub(crate) enum Target<'a> {
    Cpu(OnCpu<'a>),
    #[cfg(CONFIG_SCHED_MM_CID)]
    Cid(WithCid<'a>),
}

/// How a section fared.
pub(crate) enum Reached<T> {
    /// It ran, and returned this.
    Ran(T, Exclusion),
    /// It did not run: the CPU runs a task of another process, so that it would not reach the
    /// caller's memory.
    Foreign,
    /// It did not run: the caller has to [go there](Target::go), and should hold nothing meanwhile.
    Move,
    /// It did not run: others want the CPU as well. The caller should hold nothing for a moment,
    /// and [look](Target::look_again) whether it may still name the CPU.
    Again,
}

impl<'a> Target<'a> {
    /// The target at `place`.
    ///
    /// # Errors
    ///
    /// `ENXIO` if it is a CPU that there is not, or that the caller may not name; `EINVAL` if there
    /// is no such concurrency ID; `ENOMEM`.
    pub(crate) fn new(caller: &'a Caller, place: Place) -> Result<Self> {
        Ok(match place {
            Place::Cpu(number) => Self::Cpu(OnCpu::new(caller, number)?),
            #[cfg(CONFIG_SCHED_MM_CID)]
            Place::Cid(number) => Self::Cid(WithCid::new(caller, number)?),
        })
    }

    /// Looks whether the caller may still name it: others can change that at any time. May sleep.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); `EINTR` if the caller was killed.
    pub(crate) fn look_again(&mut self) -> Result {
        match self {
            Self::Cpu(target) => target.look_again(),
            #[cfg(CONFIG_SCHED_MM_CID)]
            Self::Cid(target) => target.look_again(),
        }
    }

    /// Runs `section`, which accesses `user_memory` or not, where it keeps out the target. Does not
    /// sleep but to let others run.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is a CPU that must not be disturbed, `EAGAIN` if the caller could not stay
    /// there; `EINTR` if the caller was killed.
    #[inline]
    pub(crate) fn run<S: Section>(
        &self,
        section: &S,
        user_memory: bool,
    ) -> Result<Reached<S::Output>> {
        match self {
            Self::Cpu(target) => target.run(section, user_memory),
            #[cfg(CONFIG_SCHED_MM_CID)]
            Self::Cid(target) => target.run(section),
        }
    }

    /// The error if the caller would have to be there itself, and was not.
    pub(crate) fn lost(&self) -> Error {
        match self {
            Self::Cpu(target) => target.lost(),
            #[cfg(CONFIG_SCHED_MM_CID)]
            Self::Cid(_) => EAGAIN,
        }
    }

    /// Goes there, if it is a CPU, unless that was in vain too often, and waits for a turn there.
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller was killed.
    pub(crate) fn go(&mut self) -> Result {
        match self {
            Self::Cpu(target) => target.go(),
            #[cfg(CONFIG_SCHED_MM_CID)]
            Self::Cid(_) => Ok(()),
        }
    }
}

/// Whether the current task is being killed.
pub(crate) fn killed() -> bool {
    // SAFETY: The current task is valid.
    unsafe { bindings::fatal_signal_pending(current!().as_ptr()) != 0 }
}

/// Between two tries: lets others run.
///
/// # Errors
///
/// `EINTR` if the caller was killed.
pub(crate) fn pause() -> Result {
    if killed() {
        return Err(EINTR);
    }
    stats::add(Stat::Retries, 1);
    cpu_relax();
    // SAFETY: The task can sleep.
    unsafe { bindings::cond_resched() };
    Ok(())
}
