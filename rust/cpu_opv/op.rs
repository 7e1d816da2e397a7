// SPDX-License-Identifier: GPL-2.0

//! Operations, checked.
//!
//! Decoding has no effects but those of the sink: tested with KUnit.

use crate::abi::{
    self,
    RawOp,
    DATA_LEN_MAX, //
};
use kernel::prelude::*;

/// The bytes of an argument that come before byte `n`, as a mask.
const fn first_bytes(n: usize) -> u64 {
    let mut bytes = [0; 8];
    let mut i = 0;
    while i < n {
        bytes[i] = 0xff;
        i += 1;
    }
    u64::from_ne_bytes(bytes)
}

/// An operand in user memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) addr: usize,
    /// At most [`DATA_LEN_MAX`].
    pub(crate) len: u16,
    pub(crate) write: bool,
    /// The address is a guess of the program, and may be of no memory.
    pub(crate) expect_fault: bool,
}

const _: () = assert!(DATA_LEN_MAX <= u16::MAX as usize);

impl User {
    /// The error of the vector if the operand cannot be accessed because of `e`.
    pub(crate) fn error(self, e: Error) -> Error {
        if e == EFAULT && self.expect_fault {
            EAGAIN
        } else {
            e
        }
    }
}

/// Bytes of a word.
///
/// # Invariants
///
/// 1, 2, 4 or 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width(u8);

impl Width {
    #[cfg(CONFIG_CPU_OPV_KUNIT_TEST)]
    pub(crate) const W1: Self = Self(1);
    pub(crate) const W2: Self = Self(2);
    pub(crate) const W4: Self = Self(4);
    pub(crate) const W8: Self = Self(8);

    #[inline]
    pub(crate) fn new(len: usize) -> Option<Self> {
        // INVARIANT: These are the powers of two up to 8.
        (len <= 8 && len.is_power_of_two()).then_some(Self(len as u8))
    }

    #[inline]
    pub(crate) fn bytes(self) -> usize {
        self.0.into()
    }

    /// Whether a word at `addr` is naturally aligned.
    #[inline]
    pub(crate) fn aligned(self, addr: usize) -> bool {
        addr & (self.bytes() - 1) == 0
    }
}

/// What becomes of a word, given an argument. Numbered by op codes, so that decoding is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Update {
    Add = abi::ADD as u8,
    Or = abi::OR as u8,
    And = abi::AND as u8,
    Xor = abi::XOR as u8,
    /// By less than the width.
    Shl = abi::LSHIFT as u8,
    /// By less than the width. Zeroes come in.
    Shr = abi::RSHIFT as u8,
}

impl Update {
    /// What becomes of `old`, in its low bytes.
    #[inline(always)]
    pub(crate) fn of(self, old: u64, arg: u64) -> u64 {
        match self {
            Self::Add => old.wrapping_add(arg),
            Self::Or => old | arg,
            Self::And => old & arg,
            Self::Xor => old ^ arg,
            Self::Shl => old.wrapping_shl(arg as u32),
            Self::Shr => old.wrapping_shr(arg as u32),
        }
    }
}

/// An operation. Its operands are told apart from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Goes on if its two operands are equal as wanted.
    Compare { len: usize, equal: bool },
    /// Copies the second operand to the first; `backward` where a copy from the start would overwrite
    /// bytes that it still needs.
    Copy { len: usize, backward: bool },
    /// Changes its only operand, a word that is naturally aligned.
    Update {
        update: Update,
        width: Width,
        arg: u64,
    },
    /// A full memory barrier. No operands.
    Barrier,
}

/// Takes operations on user memory.
pub(crate) trait Sink {
    /// Takes `op` and its operands, in the order in which their errors count.
    ///
    /// # Safety
    ///
    /// These must be as many operands as `op` has, of the length that it says, which is at most
    /// [`DATA_LEN_MAX`], and aligned if it says so.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    unsafe fn push<const N: usize>(&mut self, op: Op, operands: [User; N]) -> Result;
}

/// Checks `raw`, and passes it on to `sink`.
///
/// # Errors
///
/// `EINVAL` if the op code is none, the length, number of bits or alignment is not one that the
/// operation can have, or a byte that it does not use is not zero; those of the sink.
#[inline(always)]
pub(crate) fn decode(raw: &RawOp, sink: &mut impl Sink) -> Result {
    match raw.op {
        abi::COMPARE_EQ | abi::COMPARE_NE | abi::MEMCPY => decode_two_operands(raw, sink),
        abi::ADD | abi::OR | abi::AND | abi::XOR => decode_arithmetic(raw, sink),
        abi::LSHIFT | abi::RSHIFT => decode_shift(raw, sink),
        abi::MB => decode_barrier(raw, sink),
        _ => Err(EINVAL),
    }
}

#[inline(always)]
fn decode_barrier(raw: &RawOp, sink: &mut impl Sink) -> Result {
    if raw.len != 0 || raw.args != [0; 3] {
        return Err(EINVAL);
    }

    // SAFETY: It has no operands.
    unsafe { sink.push(Op::Barrier, []) }
}

#[inline(always)]
fn decode_arithmetic(raw: &RawOp, sink: &mut impl Sink) -> Result {
    let [_, arg, flags] = raw.args;
    let update = match raw.op {
        abi::ADD => Update::Add,
        abi::OR => Update::Or,
        abi::AND => Update::And,
        abi::XOR => Update::Xor,
        // Not called for such.
        _ => return Err(EINVAL),
    };
    if flags & !const { first_bytes(1) } != 0 {
        return Err(EINVAL);
    }

    decode_word(raw, update, arg, flags != 0, sink)
}

/// The number of bits and the flag share an argument.
#[inline(always)]
fn decode_shift(raw: &RawOp, sink: &mut impl Sink) -> Result {
    let [b0, b1, b2, b3, expect_fault, reserved @ ..] = raw.args[1].to_ne_bytes();
    let bits = u32::from_ne_bytes([b0, b1, b2, b3]);
    let update = if raw.op == abi::LSHIFT {
        Update::Shl
    } else {
        Update::Shr
    };
    if reserved != [0; 3] || raw.args[2] != 0 || u64::from(bits) >= 8 * u64::from(raw.len) {
        return Err(EINVAL);
    }

    decode_word(raw, update, bits.into(), expect_fault != 0, sink)
}

#[inline(always)]
fn decode_word(
    raw: &RawOp,
    update: Update,
    arg: u64,
    expect_fault: bool,
    sink: &mut impl Sink,
) -> Result {
    let addr = raw.args[0] as usize;
    let width = Width::new(raw.len as usize).ok_or(EINVAL)?;
    if !width.aligned(addr) {
        return Err(EINVAL);
    }

    let operand = User {
        addr,
        len: raw.len as u16,
        write: true,
        expect_fault,
    };
    // SAFETY: It has one, of its width, and aligned.
    unsafe { sink.push(Op::Update { update, width, arg }, [operand]) }
}

#[inline(always)]
fn decode_two_operands(raw: &RawOp, sink: &mut impl Sink) -> Result {
    let [first, second, flags] = raw.args;
    let len = raw.len as usize;
    if len > DATA_LEN_MAX || flags & !const { first_bytes(2) } != 0 {
        return Err(EINVAL);
    }

    let copy = raw.op == abi::MEMCPY;
    let first = User {
        addr: first as usize,
        len: raw.len as u16,
        write: copy,
        expect_fault: flags & const { first_bytes(1) } != 0,
    };
    let second = User {
        addr: second as usize,
        len: raw.len as u16,
        write: false,
        expect_fault: flags & !const { first_bytes(1) } != 0,
    };
    let op = if copy {
        let distance = first.addr.wrapping_sub(second.addr);

        Op::Copy {
            len,
            backward: distance != 0 && distance < len,
        }
    } else {
        Op::Compare {
            len,
            equal: raw.op == abi::COMPARE_EQ,
        }
    };

    // SAFETY: It has two, of its length, which has been checked.
    unsafe { sink.push(op, [first, second]) }
}
