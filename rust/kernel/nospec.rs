// SPDX-License-Identifier: GPL-2.0

//! Protection against speculative execution.
//!
//! C header: [`include/linux/nospec.h`](srctree/include/linux/nospec.h)

use crate::bindings;

/// Returns `index` if it is less than `size`, else 0, also where the CPU speculates.
///
/// For an index that comes from user space, after its check: a mispredicted check then does not
/// lead to an access that is out of bounds.
///
/// # Examples
///
/// ```
/// use kernel::nospec::array_index_nospec;
///
/// assert_eq!(array_index_nospec(2, 3), 2);
/// assert_eq!(array_index_nospec(3, 3), 0);
/// ```
#[inline]
pub fn array_index_nospec(index: usize, size: usize) -> usize {
    // SAFETY: Computes with its arguments only.
    unsafe { bindings::array_index_nospec(index, size) }
}
