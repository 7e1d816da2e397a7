// SPDX-License-Identifier: GPL-2.0
/*
 * Loads for an allocator, whichever is preloaded: loads NAME THREADS MILLISECONDS prints how many
 * million calls of malloc() and free() were made in a second, in a second of CPU time, and how much
 * memory was resident at most, in KiB.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64

static atomic_bool stop;
static int nr_threads;

/* What a thread has done; nobody shares a cache line with it. */
static struct worker {
	_Alignas(128) unsigned long calls;
	unsigned int seed;
	void **blocks;
} workers[MAX_THREADS];

static inline unsigned int next_random(unsigned int *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	return *seed ^= *seed << 5;
}

static void *get(size_t size)
{
	char *p = malloc(size);

	if (!p)
		abort();
	/* As a program would. */
	p[0] = 1;
	p[size - 1] = 1;
	return p;
}

/* As a server: each thread has blocks of random sizes, and replaces them in random order. */
#define LARSON 1000
static void larson(struct worker *w)
{
	for (int i = 0; i < 100; i++) {
		void **block = &w->blocks[next_random(&w->seed) % LARSON];

		free(*block);
		*block = get(8 + next_random(&w->seed) % 1000);
		w->calls += 2;
	}
}

/* Blocks that one thread allocates and another one frees, a batch at a time. */
#define BATCH 120
static _Atomic(void **) batches[MAX_THREADS];
static void xmalloc(struct worker *w)
{
	static const unsigned short sizes[] = { 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384 };
	void **batch = get(BATCH * sizeof(void *));

	for (int i = 0; i < BATCH; i++)
		batch[i] = get(sizes[next_random(&w->seed) % 12]);
	/* To the next one; what was there before is ours. */
	batch = atomic_exchange(&batches[(w - workers + 1) % nr_threads], batch);
	w->calls += BATCH + 1;
	for (int i = 0; batch && i < BATCH; i++)
		free(batch[i]);
	if (batch) {
		free(batch);
		w->calls += BATCH + 1;
	}
}

/* Many sizes, some of them large; some blocks stay, others go to whoever takes them. */
#define SHARED 1024
static _Atomic(void *) shared[SHARED];
static void mstress(struct worker *w)
{
	void *blocks[64];

	for (int i = 0; i < 64; i++) {
		unsigned int r = next_random(&w->seed);
		size_t size = r % 100 == 0 ? 1 << (r >> 8) % 17 : 8 << (r >> 8) % 7;

		blocks[i] = get(size + (r >> 16) % size + 1);
	}
	for (int i = 0; i < 64; i++) {
		unsigned int r = next_random(&w->seed);

		if (r % 4 == 0)
			blocks[i] = atomic_exchange(&shared[(r >> 8) % SHARED], blocks[i]);
		else if (r % 4 == 1) {
			void **kept = &w->blocks[(r >> 8) % LARSON], *old = *kept;

			*kept = blocks[i];
			blocks[i] = old;
		}
		free(blocks[i]);
	}
	w->calls += 128;
}

/* Blocks of up to 16 KiB, freed in the order of their allocation, of three threads each. */
#define RPTEST 256
static _Atomic(void **) rounds[MAX_THREADS];
static void rptest(struct worker *w)
{
	void **blocks = get(RPTEST * sizeof(void *));

	for (int i = 0; i < RPTEST; i++) {
		unsigned int r = next_random(&w->seed);

		blocks[i] = get(16 + r % (16 << r % 11));
	}
	for (int i = 0; i < RPTEST; i += 3) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	blocks = atomic_exchange(&rounds[(w - workers + 1) % nr_threads], blocks);
	for (int i = 0; blocks && i < RPTEST; i++)
		free(blocks[i]);
	free(blocks);
	w->calls += 2 * RPTEST;
}

/* Nothing but calls: what the fast path takes. */
static void pairs(struct worker *w)
{
	for (int i = 0; i < 1000; i++)
		free(get(16 + (i & 7) * 16));
	w->calls += 2000;
}

static void (*load)(struct worker *w);

static void *work(void *arg)
{
	struct worker *w = arg;

	/* Larson's threads hand their blocks to a new one; so do all here, from the first one on. */
	while (!stop)
		load(w);
	return NULL;
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct worker *w);
	} loads[] = {
		{ "pairs", pairs }, { "larson", larson }, { "xmalloc", xmalloc },
		{ "mstress", mstress }, { "rptest", rptest },
	};
	pthread_t threads[MAX_THREADS];
	unsigned long calls = 0;
	double start, cpu, end;
	struct rusage usage;

	for (size_t i = 0; argc == 4 && i < sizeof(loads) / sizeof(*loads); i++)
		if (!strcmp(argv[1], loads[i].name))
			load = loads[i].run;
	nr_threads = load ? atoi(argv[2]) : 0;
	if (nr_threads < 1 || nr_threads > MAX_THREADS || atoi(argv[3]) < 1) {
		fprintf(stderr, "Usage: loads pairs|larson|xmalloc|mstress|rptest THREADS MILLISECONDS\n");
		return 2;
	}
	for (int i = 0; i < nr_threads; i++) {
		workers[i].seed = 12345 + i * 7919;
		workers[i].blocks = calloc(LARSON, sizeof(void *));
	}
	start = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < nr_threads; i++)
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			abort();
	usleep(atoi(argv[3]) * 1000);
	stop = true;
	for (int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	end = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	for (int i = 0; i < nr_threads; i++)
		calls += workers[i].calls;
	getrusage(RUSAGE_SELF, &usage);
	printf("%.3f %.3f %ld\n", calls / (end - start) / 1e6, calls / cpu / 1e6, usage.ru_maxrss);
	return 0;
}
