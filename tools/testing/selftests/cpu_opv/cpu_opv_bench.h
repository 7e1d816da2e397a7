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

enum place_kind {
	PLACE_LOCAL	= 1,
	PLACE_IDLE	= 2,
	PLACE_BUSY	= 4,	/* with a task in user mode, which is interrupted */
	PLACE_OFFLINE	= 8,
	PLACE_MIGRATE	= 16,	/* as busy, but the caller goes there */
};

/**
 * struct place - where a vector has to run
 * @name: as reported
 * @kind: what there is to be measured
 * @cpu: its number
 * @samples: how many to take at most, up to MAX_SAMPLES
 * @setup: called before the first sample, or NULL
 * @teardown: called after the last sample, or NULL
 */
struct place {
	const char *name;
	enum place_kind kind;
	int cpu;
	unsigned int samples;
	void (*setup)(void);
	void (*teardown)(void);
};

#define MAX_SAMPLES	500

extern const struct place places[];
extern const size_t nr_places;

/* ---- cpu_opv_bench_measure.c ---- */

typedef uint64_t (*sample_fn)(const struct place *place, const void *arg);

/* Takes samples for @place, with the caller on HOME, and reports them as @what. */
void measure(const char *what, const struct place *place, sample_fn sample, const void *arg);
/* Returns the instructions of a call of @vector, for the CPU of @place or another target. */
uint64_t sample_call(const struct place *place, const void *vector);
uint64_t sample_flags(const struct place *place, const void *vector, int cpu, unsigned int flags);

/* ---- cpu_opv_bench_spinner.c ---- */

/* A CPU-bound task on AWAY: a thread of this process, or a process. */
void start_thread(void);
void stop_thread(void);
void start_process(void);
void stop_process(void);

/* ---- cpu_opv_bench_cids.c ---- */

/* For concurrency IDs instead of CPUs. */
void measure_cids(void);

/* ---- cpu_opv_bench_others.c ---- */

/* What a program would do instead. */
void init_others(void);
void measure_others(const struct place *place);

/* ---- cpu_opv_bench_interrupts.c ---- */

/* How often a call interrupts the CPU. */
void measure_interrupts(const struct place *place);

/* ---- cpu_opv_bench_threads.c ---- */

/* Calls in a second, of many threads. */
void measure_throughput(void);

/* ---- cpu_opv_bench_section.c ---- */

/* The longest time with interrupts off. */
void measure_section(void);

#endif /* CPU_OPV_BENCH_H */
