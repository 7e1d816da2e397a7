// SPDX-License-Identifier: GPL-2.0

//! Whom a vector keeps out.

use crate::{
    stats::{
        self,
        Stat, //
    },
    way::Exclusion, //
};
use kernel::{
    bindings,
    exclude::Section,
    prelude::*,
    processor::cpu_relax, //
};

/// How often a caller tries to get its target, before it lets go of what it holds for a moment.
const TRIES: usize = 64;

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

/// A [`Place`](kernel::exclude::Place) that the caller may name.
pub(crate) trait Target {
    /// Looks whether the caller may still name it: others can change that at any time. May sleep.
    ///
    /// # Errors
    ///
    /// `ENXIO` if it is a CPU that the caller may not name any more; `ENOMEM`; `EINTR` if the caller
    /// was killed.
    fn look_again(&mut self) -> Result;

    /// Tries to run `section`, which accesses `user_memory` or not, where it keeps out the target.
    /// `None` if others want that as well. Does not sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is a CPU that must not be disturbed, `EAGAIN` if the caller could not stay
    /// there.
    fn try_run<S: Section>(
        &self,
        section: &S,
        user_memory: bool,
    ) -> Result<Option<Reached<S::Output>>>;

    /// Runs `section`. Does not sleep but to let others run.
    ///
    /// # Errors
    ///
    /// Those of [`try_run`](Self::try_run); `EINTR` if the caller was killed.
    #[inline]
    fn run<S: Section>(&self, section: &S, user_memory: bool) -> Result<Reached<S::Output>> {
        for _ in 0..TRIES {
            if let Some(reached) = self.try_run(section, user_memory)? {
                return Ok(reached);
            }
            pause()?;
        }
        Ok(Reached::Again)
    }

    /// The error if the caller would have to be there itself, and was not.
    fn lost(&self) -> Error;

    /// Goes there, if it is a CPU, unless that was in vain too often, and waits for a turn there.
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller was killed.
    fn go(&mut self) -> Result;
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
fn pause() -> Result {
    if killed() {
        return Err(EINTR);
    }
    stats::add(Stat::Retries, 1);
    cpu_relax();
    // SAFETY: The task can sleep.
    unsafe { bindings::cond_resched() };
    Ok(())
}
