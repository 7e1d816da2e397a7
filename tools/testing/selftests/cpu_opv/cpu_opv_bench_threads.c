// SPDX-License-Identifier: GPL-2.0
/*
 * How many calls in a second many threads get done. A second of CPUs that count instructions is a
 * billion instructions, of all of them. The data of all CPUs is in one huge page.
 */
#include "cpu_opv_bench.h"
#include <errno.h>
#include <time.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define HUGE		(2UL << 20)
#define STRIDE		4096
#define MAX_THREADS	64
#define ROUNDS		5
#define WARM_UP_USECS	20000
#define ROUND_USECS	100000

static const unsigned int crowds[] = { 2, 8, MAX_THREADS };

struct pattern {
	const char *name;
	int (*next)(int cpu);	/* for which CPU to call after @cpu */
};

static struct worker {
	pthread_t thread;
	unsigned long calls __attribute__((aligned(64)));
} workers[MAX_THREADS];

static const struct pattern *pattern;
static pthread_barrier_t start;
static char *data;
static int nr_cpus;
static bool stop;

static intptr_t *counter(int cpu)
{
	return (intptr_t *)(data + STRIDE * cpu);
}

static int own(int cpu)
{
	return sched_getcpu();
}

static int any(int cpu)
{
	return (cpu + 1) % nr_cpus;
}

static const struct pattern patterns[] = { { "own-cpu", own }, { "any-cpu", any } };

static void *work(void *arg)
{
	struct worker *self = arg;
	int cpu = self - workers;

	pthread_barrier_wait(&start);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct cpu_op op;
		long ret;

		cpu = pattern->next(cpu);
		op = cpu_op_plus(counter(cpu), 1, sizeof(intptr_t));
		do {
			ret = bench_syscall(__NR_cpu_opv, (long)&op, 1, cpu, 0);
		} while (ret == -EAGAIN);
		if (ret)
			errx(1, "cpu_opv for CPU %d: %s", cpu, strerror(-ret));
		__atomic_store_n(&self->calls, self->calls + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static unsigned long calls_of(unsigned int n)
{
	unsigned long calls = 0;

	for (unsigned int i = 0; i < n; i++)
		calls += __atomic_load_n(&workers[i].calls, __ATOMIC_RELAXED);
	return calls;
}

/* Exits unless the data says that calls of @n threads did what they have to. */
static void check_data(unsigned int n)
{
	intptr_t sum = 0;

	for (int cpu = 0; cpu < nr_cpus; cpu++)
		sum += *counter(cpu);
	if (sum != (intptr_t)calls_of(n))
		errx(1, "%ld additions of %lu", (long)sum, calls_of(n));
}

/* Returns calls in a second of @n threads together, without their beginning and their end. */
static uint64_t sample(unsigned int n)
{
	unsigned long calls;
	double begin, end;

	stop = false;
	memset(data, 0, HUGE);
	pthread_barrier_init(&start, NULL, n + 1);
	for (unsigned int i = 0; i < n; i++) {
		workers[i].calls = 0;
		workers[i].thread = bench_thread(work, &workers[i]);
	}
	pthread_barrier_wait(&start);
	usleep(WARM_UP_USECS);
	calls = calls_of(n);
	begin = now();
	usleep(ROUND_USECS);
	calls = calls_of(n) - calls;
	end = now();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&start);
	check_data(n);
	return calls / (end - begin);
}

/* Numbers of threads take turns, so that what else this machine does concerns all of them. */
static void measure_pattern(void)
{
	uint64_t samples[NR_ELEMS(crowds)][ROUNDS];
	char name[64];

	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < NR_ELEMS(crowds); i++)
			samples[i][round] = sample(crowds[i]);
	}
	for (size_t i = 0; i < NR_ELEMS(crowds); i++) {
		snprintf(name, sizeof(name), "%s/%u-threads", pattern->name, crowds[i]);
		bench_report(name, samples[i], ROUNDS, 1);
	}
}

static void map_huge_page(void)
{
	char *p = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	data = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	memset(data, 0, HUGE);
	if (madvise(data, HUGE, MADV_COLLAPSE))
		err(1, "no huge page");
}

void measure_throughput(void)
{
	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	map_huge_page();
	for (size_t i = 0; i < NR_ELEMS(patterns); i++) {
		pattern = &patterns[i];
		measure_pattern();
	}
}
