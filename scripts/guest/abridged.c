// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into tests of the kernel tree that take very long on emulated CPUs.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * basic_percpu_ops_test yields twenty million times "to encourage shuffling", for a quarter
 * of an hour. One call in a hundred is passed on.
 */
int sched_yield(void)
{
	static _Thread_local unsigned int calls;

	if (++calls % 100)
		return 0;
	return syscall(SYS_sched_yield);
}

/* membarrier_rseq_stress goes on for twenty times one second: quarters of it. */
unsigned int sleep(unsigned int seconds)
{
	struct timespec quarter = { seconds / 4, seconds % 4 * 250000000L };

	nanosleep(&quarter, NULL);
	return 0;
}
