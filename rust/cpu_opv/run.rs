// SPDX-License-Identifier: GPL-2.0

//! Running a vector: on this CPU and in place, or else.

#[cfg(CONFIG_SCHED_MM_CID)]
use crate::cid::WithCid;
use crate::{
    cpu::OnCpu,
    fault_in,
    in_place::{
        self,
        InPlace,
        Ran, //
    },
    op::Vector,
    pinned,
    read::UserVector,
    target::Target,
    way::{
        Exclusion,
        Operands, //
    },
};
use kernel::{
    exclude::{
        self,
        Caller,
        Place, //
    },
    prelude::*, //
};

/// How often a vector of words that cannot be pinned tries to run in place again.
const TRIES: usize = 16;

/// What became of a vector that ran.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// 0, or the number of the comparison that stopped it.
    pub(crate) stopped_at: c_int,
    pub(crate) exclusion: Exclusion,
    pub(crate) operands: Operands,
}

/// Why a vector does not run.
#[derive(Clone, Copy)]
pub(crate) struct Failed {
    /// The operation that has the operand which is the reason, or the first one.
    pub(crate) index: usize,
    pub(crate) error: Error,
}

/// What a try came to.
pub(crate) enum Step {
    Ran(Outcome),
    /// It did not run: its pages have to be pinned.
    Pin,
    /// It did not run: others want the target as well.
    Again,
    /// It did not run: the caller has to go to the CPU.
    Move,
    /// It did not run: an operand could not be pinned. Leading comparisons before it did not stop
    /// it.
    Unpinned(Failed),
    /// It met memory that the hardware has lost: it did not run, or not to its end.
    Poisoned,
}

/// Runs the operations at `user` for `place`.
///
/// # Errors
///
/// Those of cpu_opv(2).
#[inline(always)]
pub(crate) fn run(caller: &Caller, user: UserVector, place: Place) -> Result<Outcome> {
    let mut vector = Vector::new();

    user.read(&mut vector)?;
    if let Some(section) = InPlace::new(&vector) {
        if let Some(Ran::Stopped(stopped_at)) = exclude::here(caller, place, &section) {
            return Ok(Outcome {
                stopped_at,
                exclusion: Exclusion::Local,
                operands: Operands::InPlace,
            });
        }
    }
    run_for(caller, place, user, &mut vector)
}

/// Runs `vector` for whatever there is at `place`.
#[inline(never)]
fn run_for(
    caller: &Caller,
    place: Place,
    user: UserVector,
    vector: &mut Vector,
) -> Result<Outcome> {
    match place {
        Place::Cpu(number) => run_slowly(OnCpu::new(caller, number)?, user, vector),
        #[cfg(CONFIG_SCHED_MM_CID)]
        Place::Cid(number) => run_slowly(WithCid::new(caller, number)?, user, vector),
    }
}

/// Runs `vector`, which has been read from `user`, wherever `target` and the operands are.
///
/// What did not run is read again, as if the program had made the call again.
#[inline(always)]
fn run_slowly(mut target: impl Target, user: UserVector, vector: &mut Vector) -> Result<Outcome> {
    let mut tries = TRIES;

    loop {
        let mut step = match InPlace::new(vector) {
            Some(section) => in_place::run(&target, &section)?,
            None => Step::Pin,
        };
        if matches!(step, Step::Pin) {
            step = pinned::run(&target, vector.ops_mut())?;
        }
        match step {
            Step::Ran(outcome) => return Ok(outcome),
            Step::Pin | Step::Again => {}
            Step::Move => target.go()?,
            Step::Unpinned(Failed { error, .. }) if !vector.in_place() => return Err(error),
            Step::Unpinned(Failed { index, .. }) => {
                // The task itself can access memory that cannot be pinned: where it is, if not by
                // chance where the CPU is.
                vector
                    .ops()
                    .get(index)
                    .map_or(Ok(()), fault_in::for_access)?;
                if tries == 0 {
                    return Err(target.lost());
                }
                tries -= 1;
                target.go()?;
            }
            Step::Poisoned => return Err(EFAULT),
        }
        target.look_again()?;
        user.read(vector)?;
    }
}
