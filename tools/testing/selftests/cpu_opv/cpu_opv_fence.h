/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of cpu_opv(2): a thread in a restartable sequence, which must not end as if nothing had
 * happened if it was entered before a fence.
 */
#ifndef CPU_OPV_FENCE_H
#define CPU_OPV_FENCE_H

#include <pthread.h>

#include "cpu_opv_test.h"

struct rseq_abi;

struct fence {
	int cpu;		/* of the thread */
	struct rseq_abi *area;	/* of the thread */
	pthread_t thread;

	volatile int round;	/* to the thread: go into the section, -1: end */
	volatile int gen;	/* what the section loads */
	volatile int inside;	/* it has done so */
	volatile int go;	/* to the section: store it, and end */
	volatile int committed;
	volatile int done;	/* the last round that ended */
	bool no_rseq;
};

/* A thread on @cpu. Returns why it cannot be, or NULL. */
const char *fence_start(struct fence *f, int cpu);
void fence_stop(struct fence *f);

/*
 * When fence_enter() returns, it is in the section. fence_leave() lets it go on, and returns
 * whether it was aborted meanwhile.
 */
void fence_enter(struct fence *f);
bool fence_leave(struct fence *f);

#endif /* CPU_OPV_FENCE_H */
