/* SPDX-License-Identifier: GPL-2.0 */
/* Per-CPU data under preemption, signals and migration. */
#ifndef PARITY_PERCPU_H
#define PARITY_PERCPU_H

#include <stdbool.h>

struct percpu_result {
	long counted, expected;		/* increments found, increments done */
	long nodes, expected_nodes;	/* list nodes found, nodes there were */
	bool intact;			/* no node twice, none foreign */
	long aborts, signals;		/* that there were, to know it was a test */
};

/* Returns 0, or -1 if it could not be done. */
int percpu_run(bool v2, bool mm_cid, struct percpu_result *res);

#endif /* PARITY_PERCPU_H */
