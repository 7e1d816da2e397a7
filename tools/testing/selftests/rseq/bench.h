/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instructions per event, for benchmarks of system calls.
 *
 * Meant for a guest of QEMU's TCG with "-icount shift=0,sleep=off": every executed instruction
 * advances the guest's clocks by one nanosecond, so the counter that bench_count() reads counts
 * the instructions of all CPUs, user and kernel. An event is measured by itself, many times, and
 * the median taken. Most samples are equal, except those that a scheduler tick fell into.
 */
#ifndef BENCH_H
#define BENCH_H

#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#include "bench-x86.h"
#else
#error "bench: no instruction counter for this architecture"
#endif

/* Instructions since @start, a value of bench_count(), without those of counting. */
static __always_inline uint64_t bench_since(uint64_t start)
{
	uint64_t now = bench_count(), overhead = bench_count();

	return now - start - (overhead - now);
}

/* Exits unless the counter counts instructions. */
static inline void bench_require_icount(void)
{
	const uint64_t n = 10000;
	int i;

	/* An interrupt may spoil one attempt, or two. */
	for (i = 0; i < 5; i++) {
		if (bench_loop(2 * n) - bench_loop(n) == n)
			return;
	}
	errx(1, "the counter does not count instructions: run this under QEMU with -icount shift=0,sleep=off");
}

static inline void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity to CPU %d", cpu);
}

/* Real-time priority, so that nothing but what is measured runs. */
static inline void bench_realtime(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		err(1, "SCHED_FIFO priority %d", priority);
}

static inline pthread_t bench_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, arg))
		errx(1, "cannot create a thread");
	return thread;
}

/* Lets other CPUs come to rest: what they do on the way into idle counts, too. */
static inline void bench_rest(void)
{
	usleep(100);
}

/* Returns false if there is no file @path. */
static inline bool bench_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return false;
	if (fputs(text, f) < 0 || fclose(f))
		err(1, "%s", path);
	return true;
}

/* Once, before anything is measured. */
static inline void bench_init(void)
{
	bench_write("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(1, "mlockall");
	bench_require_icount();
}

/* What the shortest system call costs. */
static __always_inline uint64_t bench_getppid(void)
{
	uint64_t start = bench_count();

	bench_syscall(__NR_getppid, 0, 0, 0, 0);
	return bench_since(start);
}

static inline int bench_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * Sorts @samples and prints one result: "bench NAME MEDIAN P99 MAX SAMPLES", all per event
 * when a sample held @events of them. P99 is the value that one sample in a hundred exceeds.
 */
static inline void bench_report(const char *name, uint64_t *samples, size_t n, unsigned int events)
{
	const double per = events;

	qsort(samples, n, sizeof(*samples), bench_compare);
	printf("bench %s %.1f %.1f %.1f %zu\n", name, samples[n / 2] / per,
	       samples[(n - 1) * 99 / 100] / per, samples[n - 1] / per, n);
	fflush(stdout);
}

#endif /* BENCH_H */
