// SPDX-License-Identifier: GPL-2.0

//! Debug mode: strict checks of what user space announces.
//!
//! A static key, initially as `CONFIG_RSEQ_DEBUG_DEFAULT_ENABLE` says; the boot parameter
//! `rseq_debug=` and the debugfs file `rseq/debug` change it.

use kernel::{
    bindings,
    jump_label, //
};

/// Whether debug mode is on.
#[inline(always)]
pub(crate) fn enabled() -> bool {
    #[cfg(CONFIG_RSEQ_DEBUG_DEFAULT_ENABLE)]
    // SAFETY: C defines the key, with this type in this configuration.
    unsafe {
        jump_label::static_branch_likely!(bindings::rseq_debug_enabled)
    }
    #[cfg(not(CONFIG_RSEQ_DEBUG_DEFAULT_ENABLE))]
    // SAFETY: As above.
    unsafe {
        jump_label::static_branch_unlikely!(bindings::rseq_debug_enabled)
    }
}

/// Switches debug mode.
///
/// May sleep.
pub(crate) fn set(on: bool) {
    // SAFETY: Has no requirements but process context.
    unsafe { bindings::rseq_control_debug(on) };
}
