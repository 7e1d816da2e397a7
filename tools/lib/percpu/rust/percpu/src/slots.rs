// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! A value for each index.

use core::marker::PhantomData;
use core::ops::Index as At;

use crate::index::{self, Index};
use crate::Error;

/// No two of them in a cache line, nor in a pair that is fetched together.
#[repr(align(128))]
#[derive(Debug)]
struct Slot<T>(T);

/// A value for each CPU or concurrency ID.
///
/// All threads can see all of them. Nothing keeps the thread where it is: what
/// [`current()`](Self::current) answers is the value of another one's CPU a moment later. To change
/// something by sequences, use what this crate builds on it.
///
/// ```
/// use percpu::{Cid, PerCpu};
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// // Atomics that threads rarely share.
/// let hits: PerCpu<AtomicU64, Cid> = PerCpu::default();
/// hits.current().fetch_add(1, Relaxed);
/// assert_eq!(hits.iter().map(|n| n.load(Relaxed)).sum::<u64>(), 1);
/// ```
#[derive(Debug)]
pub struct PerCpu<T, I: Index> {
    slots: Box<[Slot<T>]>,
    index: PhantomData<I>,
}

impl<T, I: Index> PerCpu<T, I> {
    /// The values that `value` makes.
    pub fn new(value: impl FnMut(usize) -> T) -> Self {
        PerCpu {
            slots: (0..index::count()).map(value).map(Slot).collect(),
            index: PhantomData,
        }
    }

    /// How many there are: as many as possible CPUs.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The value of the index that the thread has, or had just now.
    #[inline]
    pub fn current(&self) -> &T {
        &self[I::current() as usize]
    }

    /// All values, by index.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|slot| &slot.0)
    }

    /// All values, by index, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|slot| &mut slot.0)
    }

    /// The value of that index.
    #[inline]
    pub fn get(&self, index: u32) -> Result<&T, Error> {
        match self.slots.get(index as usize) {
            Some(slot) => Ok(&slot.0),
            None => Err(Error::NoSuchIndex),
        }
    }
}

impl<T: Default, I: Index> Default for PerCpu<T, I> {
    fn default() -> Self {
        Self::new(|_| T::default())
    }
}

impl<T, I: Index> At<usize> for PerCpu<T, I> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.slots[index].0
    }
}
