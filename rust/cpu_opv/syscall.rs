// SPDX-License-Identifier: GPL-2.0

//! The system call cpu_opv(2).

use crate::{
    abi,
    read::UserVector,
    run::{
        self,
        Outcome, //
    },
    stats,
    trace, //
};
use kernel::{
    exclude::{
        Caller,
        Place, //
    },
    ffi::c_uint,
    prelude::*,
    uaccess::UserPtr, //
};

/// Prepares for those who want to know about calls.
#[export]
pub(crate) extern "C" fn rust_cpu_opv_init_debugfs() -> c_int {
    #[cfg(CONFIG_CPU_OPV_STATS)]
    if let Err(e) = crate::debugfs::create_files() {
        return e.to_errno();
    }
    0
}

/// Runs a vector of `cnt` operations at `vec`, for the CPU or concurrency ID `cpu`.
///
/// Returns 0, the number of the comparison that stopped the vector, counted from 1, the answer to
/// what `flags` ask for, or a negative error number, see cpu_opv(2).
///
/// # Safety
///
/// Must be called by the system call.
#[export]
pub(crate) unsafe extern "C" fn rust_cpu_opv(
    vec: *mut c_void,
    cnt: c_int,
    cpu: c_int,
    flags: c_uint,
) -> c_long {
    let Some(place) = place(flags, cpu) else {
        return query(flags) as c_long;
    };
    let call = trace::enter(cnt, cpu, flags);
    // SAFETY: By the safety requirements.
    let caller = unsafe { Caller::in_syscall() };
    let result = run(&caller, UserPtr::from_ptr(vec), cnt, cpu, place);

    stats::count_call(&result);
    let ret = match &result {
        Ok(outcome) => outcome.stopped_at,
        Err(e) => e.to_errno(),
    };
    call.exit(ret as c_long, result.ok());
    ret as c_long
}

/// Whom a call with these `flags` and this `number` keeps out, if it runs a vector.
#[inline(always)]
pub(crate) fn place(flags: c_uint, number: c_int) -> Option<Place> {
    match flags {
        0 => Some(Place::Cpu(number)),
        #[cfg(CONFIG_SCHED_MM_CID)]
        abi::FLAG_MM_CID => Some(Place::Cid(number)),
        // What a thread finds as its ID is the number of its CPU.
        #[cfg(not(CONFIG_SCHED_MM_CID))]
        abi::FLAG_MM_CID => Some(Place::Cpu(number)),
        _ => None,
    }
}

pub(crate) fn query(flags: c_uint) -> c_int {
    match flags {
        abi::FLAG_NR => abi::NR_OPS,
        abi::FLAG_VEC_LEN_MAX => abi::VEC_LEN_MAX as c_int,
        abi::FLAG_FLAGS => abi::FLAGS as c_int,
        _ => EINVAL.to_errno(),
    }
}

#[inline]
fn run(caller: &Caller, vec: UserPtr, cnt: c_int, cpu: c_int, place: Place) -> Result<Outcome> {
    let vector = UserVector {
        start: vec,
        len: usize::try_from(cnt)?,
    };
    if cpu < 0 {
        return Err(EINVAL);
    }

    run::run(caller, vector, place)
}
