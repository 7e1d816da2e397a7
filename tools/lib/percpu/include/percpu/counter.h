/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/*
 * A counter that never fails, on every kernel, in every thread.
 *
 * Each CPU has two words. One is changed by sequences only. Where a sequence does not get through,
 * an atomic instruction adds to the other one: the two must not be mixed on one word, since a
 * sequence loads and stores without a lock. The sum is over both.
 */
#ifndef PERCPU_COUNTER_H
#define PERCPU_COUNTER_H

#include <percpu/ops.h>
#include <percpu/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The part of CPU 0; those of others are behind it, PERCPU_STRIDE bytes each. */
struct percpu_counter {
	intptr_t by_sequences;
	intptr_t by_atomics;
};

/* Its sum is 0. NULL with errno: ENOMEM, or another one of mmap(2). */
struct percpu_counter *percpu_counter_create(void);
void percpu_counter_destroy(struct percpu_counter *counter);

static inline __attribute__((always_inline))
void percpu_counter_add(struct percpu_counter *counter, intptr_t count)
{
	const enum rseq_percpu_mode mode = RSEQ_PERCPU_CPU_ID;
	struct percpu_area *area = percpu_thread_area(mode);
	int cpu = percpu_current_index(mode);
	struct percpu_counter *mine = (struct percpu_counter *)percpu_ptr(counter, cpu);

	if (PERCPU_LIKELY(area) &&
	    PERCPU_LIKELY(!percpu_seq_addv(area, &area->cpu_id, &mine->by_sequences, count, cpu)))
		return;
	__atomic_fetch_add(&mine->by_atomics, count, __ATOMIC_RELAXED);
}

/* All that was added before is in it; what is added meanwhile may be. An overflow wraps. */
intptr_t percpu_counter_sum(const struct percpu_counter *counter);

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_COUNTER_H */
