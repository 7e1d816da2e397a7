// SPDX-License-Identifier: GPL-2.0

//! Running a vector: on this CPU and in place, or else.

use crate::{
    abi::RawOp,
    cpu::Target,
    in_place::{
        self,
        InPlace,
        Ran,
        Words, //
    },
    op,
    pages::Failed,
    pinned::Work,
    way::{
        Exclusion,
        Operands, //
    },
};
use kernel::{
    exclude::{
        self,
        Caller, //
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

/// What a try came to.
pub(crate) enum Step {
    Ran(Outcome),
    /// It did not run: its pages have to be pinned, again if they were.
    Pin,
    /// It did not run: the caller has to go to the CPU.
    Move,
    /// It did not run: an operand could not be pinned. Leading comparisons before it did not stop it.
    Unpinned(Failed),
    /// It met memory that the hardware has lost: it did not run, or not to its end.
    Poisoned,
}

/// Runs `vector` on the CPU `number`.
///
/// # Errors
///
/// Those of cpu_opv(2).
#[inline(always)]
pub(crate) fn run(caller: &Caller, vector: &[RawOp], number: c_int) -> Result<Outcome> {
    let mut words = Words::new();

    for raw in vector {
        op::decode(raw, &mut words)?;
        if !words.in_place() {
            return run_pinned(caller, vector, number);
        }
    }
    // SAFETY: Checked just now.
    let section = unsafe { InPlace::new(vector) };
    if let Some(Ran::Stopped(stopped_at)) = exclude::here(caller, number, &section) {
        return Ok(Outcome {
            stopped_at,
            exclusion: Exclusion::Local,
            operands: Operands::InPlace,
        });
    }
    run_words(caller, vector, number, &section)
}

/// Runs a vector that needs pages.
#[inline(never)]
fn run_pinned(caller: &Caller, vector: &[RawOp], number: c_int) -> Result<Outcome> {
    let mut work = Work::new(vector)?;
    let mut target = Target::new(caller, number)?;

    loop {
        match work.run(&target, vector)? {
            Step::Ran(outcome) => return Ok(outcome),
            Step::Pin => {}
            Step::Move => target.go()?,
            Step::Unpinned(failed) => return Err(failed.error),
            Step::Poisoned => return Err(EFAULT),
        }
    }
}

/// Runs a vector of words, on pages only where it cannot run in place.
#[inline(never)]
fn run_words(
    caller: &Caller,
    vector: &[RawOp],
    number: c_int,
    section: &InPlace<'_>,
) -> Result<Outcome> {
    let mut target = Target::new(caller, number)?;
    let mut tries = TRIES;

    loop {
        let mut step = in_place::run(&target, vector, section)?;
        if matches!(step, Step::Pin) {
            step = Work::new(vector)?.run(&target, vector)?;
        }
        match step {
            Step::Ran(outcome) => return Ok(outcome),
            Step::Pin => {}
            Step::Move => target.go()?,
            Step::Unpinned(Failed { index, .. }) => {
                // The task itself can access memory that cannot be pinned: where it is, if not by
                // chance where the CPU is.
                in_place::fault_in(vector.get(index..=index))?;
                if tries == 0 {
                    return Err(target.lost());
                }
                tries -= 1;
                target.go()?;
            }
            Step::Poisoned => return Err(EFAULT),
        }
    }
}
