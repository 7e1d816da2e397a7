// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! What is different for each architecture: one file.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("percpu has no sequences for this target: write src/arch/<architecture>.rs");
