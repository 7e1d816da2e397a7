// SPDX-License-Identifier: GPL-2.0

//! Vectors that run on user memory itself.
//!
//! A vector of aligned words with at most one store, behind all loads, needs no pages: the store
//! happens as a whole or faults, and if anything faults, nothing has happened. Then the page is
//! faulted in as the task's own access would, and the vector starts again.

use crate::{
    abi, fault_in,
    op::{
        update,
        Op,
        Operand,
        Vector, //
    },
    run::{
        Outcome,
        Step, //
    },
    stats,
    target::{
        Reached,
        Target, //
    },
    way::{
        self,
        Operands, //
    },
};
use kernel::{
    bindings,
    exclude::{
        Excluded,
        Section, //
    },
    page::PAGE_MASK,
    prelude::*,
    sync::barrier,
    uaccess::{
        access::{
            Fault,
            UserRegion,
            UserWindow, //
        },
        PagefaultDisabled,
        UserPtr, //
    },
};

/// How often pages are faulted in: others may take them away again.
const TRIES: usize = 16;

/// A vector, to run in place.
///
/// # Invariants
///
/// It [can](Vector::in_place).
pub(crate) struct InPlace<'a>(&'a [Op]);

/// How that went.
pub(crate) enum Ran {
    /// 0, or the number of the comparison that stopped the vector.
    Stopped(c_int),
    /// The operation with this index faulted. Nothing has happened.
    Fault(usize),
    /// User accesses would not reach the memory of the caller. Nothing has happened.
    Foreign,
}

impl<'a> InPlace<'a> {
    /// `None` if it cannot.
    #[inline(always)]
    pub(crate) fn new(vector: &'a Vector) -> Option<Self> {
        match way::operands(vector.in_place(), true) {
            // INVARIANT: It can.
            Operands::InPlace => Some(Self(vector.ops())),
            Operands::Pinned => None,
        }
    }

    /// How many operations come before the first one with an operand in a page that others should
    /// not wait for, or in none.
    fn ordinary(&self) -> usize {
        // Most vectors have a word in the data and others on the stack, in turn.
        let mut seen = [None; 2];
        let mut is_special = |operand: Operand| {
            let page = operand.addr & PAGE_MASK;
            if seen.contains(&Some(page)) {
                return false;
            }
            seen = [Some(page), seen[0]];
            // SAFETY: Interrupts are off, and user accesses reach the memory of the caller.
            unsafe { bindings::user_page_is_special(page) }
        };

        self.0
            .iter()
            .position(|op| op.operands().any(&mut is_special))
            .unwrap_or(self.0.len())
    }

    /// Runs the operations before number `end`; at that one it faults, if there is one.
    #[inline(always)]
    fn run_before(&self, end: usize) -> Ran {
        let current = current!();
        let _faults = PagefaultDisabled::new(current);
        let ops = self.0.get(..end).unwrap_or_default();
        let mut at = 0;

        loop {
            match run_in_region(ops, &mut at) {
                Ok(None) => barrier::smp_mb(barrier::Full),
                Ok(Some(0)) if end < self.0.len() => return Ran::Fault(end),
                Ok(Some(stopped_at)) => return Ran::Stopped(stopped_at),
                // It counts from the next one.
                Err(Fault) => return Ran::Fault(at.wrapping_sub(1)),
            }
        }
    }
}

// SAFETY: Accesses user memory only, with page faults disabled.
unsafe impl Section for InPlace<'_> {
    type Output = Ran;

    #[inline(always)]
    fn run(&self, excluded: &Excluded) -> Ran {
        let len = self.0.len();

        match way::operands(true, len == 0 || excluded.own_memory()) {
            Operands::InPlace if len == 0 || excluded.is_here() => {
                stats::time_section(|| self.run_before(len))
            }
            // Others wait.
            Operands::InPlace => stats::time_section(|| self.run_before(self.ordinary())),
            Operands::Pinned => Ran::Foreign,
        }
    }
}

/// Runs operations from number `at` on, until the end or a barrier, which `None` leaves to the
/// caller: it can be a call. Returns the number of the comparison that stopped it, or 0.
#[inline(always)]
fn run_in_region(vector: &[Op], at: &mut usize) -> Result<Option<c_int>, Fault> {
    // SAFETY: The only region here, and nothing is called in it.
    let region = unsafe { UserRegion::open() };

    while let Some(op) = vector.get(*at) {
        let (code, len) = (op.code(), op.len());
        let [first, second] = op.args();

        *at = at.wrapping_add(1);
        if code == abi::MB {
            return Ok(None);
        }
        let a = region.window(UserPtr::from_addr(first as usize))?;
        match code {
            abi::COMPARE_EQ | abi::COMPARE_NE => {
                let b = region.window(UserPtr::from_addr(second as usize))?;

                if (load(&a, len)? == load(&b, len)?) != (code == abi::COMPARE_EQ) {
                    return Ok(Some(*at as c_int));
                }
            }
            abi::MEMCPY => {
                let b = region.window(UserPtr::from_addr(second as usize))?;

                store(&a, len, load(&b, len)?)?;
            }
            _ => store(&a, len, update(code, load(&a, len)?, second))?,
        }
    }
    Ok(Some(0))
}

#[inline(always)]
#[expect(clippy::cast_lossless)] // No calls in a region
fn load(p: &UserWindow<'_>, len: u32) -> Result<u64, Fault> {
    Ok(match len {
        8 => p.read::<u64, 0>()?,
        4 => p.read::<u32, 0>()? as u64,
        2 => p.read::<u16, 0>()? as u64,
        _ => p.read::<u8, 0>()? as u64,
    })
}

#[inline(always)]
fn store(p: &UserWindow<'_>, len: u32, value: u64) -> Result<(), Fault> {
    match len {
        8 => p.write::<u64, 0>(value),
        4 => p.write::<u32, 0>(value as u32),
        2 => p.write::<u16, 0>(value as u16),
        _ => p.write::<u8, 0>(value as u8),
    }
}

/// Runs `section` for `target`, wherever it is.
///
/// # Errors
///
/// Those of [`Target::run`]; those of operands that the task cannot access.
pub(crate) fn run(target: &impl Target, section: &InPlace<'_>) -> Result<Step> {
    let user_memory = !section.0.is_empty();
    let mut failed = None;

    for _ in 0..TRIES {
        match target.run(section, user_memory)? {
            Reached::Ran(Ran::Stopped(stopped_at), exclusion) => {
                return Ok(Step::Ran(Outcome {
                    stopped_at,
                    exclusion,
                    operands: Operands::InPlace,
                }))
            }
            Reached::Ran(Ran::Fault(index), _) => {
                // What could not be accessed the last time still cannot, and no comparison before
                // it has stopped the vector by now.
                match failed {
                    Some((before, e)) if before == index => return Err(e),
                    _ => {}
                }
                match section.0.get(index).map_or(Ok(()), fault_in::for_access) {
                    Err(e) if e == EINTR => return Err(e),
                    result => failed = result.err().map(|e| (index, e)),
                }
            }
            Reached::Ran(Ran::Foreign, _) | Reached::Foreign => return Ok(Step::Pin),
            Reached::Move => return Ok(Step::Move),
            Reached::Again => return Ok(Step::Again),
        }
    }
    Ok(Step::Pin)
}
