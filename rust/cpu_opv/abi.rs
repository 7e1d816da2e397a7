// SPDX-License-Identifier: GPL-2.0

//! What cpu_opv(2) and its callers agree on.
//!
//! Source of all of it: [`include/uapi/linux/cpu_opv.h`](srctree/include/uapi/linux/cpu_opv.h),
//! cpu_opv(2).

use kernel::{
    ffi::c_uint,
    prelude::*,
    uapi, //
};

/// Operations in a vector.
pub(crate) const VEC_LEN_MAX: usize = uapi::CPU_OP_VEC_LEN_MAX as usize;

/// Bytes of a comparison or a copy.
pub(crate) const DATA_LEN_MAX: usize = uapi::CPU_OP_DATA_LEN_MAX as usize;

/// Bytes of all operations of a vector.
pub(crate) const VEC_DATA_LEN_MAX: usize = DATA_LEN_MAX + (VEC_LEN_MAX - 1) * 8;

/// Pages of a vector: each operation has at most two operands, which are not longer than a page.
pub(crate) const PAGES_MAX: usize = 4 * VEC_LEN_MAX;
const _: () = assert!(DATA_LEN_MAX <= kernel::page::PAGE_SIZE);

/// Returns the number of op codes.
pub(crate) const FLAG_NR: c_uint = uapi::cpu_opv_flags_CPU_OP_NR_FLAG;

/// Returns [`VEC_LEN_MAX`].
pub(crate) const FLAG_VEC_LEN_MAX: c_uint = uapi::cpu_opv_flags_CPU_OP_VEC_LEN_MAX_FLAG;

/// Returns all flags that there are.
pub(crate) const FLAG_FLAGS: c_uint = uapi::cpu_opv_flags_CPU_OP_FLAGS_FLAG;

/// Names a concurrency ID instead of a CPU.
pub(crate) const FLAG_MM_CID: c_uint = uapi::cpu_opv_flags_CPU_OP_MM_CID_FLAG;

/// Flags that there are.
pub(crate) const FLAGS: c_uint = FLAG_NR | FLAG_VEC_LEN_MAX | FLAG_FLAGS | FLAG_MM_CID;

/// Op codes that there are.
pub(crate) const NR_OPS: c_int = uapi::cpu_op_type_NR_CPU_OPS as c_int;

// The codes.
pub(crate) const COMPARE_EQ: u8 = uapi::cpu_op_type_CPU_COMPARE_EQ_OP as u8;
pub(crate) const COMPARE_NE: u8 = uapi::cpu_op_type_CPU_COMPARE_NE_OP as u8;
pub(crate) const MEMCPY: u8 = uapi::cpu_op_type_CPU_MEMCPY_OP as u8;
pub(crate) const ADD: u8 = uapi::cpu_op_type_CPU_ADD_OP as u8;
pub(crate) const OR: u8 = uapi::cpu_op_type_CPU_OR_OP as u8;
pub(crate) const AND: u8 = uapi::cpu_op_type_CPU_AND_OP as u8;
pub(crate) const XOR: u8 = uapi::cpu_op_type_CPU_XOR_OP as u8;
pub(crate) const LSHIFT: u8 = uapi::cpu_op_type_CPU_LSHIFT_OP as u8;
pub(crate) const RSHIFT: u8 = uapi::cpu_op_type_CPU_RSHIFT_OP as u8;
pub(crate) const MB: u8 = uapi::cpu_op_type_CPU_MB_OP as u8;

/// An operation as user space passes it: its code and length, and three arguments.
///
/// C: `struct cpu_op`
pub(crate) type RawOp = [u64; 4];

const _: () = {
    use core::mem::{
        offset_of,
        size_of, //
    };

    assert!(size_of::<RawOp>() == size_of::<uapi::cpu_op>());
    assert!(offset_of!(uapi::cpu_op, op) == 0);
    assert!(offset_of!(uapi::cpu_op, len) == 4);
    assert!(offset_of!(uapi::cpu_op, u) == 8);
    assert!(uapi::CPU_OP_ARG_LEN_MAX as usize == 3 * size_of::<u64>());
    assert!(NR_OPS <= u8::MAX as c_int);
};
