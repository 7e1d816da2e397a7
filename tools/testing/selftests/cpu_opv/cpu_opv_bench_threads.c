// SPDX-License-Identifier: GPL-2.0
/* How many calls in a second many threads get done. */
#include "cpu_opv_bench.h"
#include <errno.h>
#include <time.h>

#define MAX_THREADS	64
#define ROUNDS		5
#define ROUND_USECS	100000

static const unsigned int crowds[] = { 2, 8, MAX_THREADS };

static struct worker {
	pthread_t thread;
	int cpu;		/* of the next call */
	unsigned long calls;
	intptr_t counter __attribute__((aligned(64)));
} workers[MAX_THREADS];

static pthread_barrier_t start;
static int nr_cpus;
static bool stop;

/* A vector for one CPU after the other. */
static void *work(void *arg)
{
	struct worker *self = arg;
	struct cpu_op op = cpu_op_plus(&self->counter, 1, sizeof(self->counter));

	pthread_barrier_wait(&start);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		long ret = bench_syscall(__NR_cpu_opv, (long)&op, 1, self->cpu, 0);

		if (ret == -EAGAIN)
			continue;
		if (ret)
			errx(1, "cpu_opv for CPU %d: %s", self->cpu, strerror(-ret));
		self->calls++;
		self->cpu = (self->cpu + 1) % nr_cpus;
	}
	return NULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Returns calls in a second of @n threads together. */
static uint64_t sample(unsigned int n)
{
	unsigned long calls = 0;
	double begin;

	stop = false;
	pthread_barrier_init(&start, NULL, n + 1);
	for (unsigned int i = 0; i < n; i++) {
		workers[i] = (struct worker) { .cpu = i % nr_cpus };
		workers[i].thread = bench_thread(work, &workers[i]);
	}
	pthread_barrier_wait(&start);
	begin = now();
	usleep(ROUND_USECS);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		if ((unsigned long)workers[i].counter != workers[i].calls)
			errx(1, "%ld additions of %lu", (long)workers[i].counter, workers[i].calls);
		calls += workers[i].calls;
	}
	begin = now() - begin;
	pthread_barrier_destroy(&start);
	return calls / begin;
}

/* Numbers of threads take turns, so that what else this machine does concerns all of them. */
static void measure(const char *strategy)
{
	uint64_t samples[NR_ELEMS(crowds)][ROUNDS];
	char name[64];

	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < NR_ELEMS(crowds); i++)
			samples[i][round] = sample(crowds[i]);
	}
	for (size_t i = 0; i < NR_ELEMS(crowds); i++) {
		snprintf(name, sizeof(name), "throughput/%u-threads/%s", crowds[i], strategy);
		bench_report(name, samples[i], ROUNDS, 1);
	}
}

void measure_throughput(void)
{
	char default_strategy[STRATEGY_SIZE];

	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	read_strategy(default_strategy);
	for (size_t s = 0; s < nr_strategies; s++) {
		set_strategy(strategies[s]);
		measure(strategies[s]);
	}
	set_strategy(default_strategy);
}
