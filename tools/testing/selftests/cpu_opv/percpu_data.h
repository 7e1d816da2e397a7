/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Per-CPU data that many threads, of one process or of several, change at the same time: two
 * counters, a list and a ring buffer for each CPU, or for each concurrency ID of one process. A
 * change that another one interferes with leaves a trace: a sum is wrong, a node is lost or has
 * two owners, a record is overwritten.
 */
#ifndef PERCPU_DATA_H
#define PERCPU_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "percpu_used.h"
#include "rseq.h"

#define PERCPU_NODES	24	/* in the list of a slot at first */
#define PERCPU_RECORDS	64	/* that a ring buffer can have */

enum percpu_what { PERCPU_COUNTER, PERCPU_LIST, PERCPU_RING };

struct percpu_node {
	struct percpu_node *next;
	bool owned;			/* by a thread: not in a list */
	bool seen;			/* by the final check */
};

/* Of a size that makes some of them cross pages. */
struct percpu_record {
	intptr_t position;
	uint32_t value;
	uint32_t words[21];		/* made of the others */
};

struct percpu_slot {
	intptr_t count;			/* is read, compared and stored back, or added to */
	intptr_t added;			/* is added to only */
	struct percpu_node *head;
	intptr_t put, taken;		/* records, since the start */
	struct percpu_record ring[PERCPU_RECORDS];
	struct percpu_node nodes[PERCPU_NODES];
} __attribute__((aligned(4096)));

/* What was done, by a thread or by all. */
struct percpu_sums {
	long rounds;
	long increments, additions;
	long puts, takes;
	unsigned long put_values, taken_values;
	long two_owners, overwritten;
	long retries;			/* EAGAIN of cpu_opv, and sequences that were aborted */
	long refusals;			/* ENXIO of cpu_opv */
};

/* Shared by all processes that are forked later. */
struct percpu_data {
	struct timespec start;
	int error;			/* first one that ended a thread */
	int working;			/* for the test: threads that the others wait for */
	struct percpu_sums sums;
	size_t nodes;			/* that there are */
	enum rseq_percpu_mode mode;	/* what the slots are indexed by */
	int nr_slots;
	struct percpu_slot slots[];
};

/* How to change it; returns as in percpu-op.h. */
struct percpu_ops {
	int (*addv)(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index);
	int (*cmpeqv_storev)(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
			     intptr_t newv, int index);
	/* cmpnev_storeoffp_load: sequences need the offset as a constant. */
	int (*pop)(enum rseq_percpu_mode mode, struct percpu_node **head,
		   struct percpu_node **node, int index);
	int (*cmpeqv_memcpy_storev)(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				    void *dst, void *src, size_t len, intptr_t newv, int index);
};

extern const struct percpu_ops percpu_by_rseq;		/* EAGAIN if it was aborted */
extern const struct percpu_ops percpu_by_cpu_opv;
extern const struct percpu_ops percpu_by_either;	/* percpu-op.h */

/* How many loops a sequence makes where it matters, if it can. */
extern int percpu_delay;

/* A thread's share in the work; signal handlers have one of their own. */
struct percpu_worker {
	const struct percpu_ops *ops;
	struct percpu_data *data;
	int (*where)(struct percpu_worker *w);	/* index for the next attempt; NULL: its own */
	int max_failures;		/* of one operation, one after the other; 0: many */
	unsigned int seed;
	struct percpu_sums sums;
};

/* NULL if there is no memory. Lists from @first to @last get nodes. */
struct percpu_data *percpu_create(enum rseq_percpu_mode mode, int first, int last);

/* Before the first round, where percpu_go_on() is used. */
void percpu_start(struct percpu_data *data);

/*
 * Whether to do another round: not if that was @enough, unless it took so little time that
 * nothing can have happened; not if it takes too long or something went wrong.
 */
bool percpu_go_on(const struct percpu_data *data, bool enough);

/* One round of work, to its end. Returns whether that was possible. */
bool percpu_round(struct percpu_worker *w, enum percpu_what what);

/* Adds what @w did to what all did. */
void percpu_account(const struct percpu_worker *w);

/* When all is done, and only once: "", or what is wrong. */
const char *percpu_check(struct percpu_data *data);

#endif /* PERCPU_DATA_H */
