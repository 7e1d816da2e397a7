// SPDX-License-Identifier: GPL-2.0

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/topology.h>

__rust_helper int rust_helper_cond_resched(void)
{
	return cond_resched();
}

__rust_helper int rust_helper_fatal_signal_pending(struct task_struct *p)
{
	return fatal_signal_pending(p);
}

__rust_helper int rust_helper_task_mm_cid(struct task_struct *t)
{
	return task_mm_cid(t);
}

__rust_helper void rust_helper_set_need_resched_current(void)
{
	set_need_resched_current();
}

#ifndef CONFIG_USE_PERCPU_NUMA_NODE_ID
__rust_helper int rust_helper_cpu_to_node(int cpu)
{
	return cpu_to_node(cpu);
}
#endif
