// SPDX-License-Identifier: GPL-2.0

//! Operations, checked.
//!
//! Checking has no effects: tested with KUnit.

use crate::{
    abi::{
        self,
        RawOp, //
    },
    array_vec::ArrayVec, //
};
use core::ptr;
use kernel::{
    prelude::*,
    uaccess::UserPtr, //
};

/// An operand in user memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) addr: usize,
    pub(crate) len: usize,
    pub(crate) write: bool,
}

/// An operation.
///
/// # Invariants
///
/// It is valid: its code is one that there is, its operands are at most [`abi::DATA_LEN_MAX`]
/// bytes, that of an update is an aligned word.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    code: u8,
    /// A bit for each operand: the program guessed its address, which may be of no memory.
    guesses: u8,
    /// A copy from the start would overwrite bytes that it still needs.
    backward: bool,
    len: u16,
    /// An address, and another one, a number or a shift.
    args: [u64; 2],
}

const _: () = assert!(abi::DATA_LEN_MAX <= u16::MAX as usize);

/// The bytes of an argument from number `n` on, as a mask.
const fn bytes_from(n: usize) -> u64 {
    let mut bytes = [0; 8];
    let mut i = n;
    while i < 8 {
        bytes[i] = 0xff;
        i += 1;
    }
    u64::from_ne_bytes(bytes)
}

impl Op {
    /// Checks an operation.
    ///
    /// # Errors
    ///
    /// `EINVAL` if its code is none, its length, number of bits or alignment is not one that it can
    /// have, or a byte that it does not use is not zero.
    #[inline(always)]
    fn new([first, a, b, c]: RawOp) -> Result<Self> {
        let [c0, c1, c2, c3, l0, l1, l2, l3] = first.to_ne_bytes();
        let code = u32::from_ne_bytes([c0, c1, c2, c3]);
        let len = u32::from_ne_bytes([l0, l1, l2, l3]);
        let [b0, b1, b2, b3, b4, ..] = b.to_ne_bytes();
        let [f0, f1, ..] = c.to_ne_bytes();
        let mut op = Self {
            code: code as u8,
            guesses: u8::from(f0 != 0),
            backward: false,
            len: len as u16,
            args: [a, b],
        };

        if code >= abi::NR_OPS as u32 {
            return Err(EINVAL);
        }
        let valid = match op.code {
            abi::COMPARE_EQ | abi::COMPARE_NE | abi::MEMCPY => {
                op.guesses |= u8::from(f1 != 0) << 1;
                len <= abi::DATA_LEN_MAX as u32 && c & const { bytes_from(2) } == 0
            }
            abi::MB => len == 0 && (a | b | c) == 0,
            abi::LSHIFT | abi::RSHIFT => {
                // The third argument of others is a byte of the second one here.
                op.guesses = u8::from(b4 != 0);
                is_word(len)
                    && is_aligned(a, len)
                    && u32::from_ne_bytes([b0, b1, b2, b3]) < 8 * len
                    && b & const { bytes_from(5) } == 0
                    && c == 0
            }
            _ => is_word(len) && is_aligned(a, len) && c & const { bytes_from(1) } == 0,
        };

        // INVARIANT: Checked just now.
        valid.then_some(op).ok_or(EINVAL)
    }

    /// Takes the tags off its addresses.
    #[inline(always)]
    fn untag(&mut self) {
        let operands = self.count();

        for arg in self.args.iter_mut().take(operands) {
            *arg = UserPtr::from_addr(*arg as usize).untagged().as_const_ptr() as u64;
        }
    }

    #[inline(always)]
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Bytes of each operand.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.len.into()
    }

    /// The address of the first operand, and of the second one or what an update needs.
    #[inline(always)]
    pub(crate) fn args(&self) -> [u64; 2] {
        self.args
    }

    /// Whether it writes to its first operand. Else it can only stop the vector, or order it.
    #[inline(always)]
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.code, abi::COMPARE_EQ | abi::COMPARE_NE | abi::MB)
    }

    /// How many operands it has.
    #[inline(always)]
    fn count(&self) -> usize {
        match self.code {
            abi::COMPARE_EQ | abi::COMPARE_NE | abi::MEMCPY => 2,
            abi::MB => 0,
            _ => 1,
        }
    }

    /// Its operands, at most two, in the order in which their errors count.
    #[inline(always)]
    pub(crate) fn operands(&self) -> impl Iterator<Item = Operand> + '_ {
        (0..2).map_while(|n| self.operand(n))
    }

    /// Its operand number `n`.
    #[inline(always)]
    pub(crate) fn operand(&self, n: usize) -> Option<Operand> {
        (n < self.count()).then_some(Operand {
            addr: *self.args.get(n)? as usize,
            len: self.len.into(),
            write: n == 0 && self.writes(),
        })
    }

    /// Whether the program guessed the address of operand `n`, so that it may be of no memory.
    #[inline]
    pub(crate) fn guessed(&self, n: usize) -> bool {
        self.guesses.rotate_right(n as u32) & 1 != 0
    }

    /// Puts addresses of the kernel, `at`, in the place of those of its operands.
    ///
    /// It is no operation on user memory any more: such addresses are not accessible to user space.
    #[inline(always)]
    pub(crate) fn map(&mut self, at: [Option<*mut u8>; 2]) {
        let [a, b] = self.args;

        if at[1].is_some() {
            let distance = a.wrapping_sub(b);

            self.backward = distance != 0 && distance < self.len.into();
        }
        let [first, second] = at.map(|at| at.map(|at| at.expose_provenance() as u64));
        self.args = [first.unwrap_or(a), second.unwrap_or(b)];
    }

    /// Where the kernel has its operand `n`, after [`map`](Self::map).
    #[inline(always)]
    pub(crate) fn mapped(&self, n: usize) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.args.get(n).copied().unwrap_or(0) as usize)
    }

    /// Whether a copy has to begin at the end, lest it overwrites bytes that it still needs, after
    /// [`map`](Self::map): user memory tells.
    #[inline(always)]
    pub(crate) fn backward(&self) -> bool {
        self.backward
    }
}

/// A vector of operations.
///
/// # Invariants
///
/// If `in_place`, all operands are aligned words, and at most one of them is stored to, after all
/// loads.
pub(crate) struct Vector {
    ops: ArrayVec<Op, { abi::VEC_LEN_MAX }>,
    in_place: bool,
}

impl Vector {
    /// One of no operations.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        // INVARIANT: There are no operands.
        Self {
            ops: ArrayVec::new(),
            in_place: true,
        }
    }

    /// Makes this a vector of the first `count` operations of `raw`, which is inlined if its
    /// `next()` is.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are too many, one is not valid, or they have too many bytes; those of
    /// `raw`.
    #[inline(always)]
    pub(crate) fn set(
        &mut self,
        count: usize,
        mut raw: impl Iterator<Item = Result<RawOp>>,
    ) -> Result {
        let mut seen = Seen {
            bytes: 0,
            stored: false,
            in_place: true,
        };

        // INVARIANT: Not known yet.
        self.in_place = false;
        for slot in self.ops.room(count)? {
            let op = Op::new(raw.next().ok_or(EINVAL)??)?;

            seen.add(&op);
            slot.write(op);
        }
        // SAFETY: All of them have just been written.
        unsafe { self.ops.set_len(count) };
        if seen.bytes > abi::VEC_DATA_LEN_MAX as u32 {
            return Err(EINVAL);
        }
        // INVARIANT: `seen` has seen them all.
        self.in_place = seen.in_place;
        Ok(())
    }

    /// Takes the tags off all addresses.
    #[inline(always)]
    pub(crate) fn untag(&mut self) {
        self.ops.iter_mut().for_each(Op::untag);
    }

    /// The operations.
    #[inline(always)]
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operations, to [map](Op::map) them.
    #[inline(always)]
    pub(crate) fn ops_mut(&mut self) -> &mut [Op] {
        &mut self.ops
    }

    /// Whether user memory can be accessed itself: then if an access faults, nothing has happened.
    #[inline(always)]
    pub(crate) fn in_place(&self) -> bool {
        self.in_place
    }
}

/// What is known of the operations so far.
struct Seen {
    bytes: u32,
    stored: bool,
    in_place: bool,
}

impl Seen {
    #[inline(always)]
    fn add(&mut self, op: &Op) {
        let [a, b] = op.args;

        match op.code {
            abi::COMPARE_EQ | abi::COMPARE_NE | abi::MEMCPY => {
                self.in_place &= !self.stored && is_word(op.len()) && is_aligned(a | b, op.len());
                self.stored |= op.code == abi::MEMCPY;
            }
            // Can be anywhere.
            abi::MB => {}
            // Updates are of aligned words.
            _ => {
                self.in_place &= !self.stored;
                self.stored = true;
            }
        }
        // OVERFLOW: At most `VEC_LEN_MAX` times `DATA_LEN_MAX`.
        self.bytes += op.len();
    }
}

/// The operations before number `end` that can only stop a vector, up to the first one that can
/// not.
pub(crate) fn leading(ops: &mut [Op], end: usize) -> &mut [Op] {
    let leading = ops.iter().take_while(|op| !op.writes()).count();

    ops.get_mut(..end.min(leading)).unwrap_or_default()
}

/// Whether so many bytes are a word.
#[inline(always)]
pub(crate) fn is_word(len: u32) -> bool {
    len <= 8 && const { 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 } & (1_u32 << len) != 0
}

/// Whether a word of `len` bytes at `addr` is naturally aligned.
#[inline(always)]
pub(crate) fn is_aligned(addr: u64, len: u32) -> bool {
    addr & u64::from(len.wrapping_sub(1)) == 0
}

/// What the update `code` makes of `old`, in the low bytes. The argument of a shift is 32 bits.
#[inline(always)]
pub(crate) fn update(code: u8, old: u64, arg: u64) -> u64 {
    match code {
        abi::ADD => old.wrapping_add(arg),
        abi::OR => old | arg,
        abi::AND => old & arg,
        abi::XOR => old ^ arg,
        abi::LSHIFT => old.wrapping_shl(arg as u32),
        _ => old.wrapping_shr(arg as u32),
    }
}
