/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of rseq_bench share. */
#ifndef RSEQ_BENCH_H
#define RSEQ_BENCH_H

#include "bench.h"
#include "rseq-abi.h"

#define RSEQ_BENCH_SIG	0x53053053

/* The registration of the tasks that are measured. */
enum mode { UNREGISTERED, V1, V2, V2_SLICE, NR_MODES };

/* Where the task is when it is interrupted, as far as rseq_abi::rseq_cs tells. */
enum section {
	NO_SECTION,	/* rseq_cs is NULL. */
	STALE,		/* rseq_cs names a section that the task has left. */
	INSIDE,		/* In a section, which is to be aborted. */
};

/**
 * struct event - something that is measured
 * @name: as reported
 * @cpus: how many must be online, 1 or 2
 * @modes: bit mask of enum mode
 * @per_sample: how many events a sample holds
 * @section: for events that interrupt the task
 * @setup: called before the task is registered
 * @sample: returns the number of instructions, or 0 if the event did not come as it should
 * @teardown: called after the last sample
 */
struct event {
	const char *name;
	unsigned int cpus;
	unsigned int modes;
	unsigned int per_sample;
	enum section section;
	void (*setup)(void);
	uint64_t (*sample)(const struct event *event);
	void (*teardown)(void);
};

extern enum mode mode;
extern struct rseq_abi area;

void rseq_register(struct rseq_abi *area);
void rseq_unregister(struct rseq_abi *area);

/* rseq_bench_syscall.c: events that the task brings about by a system call */
uint64_t sample_syscall(const struct event *event);
uint64_t sample_registration(const struct event *event);
uint64_t sample_migration(const struct event *event);
void setup_signal(void);
uint64_t sample_signal(const struct event *event);
void setup_yield(void);
uint64_t sample_yield(const struct event *event);
void teardown_yield(void);

/* rseq_bench_irq.c: events that interrupt the task in user mode */
void init_irq(void);
void setup_interrupt(void);
uint64_t sample_interrupt(const struct event *event);
void teardown_interrupt(void);
void setup_signal_timer(void);
uint64_t sample_signal_timer(const struct event *event);
void teardown_signal_timer(void);
void setup_preemption(void);
uint64_t sample_preemption(const struct event *event);
void teardown_preemption(void);
void setup_slice(void);
uint64_t sample_slice_yield(const struct event *event);
uint64_t sample_slice_expiry(const struct event *event);
void setup_forced_migration(void);
uint64_t sample_forced_migration(const struct event *event);
void teardown_forced_migration(void);

#endif /* RSEQ_BENCH_H */
