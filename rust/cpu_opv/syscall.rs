// SPDX-License-Identifier: GPL-2.0

//! The system call cpu_opv(2).

use crate::{
    abi::{
        self,
        RawOp, //
    },
    cpu,
    map::{
        self,
        Mapping, //
    },
    op::{
        self,
        Op,
        User,
        Vector, //
    },
    pages::{
        self,
        Pinned,
        Room, //
    },
    plan::Plan,
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
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Prepares for calls.
#[export]
pub(crate) extern "C" fn rust_cpu_opv_init() -> c_int {
    // SAFETY: This is the only call, from an initcall.
    unsafe { cpu::init() };

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

    let mut vector = Vector::new();
    if !raw.is_empty() {
        op::decode(read(vec, raw)?, &mut vector)?;
    }
    if !cpu::allowed(cpu) {
        return Err(EINVAL);
    }
    if vector.is_empty() {
        return cpu::run_on(cpu, &[]);
    }
    run(&vector, cpu)
}

/// Reads operations from user memory, once.
#[inline]
fn read(vec: UserPtr, raw: &mut [MaybeUninit<RawOp>]) -> Result<&[RawOp]> {
    let len = size_of_val(raw);
    // SAFETY: The bytes of a `RawOp` can be written as such.
    let bytes = unsafe { core::slice::from_raw_parts_mut(raw.as_mut_ptr().cast(), len) };

    UserSlice::new(vec, len).reader().read_raw(bytes)?;
    // SAFETY: All of it has been read, and any bytes are a `RawOp`.
    Ok(unsafe { core::slice::from_raw_parts(raw.as_ptr().cast(), raw.len()) })
}

/// Runs `ops` on `cpu`: everything that can fail comes before anything has an effect.
#[inline(never)]
fn run(ops: &[Op<User>], cpu: CpuId) -> Result<c_int> {
    let mut plan = Plan::new();
    plan.make(ops, pages::is_user)
        .ok_or_else(|| pages::find_error(ops))?;

    let mut room = Room::new();
    let mut pinned = Pinned::new(&plan, &mut room);
    pinned.pin().map_err(|e| {
        // Other errors belong to no operand.
        if e == EFAULT {
            pages::find_error(ops)
        } else {
            e
        }
    })?;
    let mapping = Mapping::new(&pinned)?;
    let mut mapped = Vector::new();
    map::resolve(ops, &pinned, mapping.as_ref(), &mut mapped).ok_or(EFAULT)?;

    let stopped_at = cpu::run_on(cpu, &mapped)?;
    stats::add(Stat::Operations, ops.len());
    stats::add(Stat::Bytes, ops.iter().map(Op::bytes).sum());
    Ok(stopped_at)
}
