// SPDX-License-Identifier: GPL-2.0
/*
 * Taking samples.
 *
 * What is counted is what all CPUs execute from the start of a call to its end: for a CPU that is
 * interrupted also its way into the interrupt and back, and what its task executes while the caller
 * waits. That is how long a call takes when nothing is done in parallel: real CPUs would overlap
 * the ends of those ways.
 */
#include "cpu_opv_bench.h"
#include <errno.h>

/* Instructions after which no more samples are taken: each can be a time slice of another task. */
#define MAX_SUM		100000000

/*
 * Puts the caller on HOME, free to run on AWAY. That comes to rest, or does what it has missed
 * while HOME executed: QEMU executes the CPUs in turn.
 */
static void go_home(const struct place *place)
{
	cpu_set_t set;

	bench_pin(HOME);
	CPU_ZERO(&set);
	CPU_SET(HOME, &set);
	CPU_SET(AWAY, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
	if (place->kind != PLACE_LOCAL) {
		bench_rest();
		bench_relax();
	}
}

void measure(const char *what, const struct place *place, sample_fn sample, const void *arg)
{
	static uint64_t samples[MAX_SAMPLES];
	uint64_t sum = 0;
	char name[80];
	size_t i;

	for (i = 0; i < place->samples && sum < MAX_SUM; i++) {
		go_home(place);
		samples[i] = sample(place, arg);
		sum += samples[i];
	}
	snprintf(name, sizeof(name), "%s/%s", what, place->name);
	bench_report(name, samples, i, 1);
}

uint64_t sample_flags(const struct place *place, const void *vector, int cpu, unsigned int flags)
{
	const struct vector *vec = vector;
	uint64_t start, sum = 0;
	long ret;

	do {
		start = bench_count();
		ret = bench_syscall(__NR_cpu_opv, (long)vec->ops, vec->cnt, cpu, flags);
		sum += bench_since(start);
	} while (ret == -EAGAIN);	/* it was moved away from the CPU: part of the cost */
	if (ret)
		errx(1, "%s, %s: %s", vec->name, place->name,
		     ret < 0 ? strerror(-ret) : "stopped");
	return sum;
}

uint64_t sample_call(const struct place *place, const void *vector)
{
	return sample_flags(place, vector, place->cpu, 0);
}
