// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to take the lists of all sizes from another concurrency ID: by cpu_opv(2), each list
 * by itself or all at once; and by a flag and a fence, as allocators do it that have nothing else.
 * Prints the median of what the clock tells: with scripts/qemu --icount, instructions.
 */
#define _GNU_SOURCE
#include <err.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/cpu_opv.h>

#define SYS_cpu_opv 473
#define LISTS 40
#define IDS 64
#define RUNS 101

/* As caches of the allocator are: the heads of an ID in a row. */
static struct {
	_Alignas(512) intptr_t heads[LISTS];
	atomic_int stopped;
} caches[IDS];

static const intptr_t zeroes[LISTS];
static intptr_t taken[LISTS];
static atomic_int target = -1, target_cpu;
static atomic_bool busy, stop;

static int current_id(void)
{
	/* mm_cid, which this header may not have yet. */
	return *(int *)((char *)__builtin_thread_pointer() + __rseq_offset + 24);
}

static void *owner(void *arg)
{
	cpu_set_t set;

	(void)arg;
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
	target_cpu = 1;
	while (!stop) {
		target = current_id();
		if (!busy)
			usleep(1000);
	}
	return NULL;
}

static void opv(struct cpu_op *vec, int cnt, int id)
{
	if (syscall(SYS_cpu_opv, vec, cnt, id, CPU_OP_MM_CID_FLAG))
		err(1, "cpu_opv");
}

static void copy(struct cpu_op *op, void *dst, const void *src, size_t len)
{
	memset(op, 0, sizeof(*op));
	op->op = CPU_MEMCPY_OP;
	op->len = len;
	op->u.memcpy_op.dst = (uintptr_t)dst;
	op->u.memcpy_op.src = (uintptr_t)src;
}

static void by_list(int id)
{
	for (int i = 0; i < LISTS; i++) {
		struct cpu_op vec[2];
		intptr_t head = caches[id].heads[i];

		memset(vec, 0, sizeof(*vec));
		vec[0].op = CPU_COMPARE_EQ_OP;
		vec[0].len = sizeof(head);
		vec[0].u.compare_op.a = (uintptr_t)&caches[id].heads[i];
		vec[0].u.compare_op.b = (uintptr_t)&head;
		copy(&vec[1], &caches[id].heads[i], zeroes, sizeof(head));
		opv(vec, 2, id);
		taken[i] = head;
	}
}

static void at_once(int id)
{
	struct cpu_op vec[2];

	copy(&vec[0], taken, caches[id].heads, sizeof(taken));
	copy(&vec[1], caches[id].heads, zeroes, sizeof(taken));
	opv(vec, 2, id);
}

/* The owner would have to look at the flag, too; it is not part of the figure. */
static void fenced(int id, unsigned int flags)
{
	caches[id].stopped = 1;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, flags, target_cpu))
		err(1, "membarrier");
	memcpy(taken, caches[id].heads, sizeof(taken));
	memcpy(caches[id].heads, zeroes, sizeof(taken));
	caches[id].stopped = 0;
}

static void by_fence(int id)
{
	fenced(id, 0);
}

static void by_fence_of_cpu(int id)
{
	fenced(id, MEMBARRIER_CMD_FLAG_CPU);
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	return *(long *)a > *(long *)b ? 1 : -1;
}

static void measure(const char *what, const char *where, void (*drain)(int id))
{
	long took[RUNS];

	for (int run = 0; run < RUNS; run++) {
		int id = target;
		long start;

		/* A CPU is not interrupted for more than a part of its time. */
		usleep(5000);
		for (int i = 0; i < LISTS; i++)
			caches[id].heads[i] = run + i + 1;
		start = now();
		drain(id);
		took[run] = now() - start;
		for (int i = 0; i < LISTS; i++)
			if (taken[i] != run + i + 1 || caches[id].heads[i])
				errx(1, "%s: list %d is wrong", what, i);
	}
	qsort(took, RUNS, sizeof(*took), compare);
	printf("drain %s %s %ld\n", what, where, took[RUNS / 2]);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*drain)(int id);
	} ways[] = {
		{ "cpu_opv_each_list", by_list },
		{ "cpu_opv_at_once", at_once },
		{ "fence_all_CPUs", by_fence },
		{ "fence_one_CPU", by_fence_of_cpu },
	};
	pthread_t thread;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0))
		err(1, "membarrier");
	if (pthread_create(&thread, NULL, owner, NULL))
		errx(1, "no thread");
	for (int pass = 0; pass < 2; pass++) {
		busy = pass;
		usleep(50000);
		for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
			measure(ways[i].name, busy ? "busy" : "idle", ways[i].drain);
	}
	stop = true;
	pthread_join(thread, NULL);
	return 0;
}
