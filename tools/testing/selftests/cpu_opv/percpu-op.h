/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations on per-CPU data that come to an end whatever happens: each tries a restartable
 * sequence, once, and if that was aborted, or the thread is on another CPU or not registered,
 * does the same by cpu_opv(2) on the CPU that was meant.
 *
 * Data is indexed by CPU number. It cannot be indexed by concurrency ID (mm_cid): cpu_opv
 * excludes what else runs on a CPU, but who has a concurrency ID may be on any CPU.
 *
 * All return 0 if it was done, > 0 if a comparison failed (which of two, only the fallback can
 * tell), or -1 with errno of cpu_opv. These errors are no mistakes of the caller:
 *   ENXIO   neither the affinity mask of the thread nor its cpuset, which others can change at
 *           any time, has @cpu: take another one, such as percpu_current_cpu(), and the data there.
 *   EBUSY   the CPU is not to be disturbed, and the thread cannot go there: the same, or later.
 *   EAGAIN  try again, see cpu_opv(2).
 *
 * What a sequence stores before its last store can remain when it was aborted, whether or not
 * the operation is done in the end: it has to be in a place, such as a free slot of an array,
 * whose content does not matter until the last store, or if that is not done.
 *
 * The environment variable RSEQ_DISABLE, read when the program starts, keeps the fallback
 * tested: "1" takes it always, "random" always in half of the threads; "0" is the default.
 */
#ifndef PERCPU_OP_H
#define PERCPU_OP_H

#include "cpu-op.h"
#include "rseq.h"

/* Of the thread: > 0 tries sequences, < 0 does not, 0 has not been decided yet. */
extern __thread int percpu_op_choice;
void percpu_op_choose(void);

static inline bool percpu_op_fast(void)
{
	if (rseq_unlikely(!percpu_op_choice))
		percpu_op_choose();
	return rseq_likely(percpu_op_choice > 0);
}

/* Where the thread is, or was just now. By sched_getcpu() if it is not registered. */
static inline int percpu_current_cpu(void)
{
	return percpu_op_fast() ? (int)rseq_current_cpu() : rseq_fallback_current_cpu();
}

/* The order: RSEQ_MO_RELAXED, or RSEQ_MO_RELEASE for a barrier before the last store. */
#define __percpu_op(sequence, order, fallback, ...)					\
__extension__ ({									\
	int ____ret = -1;								\
											\
	if (percpu_op_fast())								\
		____ret = sequence(order, RSEQ_PERCPU_CPU_ID, __VA_ARGS__);		\
	rseq_unlikely(____ret < 0) ? fallback(__VA_ARGS__) : ____ret;			\
})

/* Adds @count to *@v. */
static inline __attribute__((always_inline))
int percpu_addv(intptr_t *v, intptr_t count, int cpu)
{
	return __percpu_op(rseq_addv, RSEQ_MO_RELAXED, cpu_op_addv, v, count, cpu);
}

/* Stores @newv if *@v equals @expect. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t newv, int cpu)
{
	return __percpu_op(rseq_cmpeqv_storev, RSEQ_MO_RELAXED, cpu_op_cmpeqv_storev,
			   v, expect, newv, cpu);
}

/* Unless *@v equals @expectnot, loads it to *@load, and stores what is at *@v + @voffp. */
static inline __attribute__((always_inline))
int percpu_cmpnev_storeoffp_load(intptr_t *v, intptr_t expectnot, long voffp, intptr_t *load,
				 int cpu)
{
	return __percpu_op(rseq_cmpnev_storeoffp_load, RSEQ_MO_RELAXED,
			   cpu_op_cmpnev_storeoffp_load, v, expectnot, voffp, load, cpu);
}

/* If *@v equals @expect, stores @newv2 to *@v2, then @newv to *@v. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_storev_storev(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
				intptr_t newv, int cpu)
{
	return __percpu_op(rseq_cmpeqv_trystorev_storev, RSEQ_MO_RELAXED,
			   cpu_op_cmpeqv_storev_storev, v, expect, v2, newv2, newv, cpu);
}

static inline __attribute__((always_inline))
int percpu_cmpeqv_storev_storev_release(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
					intptr_t newv, int cpu)
{
	return __percpu_op(rseq_cmpeqv_trystorev_storev, RSEQ_MO_RELEASE,
			   cpu_op_cmpeqv_storev_mb_storev, v, expect, v2, newv2, newv, cpu);
}

/* Stores @newv if *@v equals @expect and *@v2 equals @expect2. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t expect2,
				intptr_t newv, int cpu)
{
	return __percpu_op(rseq_cmpeqv_cmpeqv_storev, RSEQ_MO_RELAXED,
			   cpu_op_cmpeqv_cmpeqv_storev, v, expect, v2, expect2, newv, cpu);
}

/* If *@v equals @expect, copies @len bytes, then stores @newv. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_memcpy_storev(intptr_t *v, intptr_t expect, void *dst, void *src, size_t len,
				intptr_t newv, int cpu)
{
	return __percpu_op(rseq_cmpeqv_trymemcpy_storev, RSEQ_MO_RELAXED,
			   cpu_op_cmpeqv_memcpy_storev, v, expect, dst, src, len, newv, cpu);
}

static inline __attribute__((always_inline))
int percpu_cmpeqv_memcpy_storev_release(intptr_t *v, intptr_t expect, void *dst, void *src,
					size_t len, intptr_t newv, int cpu)
{
	return __percpu_op(rseq_cmpeqv_trymemcpy_storev, RSEQ_MO_RELEASE,
			   cpu_op_cmpeqv_memcpy_mb_storev, v, expect, dst, src, len, newv, cpu);
}

#endif /* PERCPU_OP_H */
