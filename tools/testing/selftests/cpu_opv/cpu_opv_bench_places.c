// SPDX-License-Identifier: GPL-2.0
/*
 * Where the vectors of cpu_opv_bench have to run.
 *
 * What is counted is what all CPUs execute from the start of a call to its end: for a remote call
 * also the other CPU's way out of idle and back, and what a spinner there executes while the caller
 * waits. That is how long a call takes when nothing is done in parallel: real CPUs would overlap
 * the ends of those ways.
 */
#include "cpu_opv_bench.h"
#include <errno.h>

#define ONLINE	"/sys/devices/system/cpu/cpu1/online"

static pthread_t spinner;
static unsigned long rounds;
static bool stop;

void go_home(void)
{
	cpu_set_t set;

	bench_pin(HOME);
	CPU_ZERO(&set);
	CPU_SET(HOME, &set);
	CPU_SET(AWAY, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
}

/*
 * QEMU executes the CPUs in turn, each until it idles, its share of the time to the next timer is
 * over, or it executes a pause. Without pauses, a caller that has been woken would wait until a
 * spinner on another CPU has used up its share, half a millisecond.
 */
static void *spin(void *arg)
{
	bench_pin(AWAY);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
		bench_loop(200);
		bench_relax();
	}
	return NULL;
}

void start_spinner(void)
{
	stop = false;
	rounds = 0;
	spinner = bench_thread(spin, NULL);
	while (!__atomic_load_n(&rounds, __ATOMIC_RELAXED))
		bench_rest();
}

void stop_spinner(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(spinner, NULL);
}

static void take_offline(void)
{
	if (!bench_write(ONLINE, "0"))
		err(1, "%s", ONLINE);
}

static void take_online(void)
{
	bench_write(ONLINE, "1");
	usleep(10000);
}

const struct place places[] = {
	{ "local", { HOME }, 1, MAX_SAMPLES, NULL, NULL },
	{ "remote-idle", { AWAY }, 1, 200, NULL, NULL },
	{ "remote-busy", { AWAY }, 1, 200, start_spinner, stop_spinner },
	{ "alternating", { AWAY, HOME }, 2, 200, NULL, NULL },
	{ "offline", { AWAY }, 1, MAX_SAMPLES, take_offline, take_online },
};

const size_t nr_places = NR_ELEMS(places);

static uint64_t call(const struct vector *vec, int cpu)
{
	uint64_t start, sum = 0;
	long ret;

	do {
		start = bench_count();
		ret = bench_syscall(__NR_cpu_opv, (long)vec->ops, vec->cnt, cpu, 0);
		sum += bench_since(start);
	} while (ret == -EAGAIN);	/* it was moved away from the CPU: part of the cost */
	if (ret)
		errx(1, "%s for CPU %d: %ld", vec->name, cpu, ret);
	return sum;
}

uint64_t sample_vector(const struct vector *vec, const struct place *place)
{
	uint64_t sum = 0;

	if (sched_getcpu() != HOME)
		go_home();
	if (place->cpus[0] != HOME)
		bench_rest();
	for (unsigned int i = 0; i < place->nr_cpus; i++)
		sum += call(vec, place->cpus[i]);
	return sum;
}
