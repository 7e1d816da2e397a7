// SPDX-License-Identifier: GPL-2.0

//! The saved user registers of a task.
//!
//! C header: [`include/linux/ptrace.h`](srctree/include/linux/ptrace.h)

use core::{
    cell::Cell,
    mem::{
        offset_of,
        size_of, //
    }, //
};

/// The registers that a task had in user mode, on its kernel stack.
///
/// They are in force again when the task returns to user mode. May be used inside a
/// [`UserRegion`](crate::uaccess::access::UserRegion). A reference cannot be sent to another task;
/// what safe code can do with it is to read.
///
/// C: `struct pt_regs`
// The layout of `struct pt_regs`: registers of one word each.
#[repr(transparent)]
pub struct PtRegs([Cell<usize>; size_of::<bindings::pt_regs>() / size_of::<usize>()]);

#[cfg(target_arch = "x86_64")]
const IP: usize = offset_of!(bindings::pt_regs, ip) / size_of::<usize>();

// The layout of C, of what is used of it.
#[cfg(target_arch = "x86_64")]
const _: () = assert!(offset_of!(bindings::pt_regs, ip) == bindings::PT_REGS_IP);

impl PtRegs {
    /// Creates a reference from the pointer that C passes around.
    ///
    /// # Safety
    ///
    /// `regs` must point to the saved user registers of the current task, and stay valid for `'a`.
    #[inline(always)]
    pub unsafe fn from_raw<'a>(regs: *mut bindings::pt_regs) -> &'a Self {
        // SAFETY: By the safety requirements, and as `Self` has the size and the alignment of the
        // structure. The task accesses its own registers only, so that cells suffice.
        unsafe { &*regs.cast() }
    }

    /// Returns where the task continues in user mode.
    #[inline(always)]
    pub fn instruction_pointer(&self) -> usize {
        self.0[IP].get()
    }

    /// Makes the task continue at `ip` in user mode.
    ///
    /// # Safety
    ///
    /// `ip` must be an address in user space: the instruction that returns to user mode may go to
    /// any address.
    #[inline(always)]
    pub unsafe fn set_instruction_pointer(&self, ip: usize) {
        self.0[IP].set(ip);
    }
}
