// SPDX-License-Identifier: GPL-2.0

//! A vector without allocations.

use core::{
    iter,
    mem::MaybeUninit, //
};
use kernel::prelude::*;

/// Up to `N` elements, in place.
///
/// An empty one costs nothing, whatever `N` is: the room for elements is not initialized.
///
/// # Invariants
///
/// `len` is at most `N`, and the first `len` elements are initialized.
pub(crate) struct ArrayVec<T, const N: usize> {
    elements: [MaybeUninit<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> ArrayVec<T, N> {
    /// Creates an empty vector.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        // INVARIANT: None of them.
        Self {
            elements: [const { MaybeUninit::uninit() }; N],
            len: 0,
        }
    }

    /// Appends `element`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room.
    #[inline(always)]
    pub(crate) fn push(&mut self, element: T) -> Result {
        self.elements
            .get_mut(self.len)
            .ok_or(EINVAL)?
            .write(element);
        // INVARIANT: It was less than `N`, and the element is there now.
        self.len += 1;
        Ok(())
    }

    /// Makes the elements what `f` makes of each of `items`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room for them. There are no elements then.
    #[inline(always)]
    pub(crate) fn set<I>(&mut self, items: &[I], mut f: impl FnMut(&I) -> T) -> Result {
        for (slot, item) in iter::zip(self.room(items.len())?, items) {
            slot.write(f(item));
        }
        // SAFETY: There was room for them, and all are there now.
        unsafe { self.set_len(items.len()) };
        Ok(())
    }

    /// Removes all elements. Returns room for `count` new ones.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room for them.
    #[inline(always)]
    pub(crate) fn room(&mut self, count: usize) -> Result<&mut [MaybeUninit<T>]> {
        // INVARIANT: None of them.
        self.len = 0;
        self.elements.get_mut(..count).ok_or(EINVAL)
    }

    /// Makes the first `count` elements of the room those of the vector.
    ///
    /// # Safety
    ///
    /// There must be such room, and all of it has to be initialized.
    #[inline(always)]
    pub(crate) unsafe fn set_len(&mut self, count: usize) {
        // INVARIANT: By the safety requirements.
        self.len = count;
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
