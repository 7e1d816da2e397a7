// SPDX-License-Identifier: GPL-2.0

//! Running a vector.
//!
//! Needs an [`Exclusive`], and that nothing here can fault, sleep or fail: all of it was made sure
//! before.

use crate::{
    copy,
    cpu::Exclusive,
    map::{
        Mapped,
        MappedVector, //
    },
    op::{
        Op,
        Update,
        Width, //
    },
};
use kernel::{
    bindings,
    ffi::c_int,
    sync::barrier, //
};

/// Runs `vector`, in order.
///
/// Returns 0, or the number, from 1, of the comparison that stopped it.
#[inline]
pub(crate) fn run(_: &Exclusive<'_>, vector: MappedVector<'_>) -> c_int {
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
                if self::equal(a, b, len) != equal {
                    return (vector.ops().len() - ops.len()) as c_int;
                }
            }
            Op::Copy { len, backward } => {
                let (Some(dst), Some(src)) = (next(), next()) else {
                    break;
                };
                copy(dst, src, len, backward);
            }
            Op::Update { update, width, arg } => {
                let Some(p) = next() else {
                    break;
                };
                self::update(p, width, update, arg);
            }
            Op::Barrier => barrier::smp_mb(barrier::Full),
        }
    }
    0
}

/// The width, if both operands are words.
#[inline]
fn words(a: Mapped<'_>, b: Mapped<'_>, len: usize) -> Option<Width> {
    Width::new(len)
        .filter(|width| width.aligned(a.as_ptr().addr()) && width.aligned(b.as_ptr().addr()))
}

#[inline]
fn equal(a: Mapped<'_>, b: Mapped<'_>, len: usize) -> bool {
    if let Some(width) = words(a, b, len) {
        load(a, width) == load(b, width)
    } else {
        // SAFETY: By the invariants of `Mapped`, both have `len` bytes.
        unsafe { bindings::memcmp(a.as_ptr().cast(), b.as_ptr().cast(), len) == 0 }
    }
}

#[inline]
fn copy(dst: Mapped<'_>, src: Mapped<'_>, len: usize, backward: bool) {
    if let Some(width) = words(dst, src, len) {
        return store(dst, width, load(src, width));
    }
    let (dst, src) = (dst.as_ptr(), src.as_ptr());
    if backward {
        // SAFETY: By the invariants of `Mapped`, both have `len` bytes, and `dst` may be written.
        unsafe { copy::backward(dst, src, len) }
    } else {
        // SAFETY: As above.
        unsafe { copy::forward(dst, src, len) }
    }
}

#[inline]
fn update(p: Mapped<'_>, width: Width, update: Update, arg: u64) {
    // What programs count in.
    if width == Width::W8 {
        update_word(p, Width::W8, update, arg);
    } else {
        update_narrow(p, width, update, arg);
    }
}

#[inline(never)]
fn update_narrow(p: Mapped<'_>, width: Width, update: Update, arg: u64) {
    match width {
        Width::W1 => update_word(p, Width::W1, update, arg),
        Width::W2 => update_word(p, Width::W2, update, arg),
        _ => update_word(p, Width::W4, update, arg),
    }
}

#[inline(always)]
fn update_word(p: Mapped<'_>, width: Width, update: Update, arg: u64) {
    let old = load(p, width);
    let new = match update {
        Update::Add => old.wrapping_add(arg),
        Update::Or => old | arg,
        Update::And => old & arg,
        Update::Xor => old ^ arg,
        Update::Shl => old.wrapping_shl(arg as u32),
        Update::Shr => old.wrapping_shr(arg as u32),
    };

    store(p, width, new);
}

/// Loads an aligned word at once.
#[inline]
fn load(p: Mapped<'_>, width: Width) -> u64 {
    let p = p.as_ptr();

    // SAFETY: By the invariants of `Mapped` the word is there; callers have checked its alignment.
    unsafe {
        match width {
            Width::W1 => p.read_volatile().into(),
            Width::W2 => p.cast::<u16>().read_volatile().into(),
            Width::W4 => p.cast::<u32>().read_volatile().into(),
            _ => p.cast::<u64>().read_volatile(),
        }
    }
}

/// Stores the low bytes of `value` as an aligned word, at once.
#[inline]
fn store(p: Mapped<'_>, width: Width, value: u64) {
    let p = p.as_ptr();

    // SAFETY: By the invariants of `Mapped` the word is there and may be written; callers have
    // checked its alignment.
    unsafe {
        match width {
            Width::W1 => p.write_volatile(value as u8),
            Width::W2 => p.cast::<u16>().write_volatile(value as u16),
            Width::W4 => p.cast::<u32>().write_volatile(value as u32),
            _ => p.cast::<u64>().write_volatile(value),
        }
    }
}
