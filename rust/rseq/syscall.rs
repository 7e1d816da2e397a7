// SPDX-License-Identifier: GPL-2.0

//! The system call rseq(2).

use crate::{
    abi::{
        Version,
        FLAG_SLICE_EXT_DEFAULT_ON,
        FLAG_UNREGISTER, //
    },
    area::Area,
    registration::{
        may_register,
        may_unregister, //
    },
    slice,
    task::{
        force_sigsegv,
        force_update,
        Current,
        Registration, //
    },
};
use kernel::{
    prelude::*,
    uaccess::{
        access::{
            Fault,
            UserRegion, //
        },
        UserPtr, //
    },
};

/// Registers or unregisters the area of the current task.
///
/// Returns 0 or a negative error number: those of [`may_register`] and [`may_unregister`], and
/// `EFAULT` if the area is not writable user memory.
#[export]
pub(crate) extern "C" fn rust_rseq(rseq: *mut c_void, len: u32, flags: c_int, sig: u32) -> c_long {
    let current = current!();
    let task = Current::new(current);
    let request = Registration {
        usrptr: UserPtr::from_ptr(rseq),
        len,
        sig,
    };

    let result = if flags & FLAG_UNREGISTER == 0 {
        register(task, request, flags)
    } else {
        unregister(task, request, flags)
    };
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno() as c_long,
    }
}

#[inline(always)]
fn register(task: Current<'_>, request: Registration, flags: c_int) -> Result {
    let data = task.data();

    let version = may_register(data.registration(), request, flags)?;
    if !request.usrptr.access_ok(request.len as usize) {
        return Err(EFAULT);
    }
    let slice_available = version == Version::V2 && slice::available();
    let slice_on = slice_available && flags & FLAG_SLICE_EXT_DEFAULT_ON != 0;

    let usrptr = init_area(
        request.usrptr,
        version,
        slice::initial_flags(slice_available, slice_on),
    )?;

    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    data.slice.set_enabled(slice_on);
    data.register(Registration { usrptr, ..request }, version);
    // The area does not have the IDs yet.
    force_update();
    Ok(())
}

/// Writes all fields that the kernel owns. Returns `usrptr`, masked: what the processor makes of it
/// while it does not know yet that it is not in user space is no address of the kernel.
///
/// A critical section that is still announced is not an error: C libraries reuse the area of a thread
/// for the next one as it is.
fn init_area(usrptr: UserPtr, version: Version, flags: u32) -> Result<UserPtr, Fault> {
    // SAFETY: The only region. Nothing but accesses is called in it.
    let region = unsafe { UserRegion::open() };
    let area = Area::unregistered(&region, usrptr)?;

    area.clear_cs()?;
    area.set_flags(flags)?;
    area.init_ids()?;
    if cfg!(CONFIG_RSEQ_SLICE_EXTENSION) && version == Version::V2 {
        area.clear_slice_ctrl()?;
    }
    Ok(area.usrptr())
}

/// Forgets the registration.
///
/// If the area cannot be written, it could not be the next time either: that is the end.
#[inline(always)]
fn unregister(task: Current<'_>, request: Registration, flags: c_int) -> Result {
    may_unregister(task.data().registration(), request, flags)?;

    reset_ids(task).inspect_err(|_| force_sigsegv())?;
    task.reset();
    Ok(())
}

fn reset_ids(task: Current<'_>) -> Result<(), Fault> {
    // SAFETY: The only region. Nothing but accesses is called in it.
    let region = unsafe { UserRegion::open() };

    Area::registered(&region, task.data()).reset_ids()
}
