// SPDX-License-Identifier: GPL-2.0

//! The system call rseq(2).

use crate::{
    abi::{
        Version,
        FLAG_SLICE_EXT_DEFAULT_ON,
        FLAG_UNREGISTER, //
    },
    area::{
        self,
        Area, //
    },
    registration::{
        may_register,
        may_unregister, //
    },
    resume::force_sigsegv,
    slice,
    task::{
        force_update,
        Registration,
        RseqTask, //
    },
};
use kernel::{
    prelude::*,
    uaccess::{
        access::Fault,
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
    let task = RseqTask::new(current);
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
fn register(task: RseqTask<'_>, request: Registration, flags: c_int) -> Result {
    let rseq = task.rseq();

    let version = may_register(rseq.registration(), request, flags)?;
    let slice_available = version == Version::V2 && slice::available();
    let slice_on = slice_available && flags & FLAG_SLICE_EXT_DEFAULT_ON != 0;

    init_area(
        request,
        version,
        slice::initial_flags(slice_available, slice_on),
    )?;

    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    rseq.slice.set_enabled(slice_on);
    rseq.register(request, version);
    // The area does not have the IDs yet.
    force_update();
    Ok(())
}

/// Writes all fields that the kernel owns.
///
/// A critical section that is still announced is not an error: C libraries reuse the area of a thread
/// for the next one as it is.
fn init_area(registration: Registration, version: Version, flags: u32) -> Result<(), Fault> {
    let region = area::open();
    let area = Area::unregistered(&region, registration.usrptr, registration.len)?;

    area.clear_cs()?;
    area.set_flags(flags)?;
    area.init_ids()?;
    if cfg!(CONFIG_RSEQ_SLICE_EXTENSION) && version == Version::V2 {
        area.clear_slice_ctrl()?;
    }
    Ok(())
}

/// Forgets the registration.
///
/// If the area cannot be written, it could not be the next time either: that is the end.
#[inline(always)]
fn unregister(task: RseqTask<'_>, request: Registration, flags: c_int) -> Result {
    may_unregister(task.rseq().registration(), request, flags)?;

    reset_area(task).inspect_err(|_| force_sigsegv())?;
    task.reset();
    Ok(())
}

fn reset_area(task: RseqTask<'_>) -> Result<(), Fault> {
    let region = area::open();

    Area::registered(&region, task.rseq()).reset_ids()
}
