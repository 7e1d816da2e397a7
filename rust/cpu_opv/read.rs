// SPDX-License-Identifier: GPL-2.0

//! Reading a vector from user memory.

use crate::abi::RawOp;
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    uaccess::{
        access::UserRegion,
        UserPtr, //
    }, //
};

/// Reads operations from user memory, once, until `raw` is full. Their addresses have no tags any
/// more.
///
/// # Errors
///
/// `EFAULT` if one cannot be read.
#[inline]
pub(crate) fn read(vec: UserPtr, raw: &mut [MaybeUninit<RawOp>]) -> Result<&[RawOp]> {
    fill(vec, raw)?;
    // SAFETY: All of it has been read, and any bytes are a `RawOp`.
    let vector = unsafe { core::slice::from_raw_parts_mut(raw.as_mut_ptr().cast(), raw.len()) };

    vector.iter_mut().for_each(RawOp::untag);
    Ok(vector)
}

/// Reads all of `raw`, or fails.
///
/// By words: most vectors are too short for a string instruction, as copies use, to pay.
#[inline]
fn fill(vec: UserPtr, raw: &mut [MaybeUninit<RawOp>]) -> Result {
    // SAFETY: The only region here, and nothing is called in it.
    let region = unsafe { UserRegion::open() };
    let mut start = vec;
    let mut at = 0_usize;

    while let Some(slot) = raw.get_mut(at) {
        let op = region.window(start)?;

        slot.write(RawOp::from_words(op.read::<[u64; 4], 0>()?));
        start = start.wrapping_byte_add(size_of::<RawOp>());
        at = at.wrapping_add(1);
    }
    Ok(())
}
