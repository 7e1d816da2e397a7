/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/*
 * Operations on per-CPU data: each tries a restartable sequence, once. If that was aborted, or the
 * thread has another index or is not registered, cpu_opv(2) does the same for the index that was
 * meant. Where the kernel does not have that, the sequence is tried again, a few times.
 *
 * All return 0 if it was done, or the number of the comparison that failed, or -1 with errno and
 * nothing done:
 *   ENXIO   The index cannot be reached. With cpu_opv: neither the affinity mask of the thread nor
 *           its cpuset, which others can change at any time, has the CPU. Without: the thread has
 *           another index now. Take another one, such as percpu_current_index(), and the data
 *           there.
 *   EAGAIN  Try again: without cpu_opv, each sequence was aborted; with it, see there.
 *   EBUSY   The CPU is not to be disturbed, and the thread cannot go there: as ENXIO, or later.
 *   ENOSYS  There is no cpu_opv for this mode, and the thread cannot use sequences: see
 *           percpu_available().
 *   and others of cpu_opv(2) that tell of mistakes: EFAULT, EINVAL.
 *
 * What a sequence stores before its last store can remain when it was aborted, whether or not
 * the operation is done in the end: it has to be in a place, such as a free slot of an array,
 * whose content does not matter until the last store, or if that is not done.
 *
 * Words that these change must not be changed by anything else, atomic instructions included.
 */
#ifndef PERCPU_OPS_H
#define PERCPU_OPS_H

#include <percpu/area.h>

#if defined(__x86_64__) && defined(__LP64__)
#include <percpu/arch/x86_64.h>
#else
#error "percpu: there are no sequences for this architecture: add percpu/arch/ for it"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the thread can do operations at all; and whether it can for all indices. */
bool percpu_available(enum rseq_percpu_mode mode);
bool percpu_remote_available(enum rseq_percpu_mode mode);

/* What is left to do when the first sequence did not do it. */
int percpu_slow_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index);
int percpu_slow_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
			      intptr_t newv, int index);
int percpu_slow_cmpnev_storeoffp_load(enum rseq_percpu_mode mode, intptr_t *v,
				      intptr_t expectnot, long voffp, intptr_t *load, int index);
int percpu_slow_cmpeqv_storev_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				     intptr_t *v2, intptr_t newv2, intptr_t newv, int index);
int percpu_slow_cmpeqv_storev_storev_release(enum rseq_percpu_mode mode, intptr_t *v,
					     intptr_t expect, intptr_t *v2, intptr_t newv2,
					     intptr_t newv, int index);
int percpu_slow_cmpeqv_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				     intptr_t *v2, intptr_t expect2, intptr_t newv, int index);
int percpu_slow_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				     void *dst, const void *src, size_t len, intptr_t newv,
				     int index);
int percpu_slow_cmpeqv_memcpy_storev_release(enum rseq_percpu_mode mode, intptr_t *v,
					     intptr_t expect, void *dst, const void *src,
					     size_t len, intptr_t newv, int index);

#define PERCPU_OP(name, mode, ...)						\
	do {									\
		struct percpu_area *percpu_area_ = percpu_thread_area(mode);		\
										\
		if (PERCPU_LIKELY(percpu_area_)) {				\
			int percpu_ret_ = percpu_seq_##name(percpu_area_,	\
				percpu_area_index(percpu_area_, mode),		\
				__VA_ARGS__);					\
										\
			if (PERCPU_LIKELY(percpu_ret_ >= 0))			\
				return percpu_ret_;				\
		}								\
		return percpu_slow_##name(mode, __VA_ARGS__);			\
	} while (0)

/* Adds @count to *@v. */
static inline __attribute__((always_inline))
int percpu_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index)
{
	PERCPU_OP(addv, mode, v, count, index);
}

/* Stores @newv if *@v equals @expect, else returns 1. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect, intptr_t newv,
			 int index)
{
	PERCPU_OP(cmpeqv_storev, mode, v, expect, newv, index);
}

/*
 * Unless *@v equals @expectnot (then returns 1), loads it to *@load, and stores to *@v what is at
 * *@v + @voffp: takes the first node off a list. Others may take it at the same time, and unmap it.
 */
static inline __attribute__((always_inline))
int percpu_cmpnev_storeoffp_load(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expectnot,
				 long voffp, intptr_t *load, int index)
{
	PERCPU_OP(cmpnev_storeoffp_load, mode, v, expectnot, voffp, load, index);
}

/*
 * If *@v equals @expect, stores @newv2 to *@v2, then @newv to *@v; else returns 1. With _release,
 * who sees @newv by an acquire load sees @newv2, too.
 */
static inline __attribute__((always_inline))
int percpu_cmpeqv_storev_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				intptr_t *v2, intptr_t newv2, intptr_t newv, int index)
{
	PERCPU_OP(cmpeqv_storev_storev, mode, v, expect, v2, newv2, newv, index);
}

static inline __attribute__((always_inline))
int percpu_cmpeqv_storev_storev_release(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
					intptr_t *v2, intptr_t newv2, intptr_t newv, int index)
{
	PERCPU_OP(cmpeqv_storev_storev_release, mode, v, expect, v2, newv2, newv, index);
}

/* Stores @newv if *@v equals @expect, else returns 1, and *@v2 equals @expect2, else 2. */
static inline __attribute__((always_inline))
int percpu_cmpeqv_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				intptr_t *v2, intptr_t expect2, intptr_t newv, int index)
{
	PERCPU_OP(cmpeqv_cmpeqv_storev, mode, v, expect, v2, expect2, newv, index);
}

/*
 * If *@v equals @expect, copies @len bytes (up to 4096, which must not overlap), then stores
 * @newv; else returns 1. With _release, who sees @newv by an acquire load sees the copy, too.
 */
static inline __attribute__((always_inline))
int percpu_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				void *dst, const void *src, size_t len, intptr_t newv, int index)
{
	PERCPU_OP(cmpeqv_memcpy_storev, mode, v, expect, dst, src, len, newv, index);
}

static inline __attribute__((always_inline))
int percpu_cmpeqv_memcpy_storev_release(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
					void *dst, const void *src, size_t len, intptr_t newv,
					int index)
{
	PERCPU_OP(cmpeqv_memcpy_storev_release, mode, v, expect, dst, src, len, newv, index);
}

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_OPS_H */
