// SPDX-License-Identifier: GPL-2.0

//! User access regions.
//!
//! [`UserSlice`](super::UserSlice) copies between user space and the kernel through functions that
//! open the access to user memory, copy, and close it again. Code that makes several small accesses
//! where every instruction counts opens a [`UserRegion`] once, as C does with
//! `user_access_begin()`, and makes all its accesses inside it.
//!
//! While a region is open the processor does not protect user memory from the kernel (SMAP, PAN,
//! SUM), so as little as possible may run there: the accesses of this module, arithmetic that cannot
//! panic (`wrapping_*`), and loads and stores behind references. No function call, no checked
//! arithmetic, no dereference of a raw pointer (its debug assertions are calls). On x86, `objtool`
//! verifies this rule, and that every way out closes the region.
//!
//! Page faults inside a region are resolved as everywhere else, unless the caller forbids it with
//! [`PagefaultDisabled`](super::PagefaultDisabled). Interrupts and preemption by them are fine;
//! calling the scheduler is not.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)
//!
//! # Examples
//!
//! ```
//! use kernel::uaccess::{
//!     access::UserRegion,
//!     UserPtr, //
//! };
//!
//! /// Takes one unit from the 32-bit counter at `ptr`; returns whether there was one.
//! fn take_one(ptr: UserPtr) -> Result<bool> {
//!     // SAFETY: The only region here, and nothing is called in it.
//!     let region = unsafe { UserRegion::open() };
//!     let counter = region.window(ptr)?;
//!
//!     let value = counter.read::<u32, 0>()?;
//!     if value == 0 {
//!         return Ok(false);
//!     }
//!     counter.write::<u32, 0>(value.wrapping_sub(1))?;
//!     Ok(true)
//! }
//!
//! // Nothing is mapped at address 0.
//! assert_eq!(take_one(UserPtr::from_addr(0)), Err(EFAULT));
//! // Kernel addresses fault, whatever they hold.
//! assert_eq!(take_one(UserPtr::from_addr(usize::MAX - 7)), Err(EFAULT));
//! # Ok::<(), Error>(())
//! ```

use super::UserPtr;
use crate::{
    page::PAGE_SIZE,
    prelude::*,
    types::NotThreadSafe, //
};
use core::marker::PhantomData;

#[cfg_attr(target_arch = "x86_64", path = "access/x86_64.rs")]
mod arch;

pub(super) use arch::access_ok;
pub(crate) use arch::mc;
pub use arch::task_size;

/// A user access that faulted.
///
/// Takes no space, so that a [`Result`] of it stays a branch. Converts to [`EFAULT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

impl From<Fault> for Error {
    #[inline(always)]
    fn from(_: Fault) -> Error {
        EFAULT
    }
}

/// An open user access region.
///
/// Dropping it closes the region. See the [module documentation](self) for what may be done while it
/// exists. Regions do not nest.
///
/// Whoever opens a region answers for what is executed in it; all that can be done with one is safe
/// after that: a [`UserWindow`] cannot outlive its region, and reaches user memory or faults,
/// whatever address it is aimed at.
///
/// # Invariants
///
/// The access to user memory is open on the current CPU while the value exists.
#[must_use = "the access to user memory is closed again when the region is dropped"]
pub struct UserRegion(NotThreadSafe);

impl UserRegion {
    /// Opens a region, as `user_access_begin()` does.
    ///
    /// # Safety
    ///
    /// No region may be open. Until the returned one is dropped, which must happen in this function,
    /// only what the [module documentation](self) allows may be executed.
    #[inline(always)]
    pub unsafe fn open() -> Self {
        arch::begin();

        // INVARIANT: `begin()` has just opened the access.
        Self(NotThreadSafe)
    }

    /// Aims at the user memory at `ptr`.
    ///
    /// An address outside of user space is either refused here or moved, without a branch that the
    /// processor could predict wrongly, to one where every access faults.
    ///
    /// # Errors
    ///
    /// [`Fault`] if `ptr` is not a user space address and the architecture checks that here.
    #[inline(always)]
    pub fn window(&self, ptr: UserPtr) -> Result<UserWindow<'_>, Fault> {
        Ok(UserWindow {
            // INVARIANT: `user_address()` returns such addresses only.
            ptr: arch::user_address(ptr)?,
            _region: PhantomData,
        })
    }

    /// Aims at user memory at an address that has been checked before.
    ///
    /// Not for an address that user space has just chosen, even after [`UserPtr::access_ok()`]: a
    /// processor that predicts the outcome of that check wrongly accesses memory of the kernel.
    ///
    /// # Safety
    ///
    /// `ptr` must have passed [`UserPtr::access_ok()`] for the address space that is current now, with
    /// a length that covers every access through the window. For processors that speculate, it must
    /// also be what [`UserWindow::ptr()`] returned then.
    #[inline(always)]
    pub unsafe fn window_unchecked(&self, ptr: UserPtr) -> UserWindow<'_> {
        UserWindow {
            // INVARIANT: By the safety requirements.
            ptr: ptr.as_mut_ptr().cast(),
            _region: PhantomData,
        }
    }
}

impl Drop for UserRegion {
    #[inline(always)]
    fn drop(&mut self) {
        arch::end();
    }
}

/// User memory that can be accessed inside the region `'r`.
///
/// The offsets `OFF` of its accesses are in bytes from the address that the window was aimed at, and
/// lie within one page size, the distance that every architecture leaves unmapped above user space.
///
/// Every access may race with user space; each word is read or written at once if it is naturally
/// aligned.
///
/// # Invariants
///
/// Accesses at less than a page from `ptr` reach user memory or fault.
pub struct UserWindow<'r> {
    ptr: *mut u8,
    _region: PhantomData<&'r UserRegion>,
}

impl UserWindow<'_> {
    /// Returns the address that the window is aimed at: a user address, or one that faults, also where
    /// the processor speculates.
    #[inline(always)]
    pub fn ptr(&self) -> UserPtr {
        UserPtr::from_ptr(self.ptr.cast())
    }

    /// Reads the value at `OFF`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the memory is not mapped or not readable.
    #[inline(always)]
    pub fn read<T: UserRead, const OFF: usize>(&self) -> Result<T, Fault> {
        const { assert!(OFF + size_of::<T>() <= PAGE_SIZE) };

        // SAFETY: The region is open while `self` lives, and by the type invariants and the
        // assertion above the access reaches user memory or faults.
        unsafe { T::read::<OFF>(self.ptr) }
    }

    /// Writes `value` at `OFF`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the memory is not mapped or not writable.
    #[inline(always)]
    pub fn write<T: UserWord, const OFF: usize>(&self, value: T) -> Result<(), Fault> {
        const { assert!(OFF + size_of::<T>() <= PAGE_SIZE) };

        // SAFETY: As in `read()`.
        unsafe { value.write::<OFF>(self.ptr) }
    }

    /// Writes 0 at `OFF`.
    ///
    /// # Errors
    ///
    /// As for [`write()`](Self::write).
    #[inline(always)]
    pub fn clear<T: UserWord, const OFF: usize>(&self) -> Result<(), Fault> {
        const { assert!(OFF + size_of::<T>() <= PAGE_SIZE) };

        // SAFETY: As in `read()`.
        unsafe { T::clear::<OFF>(self.ptr) }
    }

    /// Returns whether the word at `OFF` equals `value`.
    ///
    /// Compares in place where the architecture can: cheaper than reading the word.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the memory is not mapped or not readable.
    #[inline(always)]
    pub fn equals<T: UserWord, const OFF: usize>(&self, value: T) -> Result<bool, Fault> {
        const { assert!(OFF + size_of::<T>() <= PAGE_SIZE) };

        // SAFETY: As in `read()`.
        unsafe { value.equals::<OFF>(self.ptr) }
    }

    /// Returns whether the word at `OFF` is 0.
    ///
    /// # Errors
    ///
    /// As for [`equals()`](Self::equals).
    #[inline(always)]
    pub fn is_zero<T: UserWord, const OFF: usize>(&self) -> Result<bool, Fault> {
        const { assert!(OFF + size_of::<T>() <= PAGE_SIZE) };

        // SAFETY: As in `read()`.
        unsafe { T::is_zero::<OFF>(self.ptr) }
    }
}

/// A value that can be read from user memory inside a region: a word, or three or four adjacent `u64`.
///
/// # Safety
///
/// `read()` must access `ptr + OFF` to `ptr + OFF + size_of::<Self>()` only, and return on a fault.
pub unsafe trait UserRead: Copy {
    /// Reads the value `OFF` bytes from `ptr`.
    ///
    /// # Safety
    ///
    /// A region must be open, and the memory be user memory or fault.
    #[doc(hidden)]
    unsafe fn read<const OFF: usize>(ptr: *const u8) -> Result<Self, Fault>;
}

/// A word that can be read, written and compared inside a region: `u8`, `u16`, `u32` or `u64`.
///
/// # Safety
///
/// As for [`UserRead`], for all methods.
pub unsafe trait UserWord: UserRead {
    /// Writes `self` at `OFF` bytes from `ptr`.
    ///
    /// # Safety
    ///
    /// As for [`UserRead::read`].
    #[doc(hidden)]
    unsafe fn write<const OFF: usize>(self, ptr: *mut u8) -> Result<(), Fault>;

    /// Writes 0 at `OFF` bytes from `ptr`.
    ///
    /// # Safety
    ///
    /// As for [`UserRead::read`].
    #[doc(hidden)]
    unsafe fn clear<const OFF: usize>(ptr: *mut u8) -> Result<(), Fault>;

    /// Returns whether the word at `OFF` bytes from `ptr` equals `self`.
    ///
    /// # Safety
    ///
    /// As for [`UserRead::read`].
    #[doc(hidden)]
    unsafe fn equals<const OFF: usize>(self, ptr: *const u8) -> Result<bool, Fault>;

    /// Returns whether the word at `OFF` bytes from `ptr` is 0.
    ///
    /// # Safety
    ///
    /// As for [`UserRead::read`].
    #[doc(hidden)]
    unsafe fn is_zero<const OFF: usize>(ptr: *const u8) -> Result<bool, Fault>;
}
