// SPDX-License-Identifier: GPL-2.0

//! What a call of rseq(2) asks for, and whether it may.
//!
//! Pure decisions.

use crate::{
    abi::{
        area,
        Version,
        FLAG_SLICE_EXT_DEFAULT_ON,
        FLAG_UNREGISTER, //
    },
    task::Registration, //
};
use kernel::prelude::*;

/// Returns the version to register the area of `request` with.
///
/// `current` is the current registration of the task, `request` and `flags` are what the call names.
///
/// # Errors
///
/// * [`EINVAL`]: unknown flags; an area of a wrong size or alignment; another area, or length, than
///   the registered one.
/// * [`EPERM`]: another signature than the registered one.
/// * [`EBUSY`]: this area is registered already.
#[inline(always)]
pub(crate) fn may_register(
    current: Option<Registration>,
    request: Registration,
    flags: i32,
) -> Result<Version> {
    if flags & !FLAG_SLICE_EXT_DEFAULT_ON != 0 {
        return Err(EINVAL);
    }
    if let Some(current) = current {
        same(current, request)?;
        return Err(EBUSY);
    }
    version(request.usrptr.as_const_ptr() as usize, request.len)
}

/// Checks that `request` and `flags` are good for forgetting the registration `current`.
///
/// # Errors
///
/// * [`EINVAL`]: unknown flags; nothing is registered, or another area or length.
/// * [`EPERM`]: another signature than the registered one.
#[inline(always)]
pub(crate) fn may_unregister(
    current: Option<Registration>,
    request: Registration,
    flags: i32,
) -> Result {
    if flags & !FLAG_UNREGISTER != 0 {
        return Err(EINVAL);
    }
    same(current.ok_or(EINVAL)?, request)
}

/// Checks that both are the same registration.
#[inline(always)]
fn same(current: Registration, request: Registration) -> Result {
    if current.usrptr.as_const_ptr() != request.usrptr.as_const_ptr() || current.len != request.len
    {
        return Err(EINVAL);
    }
    if current.sig != request.sig {
        return Err(EPERM);
    }
    Ok(())
}

/// The version of the ABI for an area of `len` bytes at `address`.
///
/// An area has either the original size and alignment, or room for all fields and the alignment of
/// `AT_RSEQ_ALIGN`.
#[inline(always)]
pub(crate) fn version(address: usize, len: u32) -> Result<Version> {
    let len = len as usize;

    let (align, version) = if len == area::ORIG_SIZE {
        (area::ORIG_SIZE, Version::V1)
    } else {
        (area::ALIGN, Version::V2)
    };
    if (version == Version::V2 && len < area::FEATURE_SIZE) || address % align != 0 {
        return Err(EINVAL);
    }
    Ok(version)
}
