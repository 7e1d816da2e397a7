// SPDX-License-Identifier: GPL-2.0

//! Running a vector.
//!
//! Nothing here sleeps or faults: all of it was made sure before. Only hardware can fail.

use crate::{
    abi,
    mapped::Mapped,
    op::{
        is_aligned,
        is_word,
        update,
        Op, //
    },
    segments::segments,
};
use kernel::{
    ffi::c_int,
    mm::mc::{
        self,
        Poisoned, //
    },
    sync::barrier, //
};

/// Runs `ops`, in order. Their operands are [mapped](Op::mapped); those that are in two pages have
/// the second one where `rest` says, by the index of the operation, and 0 or 1.
///
/// Returns 0, or the number, from 1, of the comparison that stopped it.
///
/// # Safety
///
/// All bytes of each operand have to be mapped there, as far from the start of a page as they were
/// in user memory, and such that they can be written if the operation does. Others may access them
/// at the same time.
///
/// # Errors
///
/// [`Poisoned`]: the vector ends where it met bad memory.
#[inline]
pub(crate) unsafe fn run(
    ops: &[Op],
    rest: impl Fn(usize, usize) -> Option<*mut u8>,
) -> Result<c_int, Poisoned> {
    for (index, op) in ops.iter().enumerate() {
        let len = op.len();
        let (a, b) = (op.mapped(0), op.mapped(1));
        // Aligned ones are in one page.
        let words = || is_word(len) && is_aligned((a.addr() | b.addr()) as u64, len);
        let both = || {
            (
                Mapped::new(a, rest(index, 0)),
                Mapped::new(b, rest(index, 1)),
            )
        };

        // SAFETY: By the safety requirements.
        unsafe {
            match op.code() {
                abi::COMPARE_EQ | abi::COMPARE_NE => {
                    let equal = if words() {
                        load(a, len)? == load(b, len)?
                    } else {
                        equal(both(), len as usize)?
                    };

                    if equal != (op.code() == abi::COMPARE_EQ) {
                        return Ok(index as c_int + 1);
                    }
                }
                abi::MEMCPY if words() => store(a, len, load(b, len)?)?,
                abi::MEMCPY => copy(both(), len as usize, op.backward())?,
                abi::MB => barrier::smp_mb(barrier::Full),
                code => {
                    let [_, arg] = op.args();

                    // Most words are of 8 bytes.
                    match len {
                        8 => mc::store_u64(a, update(code, mc::load_u64(a)?, arg))?,
                        _ => store(a, len, update(code, load(a, len)?, arg))?,
                    }
                }
            }
        }
    }
    Ok(0)
}

/// # Safety
///
/// `a` and `b` have to be mapped.
#[inline(never)]
unsafe fn equal((a, b): (Mapped, Mapped), len: usize) -> Result<bool, Poisoned> {
    for (start, end) in segments(len, a.contiguous(), b.contiguous(), false) {
        // SAFETY: By the safety requirements; what is in a segment is contiguous.
        if !unsafe { mc::equal(a.at(start), b.at(start), end - start)? } {
            return Ok(false);
        }
    }
    Ok(true)
}

/// # Safety
///
/// Both have to be mapped, `dst` such that it can be written.
#[inline(never)]
unsafe fn copy((dst, src): (Mapped, Mapped), len: usize, backward: bool) -> Result<(), Poisoned> {
    for (start, end) in segments(len, dst.contiguous(), src.contiguous(), backward) {
        // SAFETY: By the safety requirements; what is in a segment is contiguous.
        unsafe {
            if backward {
                mc::copy_backward(dst.at(start), src.at(start), end - start)?;
            } else {
                mc::copy_forward(dst.at(start), src.at(start), end - start)?;
            }
        }
    }
    Ok(())
}

/// Loads an aligned word of `len` bytes at once.
///
/// # Safety
///
/// It has to be mapped.
#[inline]
unsafe fn load(p: *const u8, len: u32) -> Result<u64, Poisoned> {
    // SAFETY: By the safety requirements.
    unsafe {
        Ok(match len {
            8 => mc::load_u64(p)?,
            4 => mc::load_u32(p)?.into(),
            2 => mc::load_u16(p)?.into(),
            _ => mc::load_u8(p)?.into(),
        })
    }
}

/// Stores the low bytes of `value` as an aligned word of `len` bytes, at once.
///
/// # Safety
///
/// It has to be mapped such that it can be written.
#[inline]
unsafe fn store(p: *mut u8, len: u32, value: u64) -> Result<(), Poisoned> {
    // SAFETY: By the safety requirements.
    unsafe {
        match len {
            8 => mc::store_u64(p, value),
            4 => mc::store_u32(p, value as u32),
            2 => mc::store_u16(p, value as u16),
            _ => mc::store_u8(p, value as u8),
        }
    }
}
