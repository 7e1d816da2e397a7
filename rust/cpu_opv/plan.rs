// SPDX-License-Identifier: GPL-2.0

//! Which pages a vector needs.
//!
//! Planning has no effects: tested with KUnit.

use crate::{
    abi::{
        PAGES_MAX,
        VEC_LEN_MAX, //
    },
    array_vec::ArrayVec,
    op::Op, //
};
use core::iter;
use kernel::{
    mm::pin::Slot,
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// The numbers of the pages of an operand: the same one twice if it lies in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PagesOf {
    pub(crate) first: u8,
    pub(crate) last: u8,
}

impl PagesOf {
    /// Of an operand of no bytes.
    pub(crate) const NONE: Self = Self {
        first: u8::MAX,
        last: u8::MAX,
    };

    #[inline(always)]
    pub(crate) fn crosses(self) -> bool {
        self.first != self.last
    }
}

/// Pages of a vector, each of them once, in the order of their numbers.
pub(crate) type Slots = ArrayVec<Slot, PAGES_MAX>;

/// Which pages the operands of a vector are in.
pub(crate) struct Plan {
    /// Those of the operands of each operation.
    pub(crate) operands: ArrayVec<[PagesOf; 2], VEC_LEN_MAX>,
    /// Whether each of them is written, by bits.
    pub(crate) written: u64,
}

const _: () = assert!(PAGES_MAX <= u64::BITS as usize);

impl Plan {
    /// A plan of no operations.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            operands: ArrayVec::new(),
            written: 0,
        }
    }

    /// Makes this the plan of `ops`; the addresses of its pages go to `slots`, which has none.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are too many operations, which cannot be.
    #[inline(never)]
    pub(crate) fn set(&mut self, ops: &[Op], slots: &mut Slots) -> Result {
        let mut pages = Numbered {
            slots,
            seen: 0,
            written: 0,
        };

        // First operands come first, and then second ones: those of several operations are often in
        // pages that follow one another, which are pinned together.
        let mut recent = Recent::NONE;
        self.operands.set(ops, |op| {
            let [addr, _] = op.args();

            // Barriers have no bytes.
            [
                pages.of(addr, op.len(), op.writes(), &mut recent),
                PagesOf::NONE,
            ]
        })?;
        let mut recent = Recent::NONE;
        for (op, [_, second]) in iter::zip(ops, &mut *self.operands) {
            if let Some(operand) = op.operand(1) {
                *second = pages.of(operand.addr as u64, op.len(), false, &mut recent);
            }
        }
        self.written = pages.written;
        Ok(())
    }
}

/// The page of the operand before: many are in the same one.
struct Recent {
    addr: usize,
    number: u8,
}

impl Recent {
    /// Not the address of a page.
    const NONE: Self = Self {
        addr: usize::MAX,
        number: 0,
    };
}

/// Pages, numbered.
struct Numbered<'a> {
    slots: &'a mut Slots,
    /// A bit for every page, by its address: if it is not set, the page is a new one.
    seen: u64,
    written: u64,
}

impl Numbered<'_> {
    /// The pages of an operand.
    #[inline(always)]
    fn of(&mut self, addr: u64, len: u32, write: bool, recent: &mut Recent) -> PagesOf {
        let (addr, len) = (addr as usize, len as usize);
        let page = addr & PAGE_MASK;

        if len == 0 {
            return PagesOf::NONE;
        }
        if page != recent.addr {
            *recent = Recent {
                addr: page,
                number: self.number(page),
            };
        }
        let first = recent.number;
        let mut last = first;

        self.written |= bit(first, write);
        if (addr & !PAGE_MASK) + len > PAGE_SIZE {
            last = self.number(page.wrapping_add(PAGE_SIZE));
            self.written |= bit(last, write);
        }
        PagesOf { first, last }
    }

    /// The number of the page at `addr`. There is room for all that a vector can have.
    #[inline]
    fn number(&mut self, addr: usize) -> u8 {
        let seen = bit((addr >> PAGE_SHIFT) as u8, true);
        let known = if self.seen & seen != 0 {
            self.slots.iter().position(|slot| slot.addr() == addr)
        } else {
            None
        };
        let number = known.unwrap_or(self.slots.len());

        if known.is_none() {
            self.seen |= seen;
            if self.slots.push(Slot::at(addr)).is_err() {
                return PagesOf::NONE.first;
            }
        }
        number as u8
    }
}

/// `value` as the bit of `number`, modulo their number.
#[inline(always)]
fn bit(number: u8, value: bool) -> u64 {
    u64::from(value).rotate_left(number.into())
}

/// How many bits are clear in `bits`, one after the other from that of `number` on.
#[inline]
pub(crate) fn clear_from(bits: u64, number: usize) -> usize {
    bits.checked_shr(number as u32)
        .map_or(0, |bits| bits.trailing_zeros() as usize)
}

/// The numbers whose bits are set in `bits`.
#[inline]
pub(crate) fn numbers(bits: u64) -> impl Iterator<Item = u8> {
    let mut left = bits;

    iter::from_fn(move || {
        let number = left.trailing_zeros();

        // The lowest one that is set.
        left &= left.wrapping_sub(1);
        (number < u64::BITS).then_some(number as u8)
    })
}
