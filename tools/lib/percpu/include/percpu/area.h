/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/*
 * Where a thread runs: its area of rseq(2), which the C library has registered, or this library
 * where that has not.
 */
#ifndef PERCPU_AREA_H
#define PERCPU_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PERCPU_LIKELY(x)	__builtin_expect(!!(x), 1)

/*
 * What data is indexed by, always by the same:
 *   RSEQ_PERCPU_CPU_ID   the number of the CPU. Processes can share the data.
 *   RSEQ_PERCPU_MM_CID   the concurrency ID: threads of one process that run at the same time have
 *                        different ones, and there are as few as such threads.
 */
enum rseq_percpu_mode {
	RSEQ_PERCPU_CPU_ID = 0,
	RSEQ_PERCPU_MM_CID = 1,
};

/* The fields of struct rseq, see rseq(2), that are used here. The kernel writes to it. */
struct percpu_area {
	volatile uint32_t cpu_id_start;
	volatile uint32_t cpu_id;
	volatile uint64_t rseq_cs;
	volatile uint32_t flags;
	volatile uint32_t node_id;
	volatile uint32_t mm_cid;
};

/* By mode: the area, for sequences. NULL: not decided yet, or the thread cannot try any. */
struct percpu_thread {
	struct percpu_area *area[2];
};

extern __thread struct percpu_thread percpu_thread __attribute__((tls_model("initial-exec")));

/* Decides what the thread does, unless that was done; returns the area for sequences or NULL. */
struct percpu_area *percpu_area_decide(enum rseq_percpu_mode mode);
int percpu_current_index_slow(enum rseq_percpu_mode mode);

static inline struct percpu_area *percpu_thread_area(enum rseq_percpu_mode mode)
{
	struct percpu_area *area = percpu_thread.area[mode];

	return PERCPU_LIKELY(area) ? area : percpu_area_decide(mode);
}

static inline const volatile uint32_t *percpu_area_index(const struct percpu_area *area,
							  enum rseq_percpu_mode mode)
{
	return mode == RSEQ_PERCPU_MM_CID ? &area->mm_cid : &area->cpu_id;
}

/*
 * What the thread has, or had just now: from 0 to percpu_nr_indices() - 1. If it is not registered:
 * the CPU by getcpu(2), and the concurrency ID 0.
 */
static inline int percpu_current_index(enum rseq_percpu_mode mode)
{
	const struct percpu_area *area = percpu_thread.area[mode];

	return PERCPU_LIKELY(area) ? (int)*percpu_area_index(area, mode) :
				     percpu_current_index_slow(mode);
}

/* How many places per-CPU data needs, in both modes: one for each possible CPU. */
int percpu_nr_indices(void);

/*
 * Threads do these themselves when they first need it, and when they end.
 *
 * Register: 0 if the thread has an area that this library can use, the C library's or its own.
 * Else -1; errno EBUSY: somebody else has registered another one, ENOSYS: the kernel has no
 * rseq(2), or what a sandbox answers.
 * Unregister: ends a registration of this library; the thread tries no sequences then, until it
 * registers. 0, or -1 with errno of rseq(2).
 */
int percpu_register_thread(void);
int percpu_unregister_thread(void);

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_AREA_H */
