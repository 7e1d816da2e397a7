// SPDX-License-Identifier: GPL-2.0

//! No time slice extensions, without `CONFIG_RSEQ_SLICE_EXTENSION`.

use crate::{
    stats::Stats,
    task::RseqData, //
};

/// Whether extensions exist.
#[inline(always)]
pub(crate) fn available() -> bool {
    false
}

/// What the flags in the area of a new registration say.
pub(crate) fn initial_flags(_available: bool, _default_on: bool) -> u32 {
    0
}

/// Takes an extension back.
#[inline(always)]
pub(crate) fn clear_grant(_data: &RseqData, _stats: &Stats) {}
