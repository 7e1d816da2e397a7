// SPDX-License-Identifier: GPL-2.0

//! Vectors that run on user memory itself.
//!
//! A vector of aligned words with at most one store, behind all loads, needs no pages: the store
//! happens as a whole or faults, and if anything faults, nothing has happened. Then the page is
//! faulted in as the task's own access would, and the vector starts again.

use crate::{
    abi::{
        self,
        RawOp, //
    },
    cpu::{
        killed,
        Needs,
        Reached,
        Target, //
    },
    op::{
        self,
        Op,
        Sink,
        Update,
        User,
        Width, //
    },
    pages,
    run::{
        Outcome,
        Step, //
    },
    stats::{
        self,
        Stat, //
    },
    way::Operands,
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

/// Finds out whether a vector can run in place.
pub(crate) struct Words {
    all: bool,
    stored: bool,
}

impl Words {
    /// Of no operations.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            all: true,
            stored: false,
        }
    }

    /// Whether the operations so far can.
    #[inline(always)]
    pub(crate) fn in_place(&self) -> bool {
        self.all
    }
}

impl Sink for Words {
    #[inline(always)]
    unsafe fn push<const N: usize>(&mut self, op: Op, operands: [User; N]) -> Result {
        // Barriers, which have no operands, can be anywhere.
        self.all &= N == 0 || !self.stored;
        for operand in &operands {
            self.all &= Width::new(operand.len.into()).is_some_and(|w| w.aligned(operand.addr));
        }
        self.stored |= matches!(op, Op::Copy { .. } | Op::Update { .. });
        Ok(())
    }
}

/// A vector, to run in place.
///
/// # Invariants
///
/// Checked by [`op::decode`], and [`Words::in_place`].
pub(crate) struct InPlace<'a>(&'a [RawOp]);

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
    /// # Safety
    ///
    /// The type invariant has to hold.
    #[inline(always)]
    pub(crate) unsafe fn new(vector: &'a [RawOp]) -> Self {
        // INVARIANT: By the safety requirements.
        Self(vector)
    }

    /// Whether an operand is in memory of a device.
    fn touches_device(&self) -> bool {
        // Most vectors have a word in the data and others on the stack, in turn.
        let mut seen = [None; 2];

        self.0.iter().flat_map(RawOp::addresses).any(|&addr| {
            let page = addr as usize & PAGE_MASK;
            if seen.contains(&Some(page)) {
                return false;
            }
            seen = [Some(page), seen[0]];
            // SAFETY: Interrupts are off, and user accesses reach the memory of the caller.
            unsafe { bindings::user_page_is_special(page) }
        })
    }

    #[inline(always)]
    fn run_words(&self) -> Ran {
        let current = current!();
        let _faults = PagefaultDisabled::new(current);
        let mut at = 0;

        loop {
            match run_in_region(self.0, &mut at) {
                Ok(None) => barrier::smp_mb(barrier::Full),
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
        if excluded.is_here() || self.0.is_empty() {
            return stats::time_section(|| self.run_words());
        }
        // Others wait: not for a device.
        if !excluded.own_memory() || self.touches_device() {
            return Ran::Foreign;
        }
        stats::time_section(|| self.run_words())
    }
}

/// Runs operations from number `at` on, until the end or a barrier, which `None` leaves to the caller:
/// it can be a call. Returns the number of the comparison that stopped it, or 0.
#[inline(always)]
fn run_in_region(vector: &[RawOp], at: &mut usize) -> Result<Option<c_int>, Fault> {
    // SAFETY: The only region here, and nothing is called in it.
    let region = unsafe { UserRegion::open() };

    while let Some(raw) = vector.get(*at) {
        let RawOp { op, len, args } = raw;
        let [first, second, _] = *args;

        *at = at.wrapping_add(1);
        if *op == abi::MB {
            return Ok(None);
        }
        let a = region.window(UserPtr::from_addr(first as usize))?;
        match *op {
            abi::COMPARE_EQ | abi::COMPARE_NE => {
                let b = region.window(UserPtr::from_addr(second as usize))?;

                if (load(&a, *len)? == load(&b, *len)?) != (*op == abi::COMPARE_EQ) {
                    return Ok(Some(*at as c_int));
                }
            }
            abi::MEMCPY => {
                let b = region.window(UserPtr::from_addr(second as usize))?;

                store(&a, *len, load(&b, *len)?)?;
            }
            _ => store(&a, *len, update(*op, load(&a, *len)?, second))?,
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

/// What an update, which has been checked, makes of a word. The argument of a shift is 32 bits.
#[inline(always)]
fn update(op: i32, old: u64, arg: u64) -> u64 {
    match op {
        abi::ADD => Update::Add.of(old, arg),
        abi::OR => Update::Or.of(old, arg),
        abi::AND => Update::And.of(old, arg),
        abi::XOR => Update::Xor.of(old, arg),
        abi::LSHIFT => Update::Shl.of(old, arg),
        _ => Update::Shr.of(old, arg),
    }
}

/// Runs `vector`, which can run in place, for `target`, wherever it is.
///
/// # Errors
///
/// Those of [`Target::run`]; those of operands that the task cannot access.
pub(crate) fn run(target: &Target<'_>, vector: &[RawOp], section: &InPlace<'_>) -> Result<Step> {
    let needs = if vector.is_empty() {
        Needs::Nothing
    } else {
        Needs::Memory
    };
    let mut failed = None;

    for _ in 0..TRIES {
        match target.run(section, needs)? {
            Reached::Ran(Ran::Stopped(stopped_at), exclusion) => {
                return Ok(Step::Ran(Outcome {
                    stopped_at,
                    exclusion,
                    operands: Operands::InPlace,
                }))
            }
            Reached::Ran(Ran::Fault(index), _) => {
                // What could not be accessed the last time still cannot, and no comparison has stopped
                // the vector by now.
                if let Some(e) = failed {
                    return Err(e);
                }
                match fault_in(vector.get(index..=index)) {
                    Err(e) if e == EINTR => return Err(e),
                    result => failed = result.err(),
                }
            }
            Reached::Ran(Ran::Foreign, _) | Reached::Foreign => return Ok(Step::Pin),
            Reached::Move => return Ok(Step::Move),
            Reached::Again => {}
        }
    }
    Ok(Step::Pin)
}

/// Accesses all operands of `vector` as the task itself would, in order. May sleep, for as long as
/// user space likes.
///
/// # Errors
///
/// `EFAULT` if one cannot be accessed, or `EAGAIN` if it says so; `EINTR` if the task was killed.
pub(crate) fn fault_in(vector: Option<&[RawOp]>) -> Result {
    for raw in vector.unwrap_or_default() {
        op::decode(raw, &mut FaultIn)?;
    }
    Ok(())
}

struct FaultIn;

impl Sink for FaultIn {
    unsafe fn push<const N: usize>(&mut self, _: Op, operands: [User; N]) -> Result {
        for operand in operands {
            stats::add(Stat::Faults, 1);
            // Where it fails, a pin tells why, unless it is of memory that cannot be pinned.
            pages::access(operand.addr, operand.write)
                .or_else(|_| pages::fault_in_operand(operand))
                .map_err(|e| if killed() { EINTR } else { operand.error(e) })?;
        }
        Ok(())
    }
}
