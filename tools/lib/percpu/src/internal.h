/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef PERCPU_INTERNAL_H
#define PERCPU_INTERNAL_H

#include <percpu/percpu.h>

/* What the environment asks for: see percpu(3). */
enum percpu_try { PERCPU_TRY, PERCPU_NEVER, PERCPU_IN_HALF };

struct percpu_policy {
	enum percpu_try sequences;	/* RSEQ_DISABLE */
	bool no_cpu_opv;		/* PERCPU_FALLBACK */
	bool debug;			/* PERCPU_DEBUG */
};

const struct percpu_policy *percpu_policy(void);

/* The bytes of struct rseq that the kernel knows. */
unsigned int percpu_feature_size(void);

/* Who registered the calling thread; and the area, which is NULL if it is of no use, and its size. */
enum percpu_owner percpu_registered(struct percpu_area **area, unsigned int *size);

/* How many operations cpu_opv(2) has: 0 if there is none, or none for that mode. */
int percpu_opv_operations(enum rseq_percpu_mode mode);

#endif /* PERCPU_INTERNAL_H */
