// SPDX-License-Identifier: GPL-2.0

//! Time slice extensions.
//!
//! A task in a critical section of its own (a lock, say) can ask in its area not to be preempted. If
//! the request is there when an interrupt wants to preempt the task, the kernel grants it a few
//! microseconds, up to a timer. The task gives the rest back with rseq_slice_yield(2), or by any
//! other system call. Only for areas of version 2, which have the field.

use crate::{
    abi::{
        CS_FLAG_SLICE_EXT_AVAILABLE,
        CS_FLAG_SLICE_EXT_ENABLED, //
    },
    stats::{
        Stat,
        Stats, //
    },
    task::RseqData,
};
use kernel::{
    bindings,
    jump_label, //
};

/// Whether extensions exist: the boot parameter `rseq_slice_ext=` can switch them off.
#[inline(always)]
pub(crate) fn available() -> bool {
    // SAFETY: C defines the key, initially true.
    unsafe { jump_label::static_branch_likely!(bindings::rseq_slice_extension_key) }
}

/// What the flags in the area of a new registration say, for `available` extensions.
pub(crate) fn initial_flags(available: bool, default_on: bool) -> u32 {
    match (available, default_on) {
        (false, _) => 0,
        (true, false) => CS_FLAG_SLICE_EXT_AVAILABLE,
        (true, true) => CS_FLAG_SLICE_EXT_AVAILABLE | CS_FLAG_SLICE_EXT_ENABLED,
    }
}

/// Takes an extension back.
#[inline(always)]
pub(crate) fn clear_grant(data: &RseqData, stats: &Stats) {
    if cfg!(CONFIG_RSEQ_STATS) && data.slice.granted.get() {
        stats.note(Stat::SliceRevoked);
    }
    data.slice.granted.set(false);
}

/// The fields of `slice_ctrl`.
///
/// C: `struct rseq_slice_ctrl`
pub(crate) mod ctrl {
    /// The request, a byte that user space sets.
    const REQUEST: u32 = 0xff;
    /// The grant, a byte that the kernel sets.
    const GRANTED: u32 = 0xff << 8;

    /// What the kernel writes in answer to the request in `ctrl`; [`None`] if there is none.
    pub(crate) const fn answer(ctrl: u32) -> Option<u32> {
        if ctrl & REQUEST == 0 {
            None
        } else {
            Some(ctrl & !(REQUEST | GRANTED) | expected(true))
        }
    }

    /// What the kernel has written, and nobody may have changed, with or without an extension.
    pub(crate) const fn expected(granted: bool) -> u32 {
        (granted as u32) << 8
    }
}
