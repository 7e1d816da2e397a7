// SPDX-License-Identifier: GPL-2.0

//! Faulting in user memory.

use super::{
    UserPtr,
    UserSlice, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// Faults resolved as if the task itself accessed the memory: stacks grow, pages are copied, fault
/// handlers of user space are asked, and protection keys count.
impl UserPtr {
    /// Reads the byte at the address. May sleep, for as long as user space likes.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the task could not read it.
    pub fn fault_in_readable(self) -> Result {
        UserSlice::new(self, 1).reader().read::<u8>().map(drop)
    }

    /// Writes to the aligned four bytes around the address, atomically, and changes nothing. May
    /// sleep, for as long as user space likes.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the task could not write there.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::uaccess::UserPtr;
    ///
    /// // Nothing is mapped there, nor above user space.
    /// assert!(UserPtr::from_addr(0).fault_in_writable().is_err());
    /// assert!(UserPtr::from_addr(usize::MAX).fault_in_writable().is_err());
    /// ```
    pub fn fault_in_writable(self) -> Result {
        let word = (self.as_mut_ptr() as usize & !3) as *mut u32;
        let mut old = 0;

        // SAFETY: User memory is accessed as such, whatever the address; `old` is written.
        to_result(unsafe {
            bindings::arch_futex_atomic_op_inuser(
                bindings::FUTEX_OP_OR as c_int,
                0,
                &raw mut old,
                word,
            )
        })
    }
}
