// SPDX-License-Identifier: GPL-2.0

//! Which pages a vector needs.
//!
//! Planning has no effects: tested with KUnit.

use crate::{
    abi::{
        OPERANDS_MAX,
        PAGES_MAX, //
    },
    array_vec::ArrayVec,
    op::{
        Op,
        User, //
    },
};
use kernel::page::{
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE, //
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

/// The pages of a vector, each of them once, and the operands that lie in them.
pub(crate) struct Plan {
    pages: ArrayVec<UserPage, PAGES_MAX>,
    operands: ArrayVec<PagesOf, OPERANDS_MAX>,
}

impl Plan {
    /// The plan of no operations.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self {
            pages: ArrayVec::new(),
            operands: ArrayVec::new(),
        }
    }

    /// Makes this the plan of `ops`; `None` if an operand is not in user space.
    ///
    /// `is_user` tells whether that many bytes at an address are in user space.
    #[inline]
    pub(crate) fn make(
        &mut self,
        ops: &[Op<User>],
        is_user: impl Fn(usize, usize) -> bool,
    ) -> Option<()> {
        let mut index = Index::new();
        let mut operand = |User { addr, .. }, len: usize, write| {
            let Some(last) = len.checked_sub(1) else {
                return is_user(addr, 0).then_some(());
            };
            let last = addr.checked_add(last)? & PAGE_MASK;
            let addr = addr & PAGE_MASK;

            let first = self.page(&mut index, addr, write, &is_user)?;
            let last = if last == addr {
                first
            } else {
                self.page(&mut index, last, write, &is_user)?
            };
            self.operands.push(PagesOf { first, last })
        };

        ops.iter().try_for_each(|op| op.try_for_each(&mut operand))
    }

    /// The number of the page at `addr`.
    #[inline(always)]
    fn page(
        &mut self,
        index: &mut Index,
        addr: usize,
        write: bool,
        is_user: impl Fn(usize, usize) -> bool,
    ) -> Option<u8> {
        let slot = index.find(addr, &self.pages)?;
        if let Some(known) = self.pages.get_mut(usize::from(*slot)) {
            known.write |= write;
            return Some(*slot);
        }

        // User space ends with a page.
        if !is_user(addr, PAGE_SIZE) {
            return None;
        }
        *slot = u8::try_from(self.pages.len()).ok()?;
        self.pages.push(UserPage { addr, write })?;
        Some(*slot)
    }

    /// The pages, in the order in which operands need them first.
    #[inline]
    pub(crate) fn pages(&self) -> &[UserPage] {
        &self.pages
    }

    /// Where the operands lie, in order; those of no bytes are left out.
    #[inline]
    pub(crate) fn operands(&self) -> &[PagesOf] {
        &self.operands
    }

    /// Ranges of pages that follow one another in memory and in the plan, for one kind of access:
    /// address and number of pages.
    #[inline]
    pub(crate) fn runs(&self, write: bool) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut pages = self
            .pages()
            .iter()
            .filter(move |page| page.write == write)
            .map(|page| page.addr)
            .peekable();

        core::iter::from_fn(move || {
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
    fn find(&mut self, addr: usize, pages: &[UserPage]) -> Option<&mut u8> {
        let start = addr >> PAGE_SHIFT;

        // There is an empty slot in between.
        for at in 0..Self::SIZE {
            let at = start.wrapping_add(at) % Self::SIZE;
            let number = self.0[at];

            if pages
                .get(usize::from(number))
                .is_none_or(|page| page.addr == addr)
            {
                return Some(&mut self.0[at]);
            }
        }
        None
    }
}
