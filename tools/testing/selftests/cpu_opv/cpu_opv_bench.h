/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of cpu_opv_bench share. */
#ifndef CPU_OPV_BENCH_H
#define CPU_OPV_BENCH_H

#include "bench.h"
#include "cpu-op.h"

#ifndef __NR_cpu_opv
#define __NR_cpu_opv	473
#endif

#define NR_ELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* Where the caller is at the start of a call, and the CPU of remote calls. */
#define HOME	0
#define AWAY	1

/* What is written to CPU_OPV_REMOTE. */
#define CPU_OPV_REMOTE	"/proc/sys/kernel/cpu_opv_remote"
#define STRATEGY_SIZE	16
extern const char *const strategies[];
extern const size_t nr_strategies;
void read_strategy(char *name);
void set_strategy(const char *name);

/* ---- cpu_opv_bench_vectors.c: what is called ---- */

/* Aligned, so that the kernel always reads it from one page. */
struct vector {
	struct cpu_op ops[CPU_OP_VEC_LEN_MAX];
	int cnt;
	const char *name;
} __attribute__((aligned(1024)));

extern struct vector vectors[];
extern size_t nr_vectors;
void init_vectors(void);
const struct vector *find_vector(const char *name);

/* ---- cpu_opv_bench_places.c: for which CPU, and what that is doing ---- */

/**
 * struct place - where a vector has to run
 * @name: as reported
 * @cpus: of one call after the other; a sample is a call for each
 * @nr_cpus: how many those are
 * @samples: how many to take at most
 * @setup: called before the first sample, or NULL
 * @teardown: called after the last sample, or NULL
 */
struct place {
	const char *name;
	int cpus[2];
	unsigned int nr_cpus;
	unsigned int samples;
	void (*setup)(void);
	void (*teardown)(void);
};

#define MAX_SAMPLES	500

extern const struct place places[];
extern const size_t nr_places;

/* Puts the caller on HOME, free to run on AWAY. */
void go_home(void);
/* A CPU-bound thread of this process on AWAY. */
void start_spinner(void);
void stop_spinner(void);
/* Returns the instructions of calls of @vec for all CPUs of @place. */
uint64_t sample_vector(const struct vector *vec, const struct place *place);

/* ---- cpu_opv_bench_others.c ---- */

/* What a program would do instead. */
void measure_others(void);

/* ---- cpu_opv_bench_threads.c ---- */

/* Calls in a second, of many threads. */
void measure_throughput(void);

/* ---- cpu_opv_bench_section.c ---- */

/* The longest time without preemption. */
void measure_section(void);

#endif /* CPU_OPV_BENCH_H */
