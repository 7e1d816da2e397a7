// SPDX-License-Identifier: GPL-2.0

//! A vector without allocations.

use core::{
    convert::Infallible,
    mem::MaybeUninit, //
};
use kernel::prelude::*;
use pin_init::uninit;

/// Up to `N` elements, in place.
///
/// An empty one costs nothing, whatever `N` is: the room for elements is not initialized.
///
/// # Invariants
///
/// `len` is at most `N`, and the first `len` elements are initialized.
pub(crate) struct ArrayVec<T, const N: usize> {
    elements: MaybeUninit<[T; N]>,
    len: usize,
}

impl<T: Copy, const N: usize> ArrayVec<T, N> {
    /// Creates an empty vector.
    #[inline(always)]
    pub(crate) fn new() -> impl Init<Self> {
        // INVARIANT: None of them.
        init!(Self {
            elements <- uninit::<_, Infallible>(),
            len: 0,
        })
    }

    /// The room for elements.
    #[inline(always)]
    fn room(&mut self) -> &mut [MaybeUninit<T>] {
        // SAFETY: The layouts are the same, and what need not be initialized may be so.
        unsafe { core::slice::from_raw_parts_mut(self.elements.as_mut_ptr().cast(), N) }
    }

    /// Removes all elements.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        // INVARIANT: None of them.
        self.len = 0;
    }

    /// Appends `element`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room.
    #[inline(always)]
    pub(crate) fn push(&mut self, element: T) -> Result {
        let len = self.len;

        self.room().get_mut(len).ok_or(EINVAL)?.write(element);
        // INVARIANT: It was less than `N`, and the element is there now.
        self.len += 1;
        Ok(())
    }

    /// Makes the elements what `f` makes of each of `items`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room; those of `f`. There are no elements then.
    #[inline(always)]
    pub(crate) fn set_map<I>(&mut self, items: &[I], mut f: impl FnMut(&I) -> Result<T>) -> Result {
        // INVARIANT: None of them.
        self.len = 0;
        let room = self.room().get_mut(..items.len()).ok_or(EINVAL)?;
        for (slot, item) in room.iter_mut().zip(items) {
            slot.write(f(item)?);
        }
        // INVARIANT: There was room for them, and all are there now.
        self.len = items.len();
        Ok(())
    }
}

impl<T, const N: usize> core::ops::Deref for ArrayVec<T, N> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type invariants.
        unsafe { core::slice::from_raw_parts(self.elements.as_ptr().cast(), self.len) }
    }
}

impl<T, const N: usize> core::ops::DerefMut for ArrayVec<T, N> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By the type invariants.
        unsafe { core::slice::from_raw_parts_mut(self.elements.as_mut_ptr().cast(), self.len) }
    }
}
