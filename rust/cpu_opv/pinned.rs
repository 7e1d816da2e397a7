// SPDX-License-Identifier: GPL-2.0

//! Vectors that run on pinned pages.

use crate::{
    abi::{
        self,
        RawOp, //
    },
    cpu::{
        Needs,
        Reached,
        Target, //
    },
    exec,
    map::{
        MappedOperands,
        MappedVector,
        Mapping, //
    },
    pages::{
        Failed,
        Pages,
        Room, //
    },
    plan::Plan,
    run::{
        Outcome,
        Step, //
    },
    stats, //
};
use kernel::{
    exclude::{
        Excluded,
        Section, //
    },
    mm::mc::Poisoned,
    prelude::*, //
};

/// What such a vector needs: too large for the stack.
pub(crate) struct Work {
    plan: Plan,
    room: Room,
    operands: MappedOperands,
}

impl Work {
    /// Plans `vector`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is malformed; `ENOMEM`.
    #[inline]
    pub(crate) fn new(vector: &[RawOp]) -> Result<KBox<Self>> {
        let mut work = KBox::init(
            init!(Self {
                plan <- Plan::new(),
                room <- Room::new(),
                operands <- MappedOperands::new(),
            }),
            GFP_KERNEL,
        )?;

        work.plan.set(vector)?;
        if work.plan.bytes() > abi::VEC_DATA_LEN_MAX {
            return Err(EINVAL);
        }
        Ok(work)
    }

    /// Runs `vector`, which this was made for, for `target`, wherever it is.
    ///
    /// Leading comparisons decide before it matters whether what is behind them can be accessed.
    ///
    /// # Errors
    ///
    /// Those of [`Pages::pin`] and [`Target::run`].
    pub(crate) fn run(&mut self, target: &Target<'_>, vector: &[RawOp]) -> Result<Step> {
        let mut vector = vector;
        let mut pending = None;

        // From the last call, it can be that of leading comparisons alone.
        if self.plan.ops().len() != vector.len() {
            self.plan.set(vector)?;
        }
        loop {
            match (self.try_run(target, vector), pending) {
                (Ok(Step::Ran(Outcome { stopped_at: 0, .. })), Some(failed)) => {
                    return Ok(Step::Unpinned(failed))
                }
                (Ok(step), _) => return Ok(step),
                (Err(failed), _) if failed.error != EFAULT && failed.error != EAGAIN => {
                    return Err(failed.error)
                }
                (Err(failed), _) => {
                    let leading = vector.iter().take_while(|raw| raw.is_leading()).count();

                    // Fewer than before: this ends.
                    vector = vector.get(..leading.min(failed.index)).unwrap_or_default();
                    if vector.is_empty() {
                        return Ok(Step::Unpinned(failed));
                    }
                    pending = Some(failed);
                    self.plan.set(vector)?;
                }
            }
        }
    }

    #[inline]
    fn try_run(&mut self, target: &Target<'_>, vector: &[RawOp]) -> Result<Step, Failed> {
        let mut pages = Pages::new(&self.plan, &mut self.room);
        let mapping = Mapping::new(pages.pin(vector)?);
        let Ok(section) = mapping.resolve(&mut self.operands) else {
            return Ok(Step::Poisoned);
        };
        let (result, exclusion) = match target.run(&section, Needs::Pages)? {
            Reached::Ran(result, exclusion) => (result, exclusion),
            Reached::Move => return Ok(Step::Move),
            Reached::Again | Reached::Foreign => return Ok(Step::Pin),
        };

        mapping.pages().mark_dirty();
        Ok(match result {
            Ok(stopped_at) => Step::Ran(Outcome {
                stopped_at,
                exclusion,
                operands: mapping.operands(),
            }),
            Err(Poisoned) => Step::Poisoned,
        })
    }
}

// SAFETY: Accesses kernel memory that is mapped, as far as hardware lets it.
unsafe impl Section for MappedVector<'_> {
    type Output = Result<c_int, Poisoned>;

    #[inline]
    fn run(&self, excluded: &Excluded) -> Self::Output {
        stats::time_section(|| exec::run(excluded, *self))
    }
}
