// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into basic_percpu_ops_test, which calls sched_yield() twenty million times
 * "to encourage shuffling": an emulated CPU would need a quarter of an hour for that.
 * One call in a hundred is passed on.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

int sched_yield(void)
{
	static _Thread_local unsigned int calls;

	if (++calls % 100)
		return 0;
	return syscall(SYS_sched_yield);
}
