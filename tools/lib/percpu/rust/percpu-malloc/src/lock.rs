// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! A lock that fork handlers can hold across fork(2), which those of the standard library cannot be.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering::*};

use crate::os;

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const AWAITED: u32 = 2;

#[repr(align(64))]
pub(crate) struct Lock<T> {
    state: AtomicU32,
    data: UnsafeCell<T>,
}

// SAFETY: The data is used by who holds the lock.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) const fn new(data: T) -> Self {
        Lock {
            state: AtomicU32::new(FREE),
            data: UnsafeCell::new(data),
        }
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.acquire();
        Guard(self)
    }

    /// For fork handlers, which release() it in both processes.
    pub(crate) fn acquire(&self) {
        for _ in 0..100 {
            if self
                .state
                .compare_exchange_weak(FREE, TAKEN, Acquire, Relaxed)
                .is_ok()
            {
                return;
            }
            core::hint::spin_loop();
        }
        while self.state.swap(AWAITED, Acquire) != FREE {
            os::wait(&self.state, AWAITED);
        }
    }

    pub(crate) fn release(&self) {
        if self.state.swap(FREE, Release) == AWAITED {
            os::wake(&self.state);
        }
    }
}

pub(crate) struct Guard<'a, T>(&'a Lock<T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held.
        unsafe { &*self.0.data.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held.
        unsafe { &mut *self.0.data.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.0.release();
    }
}
