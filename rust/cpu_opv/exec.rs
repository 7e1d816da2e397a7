// SPDX-License-Identifier: GPL-2.0

//! Running a vector.
//!
//! Nothing here sleeps or faults: all of it was made sure before. Only hardware can fail.

use crate::{
    map::{
        Mapped,
        MappedVector, //
    },
    op::{
        Op,
        Update,
        Width, //
    },
    segments::segments,
};
use kernel::{
    exclude::Excluded,
    ffi::c_int,
    mm::mc::{
        self,
        Poisoned, //
    },
    sync::barrier, //
};

/// Runs `vector`, in order.
///
/// Returns 0, or the number, from 1, of the comparison that stopped it.
///
/// # Errors
///
/// [`Poisoned`]: the vector ends where it met bad memory.
#[inline]
pub(crate) fn run(_: &Excluded, vector: MappedVector<'_>) -> Result<c_int, Poisoned> {
    let mut ops = vector.ops().iter();
    let mut operands = vector.operands().iter().copied();
    // By the invariants of `MappedVector` there are as many as are needed.
    let mut next = || operands.next();

    while let Some(op) = ops.next() {
        match *op {
            Op::Compare { len, equal } => {
                let (Some(a), Some(b)) = (next(), next()) else {
                    break;
                };
                if self::equal(a, b, len)? != equal {
                    return Ok((vector.ops().len() - ops.len()) as c_int);
                }
            }
            Op::Copy { len, backward } => {
                let (Some(dst), Some(src)) = (next(), next()) else {
                    break;
                };
                copy(dst, src, len, backward)?;
            }
            Op::Update { update, width, arg } => {
                let Some(p) = next() else {
                    break;
                };
                self::update(p, width, update, arg)?;
            }
            Op::Barrier => barrier::smp_mb(barrier::Full),
        }
    }
    Ok(0)
}

/// The width, if both operands are words.
#[inline]
fn words(a: Mapped, b: Mapped, len: usize) -> Option<Width> {
    Width::new(len)
        .filter(|width| width.aligned(a.as_ptr().addr()) && width.aligned(b.as_ptr().addr()))
}

#[inline]
fn equal(a: Mapped, b: Mapped, len: usize) -> Result<bool, Poisoned> {
    if let Some(width) = words(a, b, len) {
        return Ok(load(a, width)? == load(b, width)?);
    }
    for (start, end) in segments(len, a.contiguous(), b.contiguous(), false) {
        // SAFETY: By the invariants of `MappedVector`, both have these bytes, which are contiguous.
        if !unsafe { mc::equal(a.at(start), b.at(start), end - start)? } {
            return Ok(false);
        }
    }
    Ok(true)
}

#[inline]
fn copy(dst: Mapped, src: Mapped, len: usize, backward: bool) -> Result<(), Poisoned> {
    if let Some(width) = words(dst, src, len) {
        return store(dst, width, load(src, width)?);
    }
    for (start, end) in segments(len, dst.contiguous(), src.contiguous(), backward) {
        let (dst, src) = (dst.at(start), src.at(start));

        // SAFETY: By the invariants of `MappedVector`, both have these bytes, which are contiguous, and
        // `dst` may be written.
        unsafe {
            if backward {
                mc::copy_backward(dst, src, end - start)?;
            } else {
                mc::copy_forward(dst, src, end - start)?;
            }
        }
    }
    Ok(())
}

/// Programs count in words of 8 bytes.
#[inline]
fn update(p: Mapped, width: Width, update: Update, arg: u64) -> Result<(), Poisoned> {
    store(p, width, update.of(load(p, width)?, arg))
}

/// Loads an aligned word at once.
#[inline]
fn load(p: Mapped, width: Width) -> Result<u64, Poisoned> {
    let p = p.as_ptr();

    // SAFETY: By the invariants of `MappedVector` the word is there; an aligned one is contiguous.
    unsafe {
        Ok(match width {
            Width::W8 => mc::load_u64(p)?,
            Width::W4 => mc::load_u32(p)?.into(),
            Width::W2 => mc::load_u16(p)?.into(),
            _ => mc::load_u8(p)?.into(),
        })
    }
}

/// Stores the low bytes of `value` as an aligned word, at once.
#[inline]
fn store(p: Mapped, width: Width, value: u64) -> Result<(), Poisoned> {
    let p = p.as_ptr();

    // SAFETY: As in `load()`; the word may be written.
    unsafe {
        match width {
            Width::W8 => mc::store_u64(p, value),
            Width::W4 => mc::store_u32(p, value as u32),
            Width::W2 => mc::store_u16(p, value as u16),
            _ => mc::store_u8(p, value as u8),
        }
    }
}
