// SPDX-License-Identifier: GPL-2.0

//! What cpu_opv(2) and its callers agree on.
//!
//! Source of all of it: [`include/uapi/linux/cpu_opv.h`](srctree/include/uapi/linux/cpu_opv.h),
//! cpu_opv(2).

use kernel::{
    ffi::c_uint,
    prelude::*,
    uaccess::UserPtr,
    uapi, //
};

/// Operations in a vector.
pub(crate) const VEC_LEN_MAX: usize = uapi::CPU_OP_VEC_LEN_MAX as usize;

/// Bytes of a comparison or a copy.
pub(crate) const DATA_LEN_MAX: usize = uapi::CPU_OP_DATA_LEN_MAX as usize;

/// Bytes of all operations of a vector.
pub(crate) const VEC_DATA_LEN_MAX: usize = DATA_LEN_MAX + (VEC_LEN_MAX - 1) * 8;

/// Operands of a vector.
pub(crate) const OPERANDS_MAX: usize = 2 * VEC_LEN_MAX;

/// Pages of a vector: operands are not longer than a page.
pub(crate) const PAGES_MAX: usize = 2 * OPERANDS_MAX;
const _: () = assert!(DATA_LEN_MAX <= kernel::page::PAGE_SIZE);

/// Returns the number of op codes.
pub(crate) const FLAG_NR: c_uint = uapi::cpu_opv_flags_CPU_OP_NR_FLAG;

/// Returns [`VEC_LEN_MAX`].
pub(crate) const FLAG_VEC_LEN_MAX: c_uint = uapi::cpu_opv_flags_CPU_OP_VEC_LEN_MAX_FLAG;

/// Returns all flags that there are.
pub(crate) const FLAG_FLAGS: c_uint = uapi::cpu_opv_flags_CPU_OP_FLAGS_FLAG;

/// Flags that there are.
pub(crate) const FLAGS: c_uint = FLAG_NR | FLAG_VEC_LEN_MAX | FLAG_FLAGS;

/// Op codes that there are.
pub(crate) const NR_OPS: c_int = uapi::cpu_op_type_NR_CPU_OPS as c_int;

pub(crate) const COMPARE_EQ: i32 = uapi::cpu_op_type_CPU_COMPARE_EQ_OP as i32;
pub(crate) const COMPARE_NE: i32 = uapi::cpu_op_type_CPU_COMPARE_NE_OP as i32;
pub(crate) const MEMCPY: i32 = uapi::cpu_op_type_CPU_MEMCPY_OP as i32;
pub(crate) const ADD: i32 = uapi::cpu_op_type_CPU_ADD_OP as i32;
pub(crate) const OR: i32 = uapi::cpu_op_type_CPU_OR_OP as i32;
pub(crate) const AND: i32 = uapi::cpu_op_type_CPU_AND_OP as i32;
pub(crate) const XOR: i32 = uapi::cpu_op_type_CPU_XOR_OP as i32;
pub(crate) const LSHIFT: i32 = uapi::cpu_op_type_CPU_LSHIFT_OP as i32;
pub(crate) const RSHIFT: i32 = uapi::cpu_op_type_CPU_RSHIFT_OP as i32;
pub(crate) const MB: i32 = uapi::cpu_op_type_CPU_MB_OP as i32;

/// An operation as user space passes it.
///
/// C: `struct cpu_op`
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct RawOp {
    pub(crate) op: i32,
    pub(crate) len: u32,
    /// The arguments: an address; an address, a number or a shift; flags.
    pub(crate) args: [u64; 3],
}

impl RawOp {
    /// How many of its arguments are addresses: the first ones.
    #[inline(always)]
    fn operands(&self) -> usize {
        match self.op {
            COMPARE_EQ | COMPARE_NE | MEMCPY => 2,
            MB => 0,
            _ => 1,
        }
    }

    /// The addresses of its operands.
    #[inline]
    pub(crate) fn addresses(&self) -> &[u64] {
        self.args.get(..self.operands()).unwrap_or_default()
    }

    /// Takes the tags off its addresses.
    #[inline(always)]
    pub(crate) fn untag(&mut self) {
        let operands = self.operands();

        for arg in self.args.iter_mut().take(operands) {
            *arg = UserPtr::from_addr(*arg as usize).untagged().as_const_ptr() as u64;
        }
    }

    /// Whether it can only stop the vector, or order it.
    #[inline]
    pub(crate) fn is_leading(&self) -> bool {
        matches!(self.op, COMPARE_EQ | COMPARE_NE | MB)
    }

    /// From the words that it consists of.
    #[inline(always)]
    pub(crate) fn from_words([first, args @ ..]: [u64; 4]) -> Self {
        let [c0, c1, c2, c3, l0, l1, l2, l3] = first.to_ne_bytes();

        Self {
            op: i32::from_ne_bytes([c0, c1, c2, c3]),
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            args,
        }
    }
}

const _: () = {
    use core::mem::{
        offset_of,
        size_of, //
    };

    assert!(size_of::<RawOp>() == size_of::<uapi::cpu_op>());
    assert!(offset_of!(RawOp, op) == offset_of!(uapi::cpu_op, op));
    assert!(offset_of!(RawOp, len) == offset_of!(uapi::cpu_op, len));
    assert!(offset_of!(RawOp, args) == offset_of!(uapi::cpu_op, u));
    assert!(size_of::<[u64; 3]>() == uapi::CPU_OP_ARG_LEN_MAX as usize);
};
