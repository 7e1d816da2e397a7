// SPDX-License-Identifier: GPL-2.0
/* Events that the task brings about by a system call: the kernel is left by that call's exit. */
#include "rseq_bench.h"
#include <signal.h>

uint64_t sample_syscall(const struct event *event)
{
	return bench_getppid();
}

uint64_t sample_registration(const struct event *event)
{
	uint64_t start;

	rseq_unregister(&area);
	start = bench_count();
	rseq_register(&area);
	rseq_unregister(&area);
	start = bench_since(start);
	rseq_register(&area);
	return start;
}

static void ignore_signal(int sig)
{
}

void setup_signal(void)
{
	signal(SIGUSR1, ignore_signal);
}

uint64_t sample_signal(const struct event *event)
{
	pid_t pid = getpid(), tid = gettid();
	uint64_t start = bench_count();

	bench_syscall(__NR_tgkill, pid, tid, SIGUSR1, 0);
	return bench_since(start);
}

static pthread_t yielder;
static bool yielding, stop;

static void *yield(void *arg)
{
	static struct rseq_abi area;

	rseq_register(&area);
	bench_realtime(1);
	__atomic_store_n(&yielding, true, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		bench_syscall(__NR_sched_yield, 0, 0, 0, 0);
	rseq_unregister(&area);
	return NULL;
}

void setup_yield(void)
{
	stop = false;
	yielding = false;
	yielder = bench_thread(yield, NULL);
	while (!__atomic_load_n(&yielding, __ATOMIC_RELAXED))
		sched_yield();
}

uint64_t sample_yield(const struct event *event)
{
	uint64_t start = bench_count();

	bench_syscall(__NR_sched_yield, 0, 0, 0, 0);
	return bench_since(start);
}

void teardown_yield(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(yielder, NULL);
}

uint64_t sample_migration(const struct event *event)
{
	int cpu = !sched_getcpu();
	cpu_set_t other;
	uint64_t start;

	CPU_ZERO(&other);
	CPU_SET(cpu, &other);
	start = bench_count();
	bench_syscall(__NR_sched_setaffinity, 0, sizeof(other), (long)&other, 0);
	start = bench_since(start);
	if (sched_getcpu() != cpu)
		errx(1, "%s: not migrated", event->name);
	bench_rest();
	return start;
}
