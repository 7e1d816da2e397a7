// SPDX-License-Identifier: GPL-2.0

//! Operations, checked.
//!
//! Decoding has no effects: tested with KUnit.

use crate::{
    abi::{
        self,
        RawOp,
        DATA_LEN_MAX,
        VEC_DATA_LEN_MAX,
        VEC_LEN_MAX, //
    },
    array_vec::ArrayVec, //
};
use kernel::prelude::*;

/// Where an operand is in user memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) addr: usize,
    /// The address is a guess of the program, and may be of no memory.
    pub(crate) expect_fault: bool,
}

/// Bytes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Width {
    W1 = 1,
    W2 = 2,
    W4 = 4,
    W8 = 8,
}

impl Width {
    #[inline]
    pub(crate) fn new(len: usize) -> Option<Self> {
        match len {
            1 => Some(Self::W1),
            2 => Some(Self::W2),
            4 => Some(Self::W4),
            8 => Some(Self::W8),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn bytes(self) -> usize {
        self as usize
    }

    /// Whether a word at `addr` is naturally aligned.
    #[inline]
    pub(crate) fn aligned(self, addr: usize) -> bool {
        addr & (self.bytes() - 1) == 0
    }
}

/// What becomes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    Add(u64),
    Or(u64),
    And(u64),
    Xor(u64),
    /// By less than the width.
    Shl(u32),
    /// By less than the width. Zeroes come in.
    Shr(u32),
}

/// An operation whose operands are at addresses of type `A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<A> {
    /// Goes on if the operands are equal as wanted.
    Compare { a: A, b: A, len: usize, equal: bool },
    /// Copies; `backward` where a copy from the start would overwrite bytes that it still needs.
    Copy {
        dst: A,
        src: A,
        len: usize,
        backward: bool,
    },
    /// Changes a word, which is naturally aligned.
    Update { p: A, width: Width, update: Update },
    /// A full memory barrier.
    Barrier,
}

impl<A: Copy> Op<A> {
    /// Calls `f` with each operand, its length and whether it is written, in the order in which their
    /// errors count, until it returns `None`.
    #[inline(always)]
    pub(crate) fn try_for_each(
        &self,
        mut f: impl FnMut(A, usize, bool) -> Option<()>,
    ) -> Option<()> {
        match *self {
            Self::Compare { a, b, len, .. } => f(a, len, false).and_then(|()| f(b, len, false)),
            Self::Copy { dst, src, len, .. } => f(dst, len, true).and_then(|()| f(src, len, false)),
            Self::Update { p, width, .. } => f(p, width.bytes(), true),
            Self::Barrier => Some(()),
        }
    }

    /// How many bytes count towards the limit of the vector.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        match *self {
            Self::Compare { len, .. } | Self::Copy { len, .. } => len,
            Self::Update { width, .. } => width.bytes(),
            Self::Barrier => 0,
        }
    }

    /// The same operation with its operands, in order, at the addresses that `f` returns.
    #[inline]
    pub(crate) fn try_map<B>(&self, mut f: impl FnMut(A, usize) -> Option<B>) -> Option<Op<B>> {
        Some(match *self {
            Self::Compare { a, b, len, equal } => Op::Compare {
                a: f(a, len)?,
                b: f(b, len)?,
                len,
                equal,
            },
            Self::Copy {
                dst,
                src,
                len,
                backward,
            } => Op::Copy {
                dst: f(dst, len)?,
                src: f(src, len)?,
                len,
                backward,
            },
            Self::Update { p, width, update } => Op::Update {
                p: f(p, width.bytes())?,
                width,
                update,
            },
            Self::Barrier => Op::Barrier,
        })
    }
}

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

impl Op<User> {
    /// Checks `raw`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the op code is none, the length, number of bits or alignment is not one that the
    /// operation can have, or a byte that it does not use is not zero.
    #[inline(always)]
    pub(crate) fn decode(raw: &RawOp) -> Result<Self> {
        let op = match raw.op {
            abi::COMPARE_EQ | abi::COMPARE_NE => {
                let [a, b] = two_operands(raw)?;

                Self::Compare {
                    a,
                    b,
                    len: raw.len as usize,
                    equal: raw.op == abi::COMPARE_EQ,
                }
            }
            abi::MEMCPY => {
                let [dst, src] = two_operands(raw)?;
                let len = raw.len as usize;

                Self::Copy {
                    dst,
                    src,
                    len,
                    backward: dst.addr > src.addr && dst.addr - src.addr < len,
                }
            }
            abi::ADD => update(raw, Update::Add(raw.args[1]))?,
            abi::OR => update(raw, Update::Or(raw.args[1]))?,
            abi::AND => update(raw, Update::And(raw.args[1]))?,
            abi::XOR => update(raw, Update::Xor(raw.args[1]))?,
            abi::LSHIFT => shift(raw, Update::Shl)?,
            abi::RSHIFT => shift(raw, Update::Shr)?,
            // None of its arguments counts.
            abi::MB => Self::Barrier,
            _ => return Err(EINVAL),
        };

        Ok(op)
    }
}

#[inline]
fn two_operands(raw: &RawOp) -> Result<[User; 2]> {
    let [first, second, flags] = raw.args;
    if raw.len as usize > DATA_LEN_MAX || flags & !first_bytes(2) != 0 {
        return Err(EINVAL);
    }

    Ok([
        User {
            addr: first as usize,
            expect_fault: flags & first_bytes(1) != 0,
        },
        User {
            addr: second as usize,
            expect_fault: flags & !first_bytes(1) != 0,
        },
    ])
}

#[inline]
fn word(raw: &RawOp, expect_fault: bool) -> Result<(User, Width)> {
    let addr = raw.args[0] as usize;
    let width = Width::new(raw.len as usize).ok_or(EINVAL)?;
    if !width.aligned(addr) {
        return Err(EINVAL);
    }

    Ok((User { addr, expect_fault }, width))
}

#[inline]
fn update(raw: &RawOp, update: Update) -> Result<Op<User>> {
    let flags = raw.args[2];
    if flags & !first_bytes(1) != 0 {
        return Err(EINVAL);
    }

    let (p, width) = word(raw, flags != 0)?;
    Ok(Op::Update { p, width, update })
}

/// For shifts, the number of bits and the flag share an argument.
#[inline]
fn shift(raw: &RawOp, update: fn(u32) -> Update) -> Result<Op<User>> {
    let [b0, b1, b2, b3, expect_fault, reserved @ ..] = raw.args[1].to_ne_bytes();
    let bits = u32::from_ne_bytes([b0, b1, b2, b3]);
    let (p, width) = word(raw, expect_fault != 0)?;
    if reserved != [0; 3] || raw.args[2] != 0 || bits as usize >= 8 * width.bytes() {
        return Err(EINVAL);
    }

    Ok(Op::Update {
        p,
        width,
        update: update(bits),
    })
}

/// Operations that run one after the other.
pub(crate) type Vector<A> = ArrayVec<Op<A>, VEC_LEN_MAX>;

/// Checks all of `raw`, and appends it to `vector`.
///
/// # Errors
///
/// `EINVAL` if there are too many, or one is not valid, or all together have too many bytes.
#[inline]
pub(crate) fn decode(raw: &[RawOp], vector: &mut Vector<User>) -> Result {
    let mut bytes = 0;

    for raw in raw {
        vector.push(Op::decode(raw)?).ok_or(EINVAL)?;
        if raw.op != abi::MB {
            // OVERFLOW: At most `VEC_LEN_MAX * DATA_LEN_MAX`.
            bytes += raw.len as usize;
        }
    }
    if bytes > VEC_DATA_LEN_MAX {
        return Err(EINVAL);
    }
    Ok(())
}
