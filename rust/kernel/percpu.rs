// SPDX-License-Identifier: GPL-2.0

//! Per-CPU variables defined by C.
//!
//! C headers: [`include/linux/percpu-defs.h`](srctree/include/linux/percpu-defs.h),
//! [`include/asm-generic/percpu.h`](srctree/include/asm-generic/percpu.h)

use crate::cpu::CpuId;
use core::ptr::with_exposed_provenance_mut;

/// Returns the instance of a per-CPU variable that belongs to `cpu`.
///
/// `variable` is the address of a static variable that C defines with `DEFINE_PER_CPU()`. Whether
/// and how the instance may be accessed is between the caller and the owner of the variable; an
/// instance of another CPU is never the exclusive property of the caller.
///
/// # Safety
///
/// `variable` must be the address of a static per-CPU variable.
#[inline(always)]
pub unsafe fn per_cpu_ptr<T>(variable: *const T, cpu: CpuId) -> *mut T {
    #[cfg(CONFIG_SMP)]
    let offset = {
        let offsets: *const usize = core::ptr::addr_of!(bindings::__per_cpu_offset).cast();

        // SAFETY: There is one offset for each of the `NR_CPUS` CPUs, constant after early boot,
        // and a `CpuId` is less than that.
        unsafe { *offsets.wrapping_add(cpu.as_u32() as usize) }
    };
    #[cfg(not(CONFIG_SMP))]
    let offset = {
        let _ = cpu;
        0
    };

    // The instance lies outside of the static variable, like what `RELOC_HIDE()` returns.
    with_exposed_provenance_mut(variable.expose_provenance().wrapping_add(offset))
}
