// SPDX-License-Identifier: GPL-2.0

#include <linux/rseq.h>
#include <linux/thread_info.h>

#ifdef CONFIG_RSEQ
__rust_helper void rust_helper_rseq_force_update(void)
{
	rseq_force_update();
}

__rust_helper void rust_helper_rseq_reset(struct task_struct *t)
{
	rseq_reset(t);
}
#endif

#ifdef CONFIG_RSEQ_SLICE_EXTENSION
__rust_helper void rust_helper_rseq_set_slice_work(struct task_struct *t)
{
	set_task_syscall_work(t, SYSCALL_RSEQ_SLICE);
}

__rust_helper void rust_helper_rseq_clear_slice_work(struct task_struct *t)
{
	clear_task_syscall_work(t, SYSCALL_RSEQ_SLICE);
}
#endif
