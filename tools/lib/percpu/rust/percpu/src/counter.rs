// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Counters.

use core::sync::atomic::{AtomicIsize, Ordering::Relaxed};

use crate::{op, Error, Index, PerCpu};

/// Two words, because atomic instructions and sequences do not exclude each other.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    by_sequences: AtomicIsize,
    by_atomics: AtomicIsize,
}

impl Cell {
    #[inline(always)]
    pub(crate) fn add<I: Index>(&self, count: isize, index: u32) {
        // SAFETY: A word that is changed by operations for `index` alone, its cell's.
        if unsafe { op::addv::<I>(self.by_sequences.as_ptr(), count, index) }.is_err() {
            self.by_atomics.fetch_add(count, Relaxed);
        }
    }

    pub(crate) fn get(&self) -> isize {
        let sum = self.by_sequences.load(Relaxed);
        sum.wrapping_add(self.by_atomics.load(Relaxed))
    }

    pub(crate) fn drain<I: Index>(&self, index: u32) -> Result<isize, Error> {
        // SAFETY: As above.
        let sum = unsafe { op::exchange::<I>(self.by_sequences.as_ptr().cast(), 0, index) }?;
        Ok((sum as isize).wrapping_add(self.by_atomics.swap(0, Relaxed)))
    }
}

/// A counter that threads add to without atomic instructions.
///
/// Adding never fails: where neither a sequence nor cpu_opv(2) gets through, it is done by an atomic
/// instruction.
///
/// ```
/// use percpu::{Cid, Counter};
///
/// static REQUESTS: std::sync::LazyLock<Counter<Cid>> = std::sync::LazyLock::new(Counter::new);
///
/// std::thread::scope(|s| {
///     for _ in 0..4 {
///         s.spawn(|| (0..1000).for_each(|_| REQUESTS.add(1)));
///     }
/// });
/// assert_eq!(REQUESTS.sum(), 4000);
/// ```
#[derive(Debug)]
pub struct Counter<I: Index> {
    cells: PerCpu<Cell, I>,
}

impl<I: Index> Counter<I> {
    /// A counter that is 0.
    pub fn new() -> Self {
        Counter {
            cells: PerCpu::default(),
        }
    }

    /// Adds `count`, which can be negative. An overflow wraps around.
    #[inline]
    pub fn add(&self, count: isize) {
        let index = I::current();
        self.cells[index as usize].add::<I>(count, index);
    }

    /// What was added so far. While others add, this is what it was at some moment for each index,
    /// not the same moment for all.
    pub fn sum(&self) -> isize {
        self.cells
            .iter()
            .map(Cell::get)
            .fold(0, isize::wrapping_add)
    }

    /// Takes what was added at that index: it is 0 there then, and nothing is lost or counted twice.
    pub fn drain(&self, index: u32) -> Result<isize, Error> {
        self.cells.get(index)?.drain::<I>(index)
    }

    /// Takes what was added at all indices that can be drained. The error is that of the first that
    /// cannot.
    pub fn drain_all(&self) -> (isize, Result<(), Error>) {
        drain_all(self.cells.len(), 0, |sum: &mut isize, index| {
            *sum = sum.wrapping_add(self.drain(index)?);
            Ok(())
        })
    }
}

impl<I: Index> Default for Counter<I> {
    fn default() -> Self {
        Self::new()
    }
}

/// Drains all indices into `sum`, goes on after an error, and tells the first.
pub(crate) fn drain_all<S>(
    len: usize,
    mut sum: S,
    mut drain: impl FnMut(&mut S, u32) -> Result<(), Error>,
) -> (S, Result<(), Error>) {
    let mut result = Ok(());
    for index in 0..len as u32 {
        result = result.and(drain(&mut sum, index));
    }
    (sum, result)
}
