// SPDX-License-Identifier: GPL-2.0

//! Counting semaphores.
//!
//! C header: [`include/linux/semaphore.h`](srctree/include/linux/semaphore.h)

use crate::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A counter of permits that tasks take and give back.
///
/// A permit has no owner: any task may give one back, also in interrupt context, also one that
/// nobody took before.
///
/// # Examples
///
/// ```
/// use kernel::sync::Semaphore;
///
/// let sem = KBox::pin_init(Semaphore::new(1), GFP_KERNEL)?;
///
/// assert!(sem.try_down());
/// assert!(!sem.try_down());
/// sem.up();
/// assert!(sem.try_down());
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
#[repr(transparent)]
pub struct Semaphore {
    #[pin]
    inner: Opaque<bindings::semaphore>,
}

// SAFETY: Permits belong to no task, and a semaphore to none either.
unsafe impl Send for Semaphore {}

// SAFETY: All operations on a semaphore serialize themselves.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// Creates a semaphore with `permits` permits, of which [`i32::MAX`] can be used.
    pub fn new(permits: u32) -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|sem| {
                let permits = c_int::try_from(permits).unwrap_or(c_int::MAX);

                // SAFETY: `sem` is valid for writes.
                unsafe { bindings::sema_init(sem, permits) }
            }),
        })
    }

    /// Creates a reference to a semaphore of C.
    ///
    /// # Safety
    ///
    /// `sem` must point to an initialized `struct semaphore` that stays valid for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(sem: *mut bindings::semaphore) -> &'a Self {
        // SAFETY: By the safety requirements the pointer is valid; the layouts are the same.
        unsafe { &*sem.cast() }
    }

    /// Takes a permit if there is one, and returns whether there was. Does not sleep.
    #[inline]
    #[must_use = "a permit that was taken has to be given back"]
    pub fn try_down(&self) -> bool {
        // SAFETY: The semaphore is initialized.
        unsafe { bindings::down_trylock(self.inner.get()) == 0 }
    }

    /// Gives a permit back. Does not sleep.
    #[inline]
    pub fn up(&self) {
        // SAFETY: The semaphore is initialized.
        unsafe { bindings::up(self.inner.get()) };
    }
}
