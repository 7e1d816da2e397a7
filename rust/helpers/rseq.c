// SPDX-License-Identifier: GPL-2.0

#include <linux/cleanup.h>
#include <linux/irqflags.h>
#include <linux/rseq.h>
#include <linux/sched.h>
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

/*
 * No interrupt may come between the two bits, of the task and of the CPU. With
 * interrupts off in C: the guard of Rust counts, which costs more than all of it.
 */
__rust_helper void rust_helper_rseq_slice_clear_need_resched(struct task_struct *t)
{
	guard(irq)();
	clear_tsk_need_resched(t);
	clear_preempt_need_resched();
}

__rust_helper void rust_helper_rseq_slice_set_need_resched(void)
{
	guard(irq)();
	set_need_resched_current();
}
#endif
