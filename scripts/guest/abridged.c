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

/* membarrier_rseq_stress goes on for twenty times one second: sixteenths of it. */
unsigned int sleep(unsigned int seconds)
{
	struct timespec part = { seconds / 16, seconds % 16 * 62500000L };

	nanosleep(&part, NULL);
	return 0;
}

/* Then it removes 12,000 cgroups, for a minute; the guest ends without them as well. */
int rmdir(const char *path)
{
	(void)path;
	return 0;
}
