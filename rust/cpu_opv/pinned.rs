// SPDX-License-Identifier: GPL-2.0

//! Running a vector on pinned pages.

use crate::{
    fault_in,
    op::{
        self,
        Op, //
    },
    pages::{
        Pages,
        Pinned, //
    },
    plan::{
        Plan,
        Slots, //
    },
    run::{
        Failed,
        Outcome,
        Step, //
    },
    target::{
        Reached,
        Target, //
    },
    way::Operands, //
};
use kernel::{
    mm::{
        mc::Poisoned,
        pin::How, //
    },
    prelude::*, //
};

/// How often pages are faulted in, if others take them away again meanwhile.
const TRIES: usize = 16;

/// Runs `ops` for `target`, wherever it is. May sleep, for as long as user space likes, and holds
/// no pages meanwhile; a fatal signal ends that.
///
/// Leading comparisons decide before it matters whether what is behind them can be accessed.
///
/// They are no operations on user memory afterwards, but from the one on that could not be pinned.
///
/// # Errors
///
/// Those of [`Target::run`]; `ENOMEM`.
#[inline(always)]
pub(crate) fn run(target: &impl Target, ops: &mut [Op]) -> Result<Step> {
    let mut ops = ops;
    let mut pending = None;

    loop {
        match (try_run(target, ops)?, pending) {
            (Step::Ran(Outcome { stopped_at: 0, .. }), Some(failed)) => {
                return Ok(Step::Unpinned(failed))
            }
            (Step::Unpinned(failed), _) => {
                // Fewer than before: this ends.
                ops = op::leading(ops, failed.index);
                if ops.is_empty() {
                    return Ok(Step::Unpinned(failed));
                }
                pending = Some(failed);
            }
            (step, _) => return Ok(step),
        }
    }
}

/// Runs all of `ops`, once all their pages are pinned.
#[inline(always)]
fn try_run(target: &impl Target, ops: &mut [Op]) -> Result<Step> {
    for tries in 0..=TRIES {
        // Some pages cannot be had without the mmap lock: the zero page, for instance.
        let locked = tries > 0;

        if let Some(step) = run_on(target, ops, locked)? {
            return Ok(step);
        }
        if let Some(failed) = fault_in(ops)? {
            return Ok(Step::Unpinned(failed));
        }
    }
    let error = EAGAIN;
    Ok(Step::Unpinned(Failed { index: 0, error }))
}

/// Faults in all pages of `ops`. Returns what is in the way, if it is an operand.
#[cold]
fn fault_in(ops: &[Op]) -> Result<Option<Failed>> {
    for (index, op) in ops.iter().enumerate() {
        match fault_in::for_pins(op) {
            Err(error) if error == EFAULT || error == EAGAIN => {
                return Ok(Some(Failed { index, error }))
            }
            result => result?,
        }
    }
    Ok(None)
}

/// Runs `ops` on their pages, if these can be pinned, with the mmap lock or without. `None` if not:
/// only then `ops` are as before.
#[inline(always)]
fn run_on(target: &impl Target, ops: &mut [Op], locked: bool) -> Result<Option<Step>> {
    let mut slots = Slots::new();
    let mut plan = Plan::new();

    plan.set(ops, &mut slots)?;
    let pages = if locked {
        pin_locked(&mut slots, plan.written)?
    } else {
        Pages::pin(&mut slots, plan.written, How::Present)
    };
    let Ok(pages) = pages else {
        return Ok(None);
    };
    let Ok(pinned) = Pinned::new(ops, &plan, pages) else {
        return Ok(Some(Step::Poisoned));
    };

    let (result, exclusion) = match target.run(&pinned, false)? {
        Reached::Ran(result, exclusion) => (result, exclusion),
        Reached::Move => return Ok(Some(Step::Move)),
        Reached::Again | Reached::Foreign => return Ok(Some(Step::Again)),
    };
    pinned.mark_dirty();
    Ok(Some(match result {
        Ok(stopped_at) => Step::Ran(Outcome {
            stopped_at,
            exclusion,
            operands: Operands::Pinned,
        }),
        Err(Poisoned) => {
            pinned.find_poison();
            Step::Poisoned
        }
    }))
}

/// Pins pages that are mapped. Waits for the mmap lock before, with nothing held.
#[cold]
fn pin_locked(slots: &mut Slots, written: u64) -> Result<Result<Pages<'_>>> {
    let current = current!();
    let mm = current.mm().ok_or(EFAULT)?;
    let mm = mm.mmap_read_lock_killable()?;

    Ok(Pages::pin(slots, written, How::Mapped(&mm)))
}
