// SPDX-License-Identifier: GPL-2.0

#include <linux/stop_machine.h>

#ifndef CONFIG_SMP
__rust_helper void
rust_helper_stop_one_cpu_nowait(unsigned int cpu, cpu_stop_fn_t fn, void *arg,
				struct cpu_stop_work *work_buf)
{
	stop_one_cpu_nowait(cpu, fn, arg, work_buf);
}
#endif
