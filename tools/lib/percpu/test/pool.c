// SPDX-License-Identifier: GPL-2.0
/* Pools: what items contain, what they cost, exhaustion, fork(2), and mistakes. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <percpu/percpu.h>

#include "tap.h"

static const char pattern[48] = "the first values of an item, of forty-eight";

static bool contains(const void *item, const char *what, size_t size)
{
	for (int i = 0; i < percpu_nr_indices(); i++) {
		if (memcmp(percpu_ptr(item, i), what, size))
			return false;
	}
	return true;
}

static const char zeroes[sizeof(pattern)];

static void values(unsigned int flags)
{
	struct percpu_pool *pool = percpu_pool_create("values", sizeof(pattern), 0, 0, flags);
	char *plain = percpu_pool_alloc(pool), *init = percpu_pool_alloc_init(pool, pattern);

	ok(plain && contains(plain, zeroes, sizeof(zeroes)), "zero at first, flags %u", flags);
	ok(init && contains(init, pattern, sizeof(pattern)), "as wanted at first");
	for (int i = 0; i < percpu_nr_indices(); i++)
		memset(percpu_ptr(init, i), i + 1, sizeof(pattern));
	ok(contains(plain, zeroes, sizeof(zeroes)), "others are as they were");
	percpu_pool_free(pool, init);
	percpu_pool_free(pool, plain);
	init = percpu_pool_alloc_init(pool, pattern);
	plain = percpu_pool_alloc(pool);
	ok(contains(init, pattern, sizeof(pattern)) && contains(plain, zeroes, sizeof(zeroes)),
	   "so are items that were used before");
	percpu_pool_free(pool, init);
	percpu_pool_free(pool, plain);
	percpu_pool_destroy(pool);
}

/* What the kernel was told: a policy for the memory, and huge pages. */
static void placed(void)
{
	struct percpu_pool *pool = percpu_pool_create("placed", 4096, 0, 2 << 20,
						      PERCPU_POOL_NUMA | PERCPU_POOL_HUGE);
	char *item = percpu_pool_alloc(pool);
	int policy = -1;
	char line[256];
	bool inside = false, huge = false;
	FILE *maps = fopen("/proc/self/smaps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)item >= start && (uintptr_t)item < end;
		if (inside && !strncmp(line, "VmFlags:", 8))
			huge = strstr(line, " hg");
	}
	if (maps)
		fclose(maps);
	if (access("/sys/devices/system/cpu/cpu0/node0", F_OK) ||
	    syscall(SYS_get_mempolicy, &policy, NULL, 0, item, 2))
		ok(true, "on the node of the CPU # SKIP the kernel does not tell nodes");
	else
		ok(policy == 1, "on the node of the CPU: policy %d", policy);
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		ok(true, "huge pages # SKIP the kernel has none");
	else
		ok(huge && !((uintptr_t)item % (2 << 20)), "huge pages");
	percpu_pool_free(pool, item);
	percpu_pool_destroy(pool);
}

static void many(void)
{
	enum { ITEMS = 5000 };	/* more than a stride has */
	static char *items[ITEMS];
	struct percpu_pool *pool = percpu_pool_create("many", 40, 64, 0, 0);
	bool aligned = true, apart = true;

	for (int i = 0; i < ITEMS; i++) {
		items[i] = percpu_pool_alloc(pool);
		aligned &= items[i] && !((uintptr_t)items[i] % 64);
		for (int j = 0; j < percpu_nr_indices(); j++)
			memset(percpu_ptr(items[i], j), i % 250 + 1, 40);
	}
	for (int i = 0; i < ITEMS; i++) {
		char expected[40];

		memset(expected, i % 250 + 1, sizeof(expected));
		apart &= contains(items[i], expected, sizeof(expected));
		percpu_pool_free(pool, items[i]);
	}
	ok(aligned, "%d items are aligned", ITEMS);
	ok(apart, "and do not overlap");
	percpu_pool_destroy(pool);
}

/* Pages of this process, of its own. */
static long pages(void)
{
	long size, resident, shared = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%ld %ld %ld", &size, &resident, &shared) != 3)
		resident = 0;
	if (file)
		fclose(file);
	return resident - shared;
}

static void costs(void)
{
	const size_t size = 1 << 20;
	struct percpu_pool *pool = percpu_pool_create("costs", size, 0, size, 0);
	char *value = malloc(size);
	char *item;
	long before, after;

	memset(value, 7, size);
	before = pages();
	item = percpu_pool_alloc_init(pool, value);
	for (int i = 1; i < percpu_nr_indices(); i++)
		((char *)percpu_ptr_stride(item, i, size))[0]++;
	after = pages();
	ok(item && item[size - 1] == 7 && after - before < 16 + 2 * percpu_nr_indices(),
	   "an item of 256 pages, of which each index writes to one, costs %ld pages",
	   after - before);
	percpu_pool_free(pool, item);
	percpu_pool_destroy(pool);
	free(value);
}

/* Each of them goes on with its own. */
static void forks(void)
{
	struct percpu_pool *pool = percpu_pool_create("forks", sizeof(pattern), 0, 0, 0);
	char *item = percpu_pool_alloc_init(pool, pattern), *spare, *other;
	char changed[sizeof(pattern)];
	int status = 1;
	pid_t child;

	spare = percpu_pool_alloc_init(pool, pattern);
	percpu_pool_free(pool, spare);
	child = fork();
	if (!child) {
		/* The parent's is the same item, but for the values. */
		memset(changed, 'c', sizeof(changed));
		other = percpu_pool_alloc_init(pool, changed);
		sleep(1);
		_exit(!contains(item, pattern, sizeof(pattern)) ||
		      !contains(other, changed, sizeof(changed)));
	}
	memset(changed, 'p', sizeof(changed));
	other = percpu_pool_alloc_init(pool, changed);
	spare = percpu_pool_alloc(pool);
	ok(waitpid(child, &status, 0) == child && !status, "a child has its own");
	ok(contains(item, pattern, sizeof(pattern)) && contains(other, changed, sizeof(changed)) &&
	   contains(spare, zeroes, sizeof(zeroes)), "so has the parent");
	percpu_pool_free(pool, spare);
	percpu_pool_free(pool, other);
	percpu_pool_free(pool, item);
	percpu_pool_destroy(pool);
}

static void refused(void)
{
	static const struct { size_t size, align, stride; unsigned int flags; } wrong[] = {
		{ 0, 0, 0, 0 }, { PERCPU_STRIDE + 1, 0, 0, 0 }, { 8, 3, 0, 0 },
		{ 8, 0, 3 * 4096, 0 }, { 8, 0, 1024, 0 }, { 8, 0, 0, 1U << 31 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		errno = 0;
		ok(!percpu_pool_create("wrong", wrong[i].size, wrong[i].align, wrong[i].stride,
				       wrong[i].flags) && errno == EINVAL, "wrong arguments %zu", i);
	}
}

static void exhausted(void)
{
	const struct rlimit little = { 256 << 20, 256 << 20 };
	int status = 1;
	pid_t child = fork();

	if (!child) {
		struct percpu_pool *pool = percpu_pool_create("exhausted", 1 << 20, 0, 1 << 20, 0);
		int n = 0;

		setrlimit(RLIMIT_AS, &little);
		while (percpu_pool_alloc(pool))
			n++;
		_exit(errno != ENOMEM || !n || n > 256 || percpu_pool_alloc_init(pool, pattern));
	}
	ok(waitpid(child, &status, 0) == child && !status, "ENOMEM where there is no memory");
}

/* ---- mistakes, which end the child ---- */

static struct percpu_pool *pool_of(unsigned int flags)
{
	return percpu_pool_create("mistakes", 64, 0, 0, flags);
}

static void free_twice(void)
{
	struct percpu_pool *pool = pool_of(0);
	void *item = percpu_pool_alloc(pool);

	percpu_pool_free(pool, item);
	percpu_pool_free(pool, item);
}

static void free_other(void)
{
	percpu_pool_free(pool_of(0), &(struct percpu_node){ NULL });
}

static void free_inside(void)
{
	struct percpu_pool *pool = pool_of(0);

	percpu_pool_free(pool, (char *)percpu_pool_alloc(pool) + 8);
}

static void destroy_in_use(void)
{
	struct percpu_pool *pool = pool_of(PERCPU_POOL_DEBUG);

	if (percpu_pool_alloc(pool))
		percpu_pool_destroy(pool);
}

static void use_destroyed(void)
{
	struct percpu_pool *pool = pool_of(PERCPU_POOL_DEBUG);

	percpu_pool_destroy(pool);
	percpu_pool_alloc(pool);
}

static void store_after_free(void)
{
	struct percpu_pool *pool = pool_of(PERCPU_POOL_DEBUG);
	char *item = percpu_pool_alloc(pool);

	percpu_pool_free(pool, item);
	((volatile char *)percpu_ptr(item, percpu_nr_indices() - 1))[5] = 1;
	percpu_pool_alloc(pool);
}

static void store_after_destroy(void)
{
	struct percpu_pool *pool = pool_of(PERCPU_POOL_DEBUG);
	char *item = percpu_pool_alloc(pool);

	percpu_pool_free(pool, item);
	percpu_pool_destroy(pool);
	*(volatile char *)item = 1;
}

static void mistake(void (*make)(void), int sig, const char *message, const char *what)
{
	char said[256] = "";
	int status = 0, out[2];
	size_t len = 0;
	ssize_t more;
	pid_t child;

	if (pipe(out))
		return;
	child = fork();
	if (!child) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		dup2(out[1], 2);
		make();
		_exit(0);
	}
	close(out[1]);
	while ((more = read(out[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += more;
	close(out[0]);
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == sig && strstr(said, message),
	   "found: %s", what);
}

static void *allocate(void *arg)
{
	struct percpu_pool *pool = arg;
	void *items[16];

	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 16; i++)
			items[i] = i % 2 ? percpu_pool_alloc(pool) :
					   percpu_pool_alloc_init(pool, pattern);
		for (int i = 0; i < 16; i++) {
			if (!contains(items[i], i % 2 ? zeroes : pattern, sizeof(pattern)))
				return arg;
			memset(percpu_ptr(items[i], percpu_nr_indices() - 1), 3, sizeof(pattern));
			percpu_pool_free(pool, items[i]);
		}
	}
	return NULL;
}

static void threads(void)
{
	struct percpu_pool *pool = percpu_pool_create("threads", sizeof(pattern), 0, 0,
						      PERCPU_POOL_DEBUG);
	pthread_t all[4];
	void *wrong, *any = NULL;

	for (int i = 0; i < 4; i++)
		pthread_create(&all[i], NULL, allocate, pool);
	for (int i = 0; i < 4; i++) {
		pthread_join(all[i], &wrong);
		any = any ? any : wrong;
	}
	percpu_pool_destroy(pool);
	ok(!any, "several threads");
}

int main(void)
{
	for (unsigned int flags = 0; flags < 8; flags++)
		values(flags);
	placed();
	many();
	costs();
	forks();
	refused();
	exhausted();
	threads();
	mistake(free_twice, SIGABRT, "freed twice", "an item that is freed twice");
	mistake(free_other, SIGABRT, "not an item", "something else that is freed");
	mistake(free_inside, SIGABRT, "not an item", "the middle of an item that is freed");
	mistake(destroy_in_use, SIGABRT, "1 items in use", "a pool that is destroyed in use");
	mistake(use_destroyed, SIGABRT, "was destroyed", "a pool that is used afterwards");
	mistake(store_after_free, SIGABRT, "was written to", "an item that is used afterwards");
	mistake(store_after_destroy, SIGSEGV, "", "an item of a pool that was destroyed");
	return tap_end();
}
