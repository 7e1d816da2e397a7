// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Histograms.

use crate::counter::{drain_all, Cell};
use crate::{Error, Index, PerCpu};

/// How many buckets a [`Histogram`] has: the value 0, and one for each number of bits.
pub const BUCKETS: usize = 65;

/// How many values have 0, 1, 2 ... bits: bucket `n` is of values below 2ⁿ that are in no lower
/// one. Recording never fails, as adding to a [`Counter`](crate::Counter).
///
/// ```
/// use percpu::{Cpu, Histogram};
///
/// let latencies = Histogram::<Cpu>::new();
/// for ns in [0, 1, 700, 800, 1500] {
///     latencies.record(ns);
/// }
/// let buckets = latencies.snapshot();
/// assert_eq!((buckets[0], buckets[1], buckets[10], buckets[11]), (1, 1, 2, 1));
/// ```
#[derive(Debug)]
pub struct Histogram<I: Index> {
    cells: PerCpu<[Cell; BUCKETS], I>,
}

impl<I: Index> Histogram<I> {
    /// A histogram of no values.
    pub fn new() -> Self {
        Histogram {
            cells: PerCpu::new(|_| core::array::from_fn(|_| Cell::default())),
        }
    }

    /// The bucket of a value.
    pub fn bucket(value: u64) -> usize {
        (u64::BITS - value.leading_zeros()) as usize
    }

    /// Counts a value.
    #[inline]
    pub fn record(&self, value: u64) {
        let index = I::current();
        self.cells[index as usize][Self::bucket(value)].add::<I>(1, index);
    }

    /// How many values each bucket has, as exact as [`Counter::sum()`](crate::Counter::sum).
    pub fn snapshot(&self) -> [u64; BUCKETS] {
        let mut sums = [0; BUCKETS];
        for cells in self.cells.iter() {
            sums.iter_mut()
                .zip(cells)
                .for_each(|(sum, cell)| *sum += cell.get() as u64);
        }
        sums
    }

    /// Takes what was counted at all indices that can be drained. The error is that of the first
    /// that cannot.
    pub fn drain_all(&self) -> ([u64; BUCKETS], Result<(), Error>) {
        drain_all(
            self.cells.len(),
            [0; BUCKETS],
            |sums: &mut [u64; BUCKETS], index| {
                for (sum, cell) in sums.iter_mut().zip(&self.cells[index as usize]) {
                    *sum += cell.drain::<I>(index)? as u64;
                }
                Ok(())
            },
        )
    }
}

impl<I: Index> Default for Histogram<I> {
    fn default() -> Self {
        Self::new()
    }
}
