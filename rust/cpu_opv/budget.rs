// SPDX-License-Identifier: GPL-2.0

//! How many calls may hold kernel address space at the same time.
//!
//! A call takes one permit, for all of its mappings, if there is one: nobody waits for it.
//!
//! The bound can change at any time. What a lower bound takes away from calls that are under way is
//! a debt, which they pay when they end.

use kernel::{
    bindings,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Semaphore, //
    },
};

/// Permits to be given up. The permits, free or held, are this many more than the bound.
static DEBT: Atomic<i32> = Atomic::new(0);

#[inline]
fn semaphore() -> &'static Semaphore {
    // SAFETY: `DEFINE_SEMAPHORE()` initializes it.
    unsafe { Semaphore::from_raw(&raw mut bindings::cpu_opv_vmap_sem) }
}

/// Takes one off the debt, if there is any.
fn pay() -> bool {
    let mut debt = DEBT.load(Relaxed);

    while debt > 0 {
        match DEBT.cmpxchg(debt, debt - 1, Full) {
            Ok(_) => return true,
            Err(now) => debt = now,
        }
    }
    false
}

/// The right to hold kernel address space.
///
/// # Invariants
///
/// There is a permit of the semaphore for it.
pub(crate) struct Permit(());

impl Permit {
    /// Takes a permit, if there is one. Does not sleep.
    #[inline]
    pub(crate) fn get() -> Option<Self> {
        // INVARIANT: Taken just now.
        semaphore().try_down().then(|| Self(()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !pay() {
            semaphore().up();
        }
    }
}

/// Changes the number of permits from `old` to `new`. Does not sleep.
///
/// The caller makes sure that there is one change at a time.
#[export]
pub(crate) extern "C" fn rust_cpu_opv_set_max_vmap(old: c_int, new: c_int) {
    for _ in old..new {
        if !pay() {
            semaphore().up();
        }
    }
    for _ in new..old {
        DEBT.fetch_add(1, Full);
    }
    // Free permits pay first.
    while DEBT.load(Relaxed) > 0 && semaphore().try_down() {
        if !pay() {
            semaphore().up();
        }
    }
}
