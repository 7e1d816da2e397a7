/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A trace ring on memory that processes share: each CPU has two buffers. Who writes appends to the
 * one in use, on the CPU where it is. A consumer in another process exchanges the two, also those
 * of a CPU that is idle or offline, and has the other one for itself until it does so again: when
 * that is done, no sequence that would still write to it goes on.
 */
#ifndef RING_H
#define RING_H

#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include <percpu/percpu.h>

#define RING_RECORDS	256	/* in a buffer */
#define RING_TRIES	1000

struct ring_record {
	uint64_t writer, number;
};

struct ring_cpu {
	/* Which of the buffers is in use (how often they were exchanged), and how full it is. */
	intptr_t state;
	struct ring_record buffer[2][RING_RECORDS];
} __attribute__((aligned(4096)));

#define RING_FULL_BITS	16
#define RING_FULL_MASK	(((intptr_t)1 << RING_FULL_BITS) - 1)

/* For all possible CPUs, shared with children. NULL with errno. */
static inline struct ring_cpu *ring_create(void)
{
	void *ring = mmap(NULL, percpu_nr_indices() * sizeof(struct ring_cpu),
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return ring == MAP_FAILED ? NULL : (struct ring_cpu *)ring;
}

static inline struct ring_record *ring_buffer(struct ring_cpu *cpu, intptr_t state)
{
	return cpu->buffer[(state >> RING_FULL_BITS) & 1];
}

/* 0, or -1 with errno: ENOSPC if the buffer is full, or one of the operations. */
static inline int ring_write(struct ring_cpu *ring, const struct ring_record *record)
{
	for (int tries = 0; tries < RING_TRIES; tries++) {
		int index = percpu_current_index(RSEQ_PERCPU_CPU_ID);
		struct ring_cpu *cpu = &ring[index];
		intptr_t state = __atomic_load_n(&cpu->state, __ATOMIC_RELAXED);
		int ret;

		if ((state & RING_FULL_MASK) == RING_RECORDS) {
			errno = ENOSPC;
			return -1;
		}
		ret = percpu_cmpeqv_memcpy_storev_release(RSEQ_PERCPU_CPU_ID, &cpu->state, state,
				ring_buffer(cpu, state) + (state & RING_FULL_MASK), record,
				sizeof(*record), state + 1, index);
		if (!ret)
			return 0;
		if (ret < 0 && errno != EAGAIN && errno != ENXIO && errno != EBUSY)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}

/*
 * By one consumer: takes what was written on CPU @index. Returns the number of records, which are
 * its own until the next call for that CPU, or -1 with errno of the operations: ENXIO, EBUSY.
 */
static inline int ring_take(struct ring_cpu *ring, int index, struct ring_record **records)
{
	struct ring_cpu *cpu = &ring[index];

	for (int tries = 0; tries < RING_TRIES; tries++) {
		intptr_t state = __atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE);
		intptr_t other = ((state >> RING_FULL_BITS) + 1) * (RING_FULL_MASK + 1);
		int ret;

		if (!(state & RING_FULL_MASK))
			return 0;
		ret = percpu_cmpeqv_storev(RSEQ_PERCPU_CPU_ID, &cpu->state, state, other, index);
		if (!ret) {
			*records = ring_buffer(cpu, state);
			return state & RING_FULL_MASK;
		}
		if (ret < 0 && errno != EAGAIN)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}

#endif /* RING_H */
