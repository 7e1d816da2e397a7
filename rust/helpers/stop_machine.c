// SPDX-License-Identifier: GPL-2.0

#include <linux/stop_machine.h>

#ifndef CONFIG_SMP
__rust_helper int rust_helper_stop_one_cpu(unsigned int cpu, cpu_stop_fn_t fn,
					   void *arg)
{
	return stop_one_cpu(cpu, fn, arg);
}
#endif
