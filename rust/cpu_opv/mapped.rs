// SPDX-License-Identifier: GPL-2.0

//! Operands at addresses of the kernel.

use kernel::page::{
    PAGE_MASK,
    PAGE_SIZE, //
};

/// The address of an operand in the kernel, at the same distance from a page boundary as in user
/// memory: `start`, and `rest` from its second page on, if it has bytes there.
#[derive(Clone, Copy)]
pub(crate) struct Mapped {
    start: *mut u8,
    rest: Option<*mut u8>,
}

impl Mapped {
    /// An operand at `start`, and at `rest` from its second page on.
    #[inline(always)]
    pub(crate) const fn new(start: *mut u8, rest: Option<*mut u8>) -> Self {
        Self { start, rest }
    }

    /// Whether it is in two pages.
    #[inline(always)]
    pub(crate) fn crosses(self) -> bool {
        self.rest.is_some()
    }

    /// How many bytes are contiguous from the start on; maybe more than it has.
    #[inline]
    pub(crate) fn contiguous(self) -> usize {
        if self.crosses() {
            PAGE_SIZE - (self.start.addr() & !PAGE_MASK)
        } else {
            usize::MAX
        }
    }

    /// Its byte number `n`.
    #[inline]
    pub(crate) fn at(self, n: usize) -> *mut u8 {
        match self.rest {
            Some(rest) if n >= self.contiguous() => rest.wrapping_add(n - self.contiguous()),
            _ => self.start.wrapping_add(n),
        }
    }
}
