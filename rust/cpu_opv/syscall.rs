// SPDX-License-Identifier: GPL-2.0

//! The system call cpu_opv(2).

use crate::{
    abi::{
        self,
        RawOp, //
    },
    cpu,
    map::{
        MappedOperands,
        MappedVector,
        Mapping, //
    },
    op,
    pages::{
        self,
        Pages,
        Room, //
    },
    plan::Plan,
    read,
    stats::{
        self,
        Stat, //
    },
    trace, //
};
use core::mem::MaybeUninit;
use kernel::{
    cpu::CpuId,
    prelude::*,
    uaccess::UserPtr, //
};

/// Prepares for calls.
#[export]
pub(crate) extern "C" fn rust_cpu_opv_init() {
    // SAFETY: This is the only call, from an early initcall.
    unsafe { cpu::init() };
}

/// Prepares for those who want to know about calls.
#[export]
pub(crate) extern "C" fn rust_cpu_opv_init_debugfs() -> c_int {
    #[cfg(CONFIG_CPU_OPV_STATS)]
    if let Err(e) = crate::debugfs::create_files() {
        return e.to_errno();
    }
    0
}

/// Runs a vector of `cnt` operations at `vec`, on the CPU number `cpu`.
///
/// Returns 0, the number of the comparison that stopped the vector, counted from 1, the answer to
/// what `flags` ask for, or a negative error number, see cpu_opv(2).
#[export]
pub(crate) extern "C" fn rust_cpu_opv(
    vec: *mut c_void,
    cnt: c_int,
    cpu: c_int,
    flags: c_int,
) -> c_long {
    if flags != 0 {
        return query(flags) as c_long;
    }
    let call = trace::enter(cnt, cpu);
    let ret = match check_and_run(UserPtr::from_ptr(vec), cnt, cpu) {
        Ok(stopped_at) => stopped_at,
        Err(e) => {
            if e == EAGAIN {
                stats::add(Stat::Again, 1);
            }
            e.to_errno()
        }
    };

    stats::add(Stat::Calls, 1);
    call.exit(ret as c_long);
    ret as c_long
}

fn query(flags: c_int) -> c_int {
    match flags {
        abi::FLAG_NR => abi::NR_OPS,
        abi::FLAG_VEC_LEN_MAX => abi::VEC_LEN_MAX as c_int,
        _ => EINVAL.to_errno(),
    }
}

#[inline]
fn check_and_run(vec: UserPtr, cnt: c_int, cpu: c_int) -> Result<c_int> {
    let cnt = usize::try_from(cnt)?;
    let mut raw = [const { MaybeUninit::<RawOp>::uninit() }; abi::VEC_LEN_MAX];
    let raw = raw.get_mut(..cnt).ok_or(EINVAL)?;
    let cpu = cpu::possible(cpu)?;

    if raw.is_empty() {
        return if cpu::allowed(cpu) {
            cpu::run_on(cpu, MappedVector::EMPTY)
        } else {
            Err(EINVAL)
        };
    }

    let vector = read::read(vec, raw)?;
    let mut plan = Plan::new();
    for raw in vector {
        op::decode(raw, &mut plan)?;
    }
    if plan.bytes() > abi::VEC_DATA_LEN_MAX || !cpu::allowed(cpu) {
        return Err(EINVAL);
    }
    run(vector, &plan, cpu)
}

/// Runs `vector`, of `plan`, on `cpu`: everything that can fail comes before anything has an effect.
#[inline(never)]
fn run(vector: &[RawOp], plan: &Plan, cpu: CpuId) -> Result<c_int> {
    if plan.outside() {
        return Err(pages::find_error(vector).unwrap_or(EFAULT));
    }
    let mut room = Room::new();
    let mut pages = Pages::new(plan, &mut room);
    let pinned = pages.pin().map_err(|e| error(vector, e))?;
    let mapping = Mapping::new(pinned)?;
    let mut room = MappedOperands::new();
    let mapped = mapping.resolve(&mut room)?;

    let stopped_at = cpu::run_on(cpu, mapped)?;
    stats::add(Stat::Operations, plan.ops().len());
    stats::add(Stat::Bytes, plan.bytes());
    Ok(stopped_at)
}

/// The error of `vector`, whose pages could not be pinned because of `e`.
#[cold]
fn error(vector: &[RawOp], e: Error) -> Error {
    if e != EFAULT && e != ENOMEM {
        // Of no operand.
        return e;
    }
    pages::find_error(vector).unwrap_or(if e == EFAULT {
        // It was changed in the meantime.
        EAGAIN
    } else {
        e
    })
}
