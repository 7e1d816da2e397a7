// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* Counters: see percpu/counter.h. All are in one pool: those of a CPU are side by side. */
#include "internal.h"

static struct percpu_pool *counters;

/* Of two threads that make it at the same time, one wins. */
static struct percpu_pool *pool(void)
{
	struct percpu_pool *found = __atomic_load_n(&counters, __ATOMIC_ACQUIRE);
	struct percpu_pool *made;

	if (found)
		return found;
	made = percpu_pool_create("counters", sizeof(struct percpu_counter), 0, 0, 0);
	if (made && !__atomic_compare_exchange_n(&counters, &found, made, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		percpu_pool_destroy(made);
		made = found;
	}
	return made;
}

struct percpu_counter *percpu_counter_create(void)
{
	struct percpu_pool *from = pool();

	return from ? percpu_pool_alloc(from) : NULL;
}

void percpu_counter_destroy(struct percpu_counter *counter)
{
	if (counter)
		percpu_pool_free(counters, counter);
}

intptr_t percpu_counter_sum(const struct percpu_counter *counter)
{
	uintptr_t sum = 0;

	for (int cpu = 0; cpu < percpu_nr_indices(); cpu++) {
		const struct percpu_counter *part = percpu_ptr(counter, cpu);

		sum += __atomic_load_n(&part->by_sequences, __ATOMIC_RELAXED);
		sum += __atomic_load_n(&part->by_atomics, __ATOMIC_RELAXED);
	}
	return sum;
}
