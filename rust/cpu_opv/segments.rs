// SPDX-License-Identifier: GPL-2.0

//! Where two operands are contiguous at once.

/// The ranges of `len` bytes in which neither of two operands crosses a page, if one does so after
/// `a` bytes and the other after `b`: at most three, as their first byte and the one behind. Empty
/// ones are left out.
///
/// In descending order if `backward`.
#[inline]
pub(crate) fn segments(
    len: usize,
    a: usize,
    b: usize,
    backward: bool,
) -> impl Iterator<Item = (usize, usize)> {
    let (low, high) = (a.min(b).min(len), a.max(b).min(len));
    let [first, middle, last] = [(0, low), (low, high), (high, len)];
    let order = if backward {
        [last, middle, first]
    } else {
        [first, middle, last]
    };

    order.into_iter().filter(|(start, end)| start < end)
}
