// SPDX-License-Identifier: GPL-2.0

//! A vector without allocations.

use core::mem::MaybeUninit;

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

    /// Appends `element`; `None` if there is no room.
    #[inline(always)]
    pub(crate) fn push(&mut self, element: T) -> Option<()> {
        self.elements.get_mut(self.len)?.write(element);
        // INVARIANT: It was less than `N`, and the element is there now.
        self.len += 1;
        Some(())
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
