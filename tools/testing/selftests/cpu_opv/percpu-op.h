/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations on per-CPU data that come to an end whatever happens: each tries a restartable
 * sequence, once, and if that was aborted, or the thread has another index or is not registered,
 * does the same by cpu_opv(2) for the index that was meant.
 *
 * Data is indexed by what @mode says, and always by the same:
 *   RSEQ_PERCPU_CPU_ID   the number of the CPU. Processes can share the data. It is for what
 *                        belongs to a CPU, such as memory of its NUMA node.
 *   RSEQ_PERCPU_MM_CID   the concurrency ID. The data is that of one address space: others have the
 *                        same IDs. There are as few as threads run at the same time, and each can
 *                        be worked on from everywhere: without ENXIO, and with EBUSY only for
 *                        memory that cannot be pinned. An ID can go from one CPU to another.
 * @index is the number of a possible CPU, or an ID below the number of those.
 *
 * All return 0 if it was done, > 0 if a comparison failed (which of two, only the fallback can
 * tell), or -1 with errno of cpu_opv. These errors are no mistakes of the caller:
 *   ENXIO   neither the affinity mask of the thread nor its cpuset, which others can change at
 *           any time, has the CPU: take another one, such as percpu_current_index(), and the data
 *           there.
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

/* Without it, none of what is below can be used. */
static inline bool percpu_op_available(enum rseq_percpu_mode mode)
{
	return mode == RSEQ_PERCPU_MM_CID ? cpu_op_mm_cid_available() : cpu_op_available();
}

/* Of the thread: > 0 tries sequences, < 0 does not, 0 has not been decided yet. */
extern __thread int percpu_op_choice;
void percpu_op_choose(void);

/*
 * A thread that is not registered is on CPU -1, where no sequence gets through. But it has
 * concurrency ID 0, as another one has. What cannot be seen here: a child of vfork(2) sees the area
 * of its parent, and must not try sequences at all.
 */
static inline bool percpu_op_fast(enum rseq_percpu_mode mode)
{
	if (rseq_unlikely(!percpu_op_choice))
		percpu_op_choose();
	return rseq_likely(percpu_op_choice > 0) &&
	       (mode == RSEQ_PERCPU_CPU_ID || rseq_likely(rseq_current_cpu_raw() >= 0));
}

static inline unsigned int percpu_op_flags(enum rseq_percpu_mode mode)
{
	return mode == RSEQ_PERCPU_MM_CID ? CPU_OP_MM_CID_FLAG : 0;
}

/*
 * What the thread has, or had just now. If it is not registered: the CPU by sched_getcpu(), and
 * the concurrency ID 0, which it need not have to name it.
 */
static inline int percpu_current_index(enum rseq_percpu_mode mode)
{
	if (mode == RSEQ_PERCPU_MM_CID)
		return rseq_current_cpu_raw() >= 0 ? (int)rseq_current_mm_cid() : 0;
	return percpu_op_fast(mode) ? (int)rseq_current_cpu() : rseq_fallback_current_cpu();
}

/* The order: RSEQ_MO_RELAXED, or RSEQ_MO_RELEASE for a barrier before the last store. */
#define __percpu_op(sequence, order, mode, fallback, ...)				\
__extension__ ({									\
	int ____ret = -1;								\
											\
	if (percpu_op_fast(mode))							\
		____ret = sequence(order, mode, __VA_ARGS__);				\
	rseq_unlikely(____ret < 0) ? fallback(__VA_ARGS__, percpu_op_flags(mode)) :	\
				     ____ret;						\
})

/* Adds @count to *@v. */
static inline __attribute__((always_inline))
int percpu_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index)
{
	return __percpu_op(rseq_addv, RSEQ_MO_RELAXED, mode, cpu_op_addv_flags, v, count, index);
}

/* Stores @newv if *@v equals @expect. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect, intptr_t newv,
			 int index)
{
	return __percpu_op(rseq_cmpeqv_storev, RSEQ_MO_RELAXED, mode, cpu_op_cmpeqv_storev_flags,
			   v, expect, newv, index);
}

/* Unless *@v equals @expectnot, loads it to *@load, and stores what is at *@v + @voffp. */
static inline __attribute__((always_inline))
int percpu_cmpnev_storeoffp_load(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expectnot,
				 long voffp, intptr_t *load, int index)
{
	return __percpu_op(rseq_cmpnev_storeoffp_load, RSEQ_MO_RELAXED, mode,
			   cpu_op_cmpnev_storeoffp_load_flags, v, expectnot, voffp, load, index);
}

/* If *@v equals @expect, stores @newv2 to *@v2, then @newv to *@v. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_storev_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				intptr_t *v2, intptr_t newv2, intptr_t newv, int index)
{
	return __percpu_op(rseq_cmpeqv_trystorev_storev, RSEQ_MO_RELAXED, mode,
			   cpu_op_cmpeqv_storev_storev_flags, v, expect, v2, newv2, newv, index);
}

static inline __attribute__((always_inline))
int percpu_cmpeqv_storev_storev_release(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
					intptr_t *v2, intptr_t newv2, intptr_t newv, int index)
{
	return __percpu_op(rseq_cmpeqv_trystorev_storev, RSEQ_MO_RELEASE, mode,
			   cpu_op_cmpeqv_storev_mb_storev_flags, v, expect, v2, newv2, newv,
			   index);
}

/* Stores @newv if *@v equals @expect and *@v2 equals @expect2. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				intptr_t *v2, intptr_t expect2, intptr_t newv, int index)
{
	return __percpu_op(rseq_cmpeqv_cmpeqv_storev, RSEQ_MO_RELAXED, mode,
			   cpu_op_cmpeqv_cmpeqv_storev_flags, v, expect, v2, expect2, newv, index);
}

/* If *@v equals @expect, copies @len bytes, then stores @newv. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				void *dst, void *src, size_t len, intptr_t newv, int index)
{
	return __percpu_op(rseq_cmpeqv_trymemcpy_storev, RSEQ_MO_RELAXED, mode,
			   cpu_op_cmpeqv_memcpy_storev_flags, v, expect, dst, src, len, newv,
			   index);
}

static inline __attribute__((always_inline))
int percpu_cmpeqv_memcpy_storev_release(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
					void *dst, void *src, size_t len, intptr_t newv, int index)
{
	return __percpu_op(rseq_cmpeqv_trymemcpy_storev, RSEQ_MO_RELEASE, mode,
			   cpu_op_cmpeqv_memcpy_mb_storev_flags, v, expect, dst, src, len, newv,
			   index);
}

#endif /* PERCPU_OP_H */
