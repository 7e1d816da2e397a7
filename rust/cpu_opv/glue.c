// SPDX-License-Identifier: GPL-2.0
/*
 * cpu_opv in Rust: what only C can define. The rest is in the crate beside this
 * file.
 */

#include <linux/cache.h>
#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/syscalls.h>
#include <linux/sysctl.h>

#include "glue.h"

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/cpu_opv.h>

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "cpu_opv."

SYSCALL_DEFINE4(cpu_opv, struct cpu_op __user *, vec, int, cnt, int, cpu,
		unsigned int, flags)
{
	return rust_cpu_opv(vec, cnt, cpu, flags);
}

unsigned int cpu_opv_remote __read_mostly = CPU_OPV_INTERRUPT;

static const char * const remote_names[] = {
	[CPU_OPV_INTERRUPT]	= "interrupt",
	[CPU_OPV_MIGRATE]	= "migrate",
};

static int set_remote(const char *name)
{
	int remote = sysfs_match_string(remote_names, name);

	if (remote < 0)
		return remote;
	WRITE_ONCE(cpu_opv_remote, remote);
	return 0;
}

static int remote_param_set(const char *name, const struct kernel_param *kp)
{
	return set_remote(name);
}

static const struct kernel_param_ops remote_param_ops = {
	.set = remote_param_set,
};
module_param_cb(remote, &remote_param_ops, NULL, 0);

static int sysctl_remote(const struct ctl_table *table, int write, void *buffer, size_t *lenp,
			 loff_t *ppos)
{
	/* Longer than any name, so that what is cut off is none. */
	char name[16];
	const struct ctl_table copy = { .data = name, .maxlen = sizeof(name) };
	int ret;

	strscpy(name, remote_names[READ_ONCE(cpu_opv_remote)]);
	ret = proc_dostring(&copy, write, buffer, lenp, ppos);
	if (ret || !write)
		return ret;
	return set_remote(name);
}

static const struct ctl_table cpu_opv_sysctls[] = {
	{
		.procname	= "cpu_opv_remote",
		.mode		= 0644,
		.proc_handler	= sysctl_remote,
	},
};

static int __init cpu_opv_init(void)
{
	register_sysctl_init("kernel", cpu_opv_sysctls);
	return rust_cpu_opv_init_debugfs();
}
device_initcall(cpu_opv_init);
