// SPDX-License-Identifier: GPL-2.0

//! Which pages a vector needs.
//!
//! Planning has no effects: tested with KUnit.

use crate::{
    abi::{
        RawOp,
        OPERANDS_MAX,
        PAGES_MAX,
        VEC_LEN_MAX, //
    },
    array_vec::ArrayVec,
    op::{
        self,
        Op,
        Sink,
        User, //
    },
};
use core::iter;
use kernel::{
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// A page of user memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserPage {
    pub(crate) addr: usize,
    pub(crate) write: bool,
}

/// The numbers of the pages of an operand: the same one twice if it lies in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PagesOf {
    pub(crate) first: u8,
    pub(crate) last: u8,
}

impl PagesOf {
    /// In the place of those of an operand of no bytes.
    const NONE: Self = Self { first: 0, last: 0 };

    #[inline]
    pub(crate) fn crosses(self) -> bool {
        self.first != self.last
    }

    /// The numbers, each once.
    #[inline]
    pub(crate) fn numbers(self) -> impl Iterator<Item = u8> {
        [Some(self.first), self.crosses().then_some(self.last)]
            .into_iter()
            .flatten()
    }
}

/// Where an operand lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    /// From the start of its first page.
    pub(crate) offset: u16,
    pub(crate) len: u16,
    /// Of no meaning if it has no bytes.
    pub(crate) pages: PagesOf,
}

const _: () = assert!(PAGE_SIZE - 1 <= u16::MAX as usize);

/// A vector, where its operands lie, and the pages, each of them once.
///
/// # Invariants
///
/// `operands` are those of `ops`, in order: as many as each has, of the length that it says, and
/// aligned if it says so.
pub(crate) struct Plan {
    ops: ArrayVec<Op, VEC_LEN_MAX>,
    operands: ArrayVec<Operand, OPERANDS_MAX>,
    /// The addresses of the pages.
    pages: ArrayVec<usize, PAGES_MAX>,
    /// Whether each of them is written.
    writes: ArrayVec<bool, PAGES_MAX>,
    index: Index,
    bytes: usize,
    crossing: bool,
}

impl Plan {
    /// A plan of no operations.
    pub(crate) fn new() -> impl Init<Self> {
        // INVARIANT: None of either.
        init!(Self {
            ops <- ArrayVec::new(),
            operands <- ArrayVec::new(),
            pages <- ArrayVec::new(),
            writes <- ArrayVec::new(),
            index: Index::new(),
            bytes: 0,
            crossing: false,
        })
    }

    /// Makes this the plan of `vector`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if an operation is malformed, or there are too many.
    #[inline]
    pub(crate) fn set(&mut self, vector: &[RawOp]) -> Result {
        // INVARIANT: None of either.
        self.ops.clear();
        self.operands.clear();
        self.pages.clear();
        self.writes.clear();
        self.index = Index::new();
        self.bytes = 0;
        self.crossing = false;

        for raw in vector {
            op::decode(raw, self)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn push_operand(&mut self, operand: &User) -> Result {
        let len = usize::from(operand.len);
        let offset = operand.addr & !PAGE_MASK;
        let page = operand.addr & PAGE_MASK;
        let pages = if len == 0 {
            PagesOf::NONE
        } else {
            let first = self.page(page, operand.write)?;
            let last = if offset + len <= PAGE_SIZE {
                first
            } else {
                self.crossing = true;
                self.page(page.wrapping_add(PAGE_SIZE), operand.write)?
            };

            PagesOf { first, last }
        };

        self.operands.push(Operand {
            offset: offset as u16,
            len: operand.len,
            pages,
        })
    }

    /// The number of the page at `addr`.
    #[inline(always)]
    fn page(&mut self, addr: usize, write: bool) -> Result<u8> {
        let slot = self.index.find(addr, &self.pages);
        if let Some(known) = self.writes.get_mut(usize::from(*slot)) {
            *known |= write;
            return Ok(*slot);
        }

        *slot = self.pages.len() as u8;
        self.pages.push(addr)?;
        self.writes.push(write)?;
        Ok(*slot)
    }

    /// The operations.
    #[inline]
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operands of all operations, in order.
    #[inline]
    pub(crate) fn operands(&self) -> &[Operand] {
        &self.operands
    }

    /// How many bytes count towards the limit of the vector.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether an operand crosses pages.
    #[inline]
    pub(crate) fn crossing(&self) -> bool {
        self.crossing
    }

    /// The pages, in the order in which operands need them first.
    #[inline]
    pub(crate) fn pages(&self) -> impl Iterator<Item = UserPage> + '_ {
        iter::zip(&*self.pages, &*self.writes).map(|(&addr, &write)| UserPage { addr, write })
    }

    /// Whether each page, by its number, is written.
    #[inline]
    pub(crate) fn writes(&self) -> &[bool] {
        &self.writes
    }

    /// Ranges of pages that follow one another in memory and in the plan, for one kind of access:
    /// address and number of pages.
    #[inline]
    pub(crate) fn runs(&self, write: bool) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut pages = self
            .pages()
            .filter(move |page| page.write == write)
            .map(|page| page.addr)
            .peekable();

        iter::from_fn(move || {
            let start = pages.next()?;
            let mut count = 1;
            while pages
                .next_if_eq(&start.wrapping_add(count * PAGE_SIZE))
                .is_some()
            {
                count += 1;
            }
            Some((start, count))
        })
    }
}

impl Sink for Plan {
    /// Appends an operation; `EINVAL` if there are too many.
    #[inline(always)]
    unsafe fn push<const N: usize>(&mut self, op: Op, operands: [User; N]) -> Result {
        // INVARIANT: By the safety requirements.
        self.ops.push(op)?;
        // OVERFLOW: At most `VEC_LEN_MAX * DATA_LEN_MAX`. Two operands are of the same length.
        self.bytes += operands.first().map_or(0, |operand| operand.len.into());
        for operand in &operands {
            self.push_operand(operand)?;
        }
        Ok(())
    }
}

/// Finds pages by their address: a hash table that is at most half full.
struct Index([u8; Self::SIZE]);

impl Index {
    const SIZE: usize = 2 * PAGES_MAX;
    const EMPTY: u8 = u8::MAX;

    #[inline]
    fn new() -> Self {
        const {
            assert!(PAGES_MAX < Self::EMPTY as usize);
            assert!(Self::SIZE.is_power_of_two());
        }
        Self([Self::EMPTY; Self::SIZE])
    }

    /// The slot for the page at `addr`: with its number, or else one that is of no page.
    #[inline(always)]
    fn find(&mut self, addr: usize, pages: &[usize]) -> &mut u8 {
        let mut at = addr >> PAGE_SHIFT;

        // There is a slot that is of no page.
        loop {
            at %= Self::SIZE;
            let number = self.0[at];

            if pages
                .get(usize::from(number))
                .is_none_or(|&page| page == addr)
            {
                return &mut self.0[at];
            }
            at += 1;
        }
    }
}
