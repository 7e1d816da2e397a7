// SPDX-License-Identifier: GPL-2.0
/*
 * Restartable sequences in Rust: what only C can define. The rest of rseq is
 * in the crate beside this file.
 */

#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/kstrtox.h>
#include <linux/percpu.h>
#include <linux/rseq_entry.h>
#include <linux/syscalls.h>

#include "glue.h"

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/rseq.h>

DEFINE_STATIC_KEY_MAYBE(CONFIG_RSEQ_DEBUG_DEFAULT_ENABLE, rseq_debug_enabled);

void rseq_control_debug(bool on)
{
	if (on)
		static_branch_enable(&rseq_debug_enabled);
	else
		static_branch_disable(&rseq_debug_enabled);
}

static int __init rseq_setup_debug(char *str)
{
	bool on;

	if (kstrtobool(str, &on))
		return -EINVAL;
	rseq_control_debug(on);
	return 1;
}
__setup("rseq_debug=", rseq_setup_debug);

#ifdef CONFIG_RSEQ_STATS
DEFINE_PER_CPU(struct rseq_stats, rseq_stats);

/* @position: index of the counter in struct rseq_stats, see stats.rs */
void rseq_stats_inc(u32 position)
{
	this_cpu_inc(*((unsigned long __percpu *)&rseq_stats + position));
}
#endif

SYSCALL_DEFINE4(rseq, struct rseq __user *, rseq, u32, rseq_len, int, flags, u32, sig)
{
	return rust_rseq(rseq, rseq_len, flags, sig);
}

#ifdef CONFIG_RSEQ_SLICE_EXTENSION
DEFINE_PER_CPU(struct rseq_slice_timer, rseq_slice_timer);
DEFINE_STATIC_KEY_TRUE(rseq_slice_extension_key);

static int __init rseq_slice_cmdline(char *str)
{
	bool on;

	if (kstrtobool(str, &on))
		return 0;

	if (!on)
		static_branch_disable(&rseq_slice_extension_key);
	return 1;
}
__setup("rseq_slice_ext=", rseq_slice_cmdline);

SYSCALL_DEFINE0(rseq_slice_yield)
{
	return rust_rseq_slice_yield();
}
#endif

device_initcall(rust_rseq_init);
