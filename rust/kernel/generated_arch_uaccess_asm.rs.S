/* SPDX-License-Identifier: GPL-2.0 */

/*
 * The assembly that opens and closes user access regions, in the words of the
 * C headers, for rust/kernel/uaccess/access/.
 */

#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/errno.h>
#include <asm/extable_fixup_types.h>

// Cut here.

/// Allows supervisor accesses to user memory, as `stac()` does.
macro_rules! asm_stac {
    () => { ::kernel::concat_literals!(ALTERNATIVE("", "stac", X86_FEATURE_SMAP)) };
}

/// Forbids supervisor accesses to user memory again, as `clac()` does.
macro_rules! asm_clac {
    () => { ::kernel::concat_literals!(ALTERNATIVE("", "clac", X86_FEATURE_SMAP)) };
}

/// Lets a fault of the user access at `1:` continue at `{fault}`.
macro_rules! asm_extable_label {
    () => { ::kernel::concat_literals!(_ASM_EXTABLE_UA(1b, {fault})) };
}

/// Lets a fault of the user access at label 1 to 4 set `%rcx` to `-EFAULT` and continue at `9:`.
macro_rules! asm_extable_rcx {
    (1) => { ::kernel::concat_literals!(_ASM_EXTABLE_TYPE(1b, 9b, EX_TYPE_EFAULT_REG | EX_DATA_REG(1))) };
    (2) => { ::kernel::concat_literals!(_ASM_EXTABLE_TYPE(2b, 9b, EX_TYPE_EFAULT_REG | EX_DATA_REG(1))) };
    (3) => { ::kernel::concat_literals!(_ASM_EXTABLE_TYPE(3b, 9b, EX_TYPE_EFAULT_REG | EX_DATA_REG(1))) };
    (4) => { ::kernel::concat_literals!(_ASM_EXTABLE_TYPE(4b, 9b, EX_TYPE_EFAULT_REG | EX_DATA_REG(1))) };
}

/// Lets a fault of the access to kernel memory at `1:` or `2:`, or a machine check, set `%rax` to the
/// number of the trap and continue at `9:`.
macro_rules! asm_extable_mc {
    (1) => { ::kernel::concat_literals!(_ASM_EXTABLE_TYPE(1b, 9b, EX_TYPE_FAULT_MCE_SAFE)) };
    (2) => { ::kernel::concat_literals!(_ASM_EXTABLE_TYPE(2b, 9b, EX_TYPE_FAULT_MCE_SAFE)) };
}

/// Loads `task_size_max()` into `{max}`.
macro_rules! asm_task_size_max {
    () => {
        ::kernel::concat_literals!(ALTERNATIVE("movabsq ${small}, {max}", "movabsq ${large}, {max}", X86_FEATURE_LA57))
    };
}
