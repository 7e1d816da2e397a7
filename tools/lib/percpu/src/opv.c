// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* cpu_opv(2): whether it is there, and the call. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <percpu/cpu_opv.h>

#include "internal.h"

#ifndef SYS_cpu_opv
#define SYS_cpu_opv	473
#endif

/* By mode, how many operations it has: 0 is not known yet, < 0 is none. */
static int operations[2];

static int sys_cpu_opv(struct cpu_op *vec, int cnt, int cpu, unsigned int flags)
{
	return syscall(SYS_cpu_opv, vec, cnt, cpu, flags);
}

/* Kernels without it say ENOSYS, sandboxes what they like: any failure is a no. */
static int ask(enum rseq_percpu_mode mode)
{
	int known = sys_cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG);
	int flags;

	if (known < NR_CPU_OPS)
		return -1;
	if (mode == RSEQ_PERCPU_CPU_ID)
		return known;
	flags = sys_cpu_opv(NULL, 0, 0, CPU_OP_FLAGS_FLAG);
	return flags > 0 && (flags & CPU_OP_MM_CID_FLAG) ? known : -1;
}

int percpu_opv_operations(enum rseq_percpu_mode mode)
{
	int known = __atomic_load_n(&operations[mode], __ATOMIC_RELAXED);

	if (!known) {
		int saved = errno;

		known = percpu_policy()->no_cpu_opv ? -1 : ask(mode);
		__atomic_store_n(&operations[mode], known, __ATOMIC_RELAXED);
		errno = saved;
	}
	return known > 0 ? known : 0;
}

int percpu_opv(enum rseq_percpu_mode mode, struct cpu_op *vec, int cnt, int index)
{
	int ret;

	if (!percpu_opv_operations(mode)) {
		errno = ENOSYS;
		return -1;
	}
	ret = sys_cpu_opv(vec, cnt, index, mode == RSEQ_PERCPU_MM_CID ? CPU_OP_MM_CID_FLAG : 0);
	/* The call never fails like this: it is a sandbox that was set up later. */
	if (ret < 0 && (errno == ENOSYS || errno == EPERM)) {
		__atomic_store_n(&operations[mode], -1, __ATOMIC_RELAXED);
		errno = ENOSYS;
	}
	return ret;
}
