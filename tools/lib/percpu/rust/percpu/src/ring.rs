// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Bounded ring buffers.

use core::cell::UnsafeCell;
use core::mem::{size_of, MaybeUninit};
use core::sync::atomic::{AtomicUsize, Ordering::Acquire};

use crate::counter::drain_all;
use crate::{cpu_opv, op, Error, Index, PerCpu};

/// Values `tail` to `head` are in their slots, by number modulo `N`. Numbers never come again, so
/// that a comparison with one tells whether anything has changed.
struct Slots<T, const N: usize> {
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: [UnsafeCell<MaybeUninit<T>>; N],
}

/// Why a value was not put into a [`Ring`]: it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum PushError<T> {
    /// The ring of that index is full.
    Full(T),
    /// Another reason.
    Failed(T, Error),
}

/// A ring buffer of `N` values for each index, first in, first out. A value can have up to 4096
/// bytes.
///
/// ```
/// use percpu::{Cid, PushError, Ring};
///
/// let events: Ring<String, Cid, 64> = Ring::new();
/// match events.push("started".to_string()) {
///     Ok(()) => {}
///     Err(PushError::Full(event)) => eprintln!("lost: {event}"),
///     Err(PushError::Failed(_event, error)) => return Err(error),
/// }
///
/// // Another thread collects those of all indices. Without cpu_opv(2), of its own alone.
/// let (all, _result) = events.drain_all();
/// assert!(all.iter().all(|event| event == "started"));
/// # Ok::<(), percpu::Error>(())
/// ```
pub struct Ring<T, I: Index, const N: usize> {
    rings: PerCpu<Slots<T, N>, I>,
}

// SAFETY: Values go from one thread to another, no two threads have the same.
unsafe impl<T: Send, I: Index, const N: usize> Send for Ring<T, I, N> {}
// SAFETY: As above.
unsafe impl<T: Send, I: Index, const N: usize> Sync for Ring<T, I, N> {}

impl<T, I: Index, const N: usize> Ring<T, I, N> {
    const FITS: () = assert!(
        N > 0 && size_of::<T>() <= cpu_opv::DATA_LEN_MAX,
        "a ring has slots, and these have at most 4096 bytes"
    );

    /// Empty rings.
    pub fn new() -> Self {
        #[allow(clippy::let_unit_value)]
        let () = Self::FITS;
        let rings = PerCpu::new(|_| Slots {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: core::array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit())),
        });
        Ring { rings }
    }

    /// Puts a value into the ring of the index that the thread has.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        let value = MaybeUninit::new(value);
        let pushed = op::here::<I, _>(|index| {
            let ring = self.rings.get(index)?;
            for _ in 0..1000 {
                let head = ring.head.load(Acquire);
                let tail = ring.tail.load(Acquire);
                if head.wrapping_sub(tail) >= N {
                    return Ok(false);
                }
                let slot = ring.slots[head % N].get().cast();
                // SAFETY: While the head is what it was, the slot is free, and stays so unless this
                // is done. Then the value is the ring's.
                if unsafe {
                    op::cmpeqv_memcpy_storev::<I>(
                        ring.head.as_ptr(),
                        head,
                        slot,
                        value.as_ptr().cast(),
                        size_of::<T>(),
                        head.wrapping_add(1),
                        index,
                    )
                }? {
                    return Ok(true);
                }
            }
            Err(Error::Again)
        });
        // SAFETY: Where it was not done, the value is ours still.
        let back = || unsafe { value.assume_init_read() };
        match pushed {
            Ok(true) => Ok(()),
            Ok(false) => Err(PushError::Full(back())),
            Err(error) => Err(PushError::Failed(back(), error)),
        }
    }

    /// Takes the oldest value from the ring of the index that the thread has.
    #[inline]
    pub fn pop(&self) -> Result<Option<T>, Error> {
        op::here::<I, _>(|index| self.pop_at(index))
    }

    fn pop_at(&self, index: u32) -> Result<Option<T>, Error> {
        let ring = self.rings.get(index)?;
        let mut value = MaybeUninit::<T>::uninit();
        for _ in 0..1000 {
            let tail = ring.tail.load(Acquire);
            if ring.head.load(Acquire) == tail {
                return Ok(None);
            }
            let slot = ring.slots[tail % N].get().cast();
            // SAFETY: While the tail is what it was, the slot has a value. If this is done, we have
            // it instead; if not, nobody looks at what was copied.
            if unsafe {
                op::cmpeqv_memcpy_storev::<I>(
                    ring.tail.as_ptr(),
                    tail,
                    value.as_mut_ptr().cast(),
                    slot,
                    size_of::<T>(),
                    tail.wrapping_add(1),
                    index,
                )
            }? {
                // SAFETY: See above.
                return Ok(Some(unsafe { value.assume_init() }));
            }
        }
        Err(Error::Again)
    }

    /// Takes the values of an index, the oldest first: at most as many as a ring has.
    pub fn drain(&self, index: u32) -> Result<Vec<T>, Error> {
        let mut values = Vec::new();
        while values.len() < N {
            match self.pop_at(index) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) if values.is_empty() => return Err(error),
                // Those that were taken are not to be lost.
                Err(_) => break,
            }
        }
        Ok(values)
    }

    /// Takes the values of all indices that can be drained. The error is that of the first that
    /// cannot.
    pub fn drain_all(&self) -> (Vec<T>, Result<(), Error>) {
        drain_all(self.rings.len(), Vec::new(), |all, index| {
            all.append(&mut self.drain(index)?);
            Ok(())
        })
    }
}

impl<T, I: Index, const N: usize> Default for Ring<T, I, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, I: Index, const N: usize> Drop for Ring<T, I, N> {
    fn drop(&mut self) {
        for ring in self.rings.iter_mut() {
            let (mut tail, head) = (*ring.tail.get_mut(), *ring.head.get_mut());
            while tail != head {
                // SAFETY: These have values, and nobody else has them.
                unsafe { ring.slots[tail % N].get_mut().assume_init_drop() };
                tail = tail.wrapping_add(1);
            }
        }
    }
}

impl<T, I: Index, const N: usize> core::fmt::Debug for Ring<T, I, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ring")
            .field("slots", &N)
            .finish_non_exhaustive()
    }
}
