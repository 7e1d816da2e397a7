// SPDX-License-Identifier: GPL-2.0
/*
 * What cpu_opv(2) costs. See bench.h for how and where to run it:
 *
 * "cpu_opv_bench instructions", on two CPUs that count instructions: every vector, for a CPU in
 * every state and for concurrency IDs, what a program would do instead, and how often the CPU is
 * interrupted. Prints results WHAT/WHERE.
 *
 * "cpu_opv_bench section", on CPUs that count instructions and a kernel with CONFIG_CPU_OPV_STATS:
 * how much of the longest call has interrupts off.
 *
 * "cpu_opv_bench throughput", on any number of CPUs: calls in a second of many threads.
 *
 * The caller is an ordinary task, which waits for its turn like others, and which the C library
 * has registered for rseq.
 */
#include "cpu_opv_bench.h"

static uint64_t sample_unit(const struct place *place, const void *arg)
{
	return bench_getppid();
}

static void measure_place(const struct place *place)
{
	if (place->setup)
		place->setup();
	for (size_t i = 0; i < nr_vectors; i++)
		measure(vectors[i].name, place, sample_call, &vectors[i]);
	measure_others(place);
	measure_interrupts(place);
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
	if (sysconf(_SC_NPROCESSORS_ONLN) != 2)
		errx(1, "needs two CPUs");
	measure("getppid", &places[0], sample_unit, NULL);
	bench_thread(wait_forever, NULL);
	init_others();
	for (size_t i = 0; i < nr_places; i++)
		measure_place(&places[i]);
	/* At last: fork(2) makes pins dearer. */
	measure_cids();
}

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";

	if (strcmp(mode, "instructions") && strcmp(mode, "section") && strcmp(mode, "throughput"))
		errx(2, "usage: cpu_opv_bench instructions|section|throughput");
	if (bench_syscall(__NR_cpu_opv, 0, 0, 0, CPU_OP_NR_FLAG) < NR_CPU_OPS)
		errx(1, "the kernel has no cpu_opv(2): is CONFIG_CPU_OPV off?");

	if (!strcmp(mode, "throughput")) {
		measure_throughput();
		return 0;
	}
	bench_init();
	init_vectors();
	bench_pin(HOME);
	if (!strcmp(mode, "section"))
		measure_section();
	else
		measure_instructions();
	return 0;
}
