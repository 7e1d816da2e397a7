// SPDX-License-Identifier: GPL-2.0
/*
 * What cpu_opv(2) costs. See bench.h for how and where to run it:
 *
 * "cpu_opv_bench instructions", on two CPUs that count instructions: every vector, for a CPU in
 * every state, by every way to reach it, and what a program would do instead. Prints results
 * NAME/WHERE/STRATEGY, or NAME/WHERE if there is only one way.
 *
 * "cpu_opv_bench section", on CPUs that count instructions and a kernel with CONFIG_CPU_OPV_STATS:
 * how much of the longest call cannot be preempted.
 *
 * "cpu_opv_bench throughput", on any number of CPUs, without counting: calls in a second.
 *
 * The caller is an ordinary task, which waits for its turn like others, and which the C library
 * has registered for rseq.
 */
#include "cpu_opv_bench.h"

/* Instructions after which no more samples are taken. */
#define MAX_SUM		100000000

const char *const strategies[] = { "migrate", "stop" };
const size_t nr_strategies = NR_ELEMS(strategies);

/* @name: STRATEGY_SIZE bytes */
void read_strategy(char *name)
{
	FILE *f = fopen(CPU_OPV_REMOTE, "r");

	if (!f || !fgets(name, STRATEGY_SIZE, f) || fclose(f))
		err(1, "%s", CPU_OPV_REMOTE);
	name[strcspn(name, "\n")] = 0;
}

void set_strategy(const char *name)
{
	if (!bench_write(CPU_OPV_REMOTE, name))
		err(1, "%s", CPU_OPV_REMOTE);
}

static void measure_unit(void)
{
	static uint64_t samples[MAX_SAMPLES];

	for (size_t i = 0; i < MAX_SAMPLES; i++)
		samples[i] = bench_getppid();
	bench_report("getppid/local", samples, MAX_SAMPLES, 1);
}

/* Fewer samples will do where each is a time slice of another task. */
static void measure_vector(const struct vector *vec, const struct place *place,
			   const char *strategy)
{
	static uint64_t samples[MAX_SAMPLES];
	uint64_t sum = 0;
	char name[80];
	size_t i;

	for (i = 0; i < place->samples && sum < MAX_SUM; i++) {
		samples[i] = sample_vector(vec, place);
		sum += samples[i];
	}
	snprintf(name, sizeof(name), "%s/%s/%s", vec->name, place->name, strategy);
	bench_report(name, samples, i, place->nr_cpus);
}

static void measure_place(const struct place *place, const char *strategy)
{
	if (place->setup)
		place->setup();
	for (size_t i = 0; i < nr_vectors; i++)
		measure_vector(&vectors[i], place, strategy);
	if (place->teardown)
		place->teardown();
}

/* A process with one thread would be a special case for membarrier(2). */
static void *wait_forever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void measure_instructions(void)
{
	char default_strategy[STRATEGY_SIZE];

	if (sysconf(_SC_NPROCESSORS_ONLN) != 2)
		errx(1, "needs two CPUs");
	bench_thread(wait_forever, NULL);
	read_strategy(default_strategy);
	measure_unit();
	for (size_t s = 0; s < nr_strategies; s++) {
		set_strategy(strategies[s]);
		for (size_t i = 0; i < nr_places; i++)
			measure_place(&places[i], strategies[s]);
	}
	set_strategy(default_strategy);
	measure_others();
}

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";
	char strategy[STRATEGY_SIZE];

	if (strcmp(mode, "instructions") && strcmp(mode, "section") && strcmp(mode, "throughput"))
		errx(2, "usage: cpu_opv_bench instructions|section|throughput");
	if (bench_syscall(__NR_cpu_opv, 0, 0, 0, CPU_OP_NR_FLAG) < NR_CPU_OPS)
		errx(1, "the kernel has no cpu_opv(2): is CONFIG_CPU_OPV off?");
	read_strategy(strategy);
	printf("default %s\n", strategy);

	if (!strcmp(mode, "throughput")) {
		measure_throughput();
		return 0;
	}
	bench_init();
	init_vectors();
	go_home();
	if (!strcmp(mode, "section"))
		measure_section();
	else
		measure_instructions();
	return 0;
}
