// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* Pools: see percpu/pool.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "range.h"

#define ALL_FLAGS	(PERCPU_POOL_HUGE | PERCPU_POOL_NUMA | PERCPU_POOL_DEBUG)
#define DEFAULT_ALIGN	16
#define POISON		0x6b
#define ALIVE		0x706f6f6c

struct percpu_pool {
	unsigned int alive;
	char name[32];
	size_t size;		/* of an item, rounded up */
	size_t wanted;		/* as the caller asked */
	size_t stride;
	unsigned int flags;
	size_t allocated;
	void *zero, *poison;	/* an item of these */
	pthread_mutex_t mutex;
	struct range *ranges;
	struct percpu_pool *next;
};

/* Of all pools, for fork(2); its mutex is taken before theirs. */
static struct percpu_pool *pools;
static pthread_mutex_t pools_mutex = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((noreturn, format(printf, 2, 3)))
void misuse(const struct percpu_pool *pool, const char *format, ...)
{
	char what[160];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	fprintf(stderr, "percpu: pool %s: %s\n", pool->name, what);
	abort();
}

static void must_be_alive(const struct percpu_pool *pool)
{
	if (pool->alive != ALIVE)
		misuse(pool, "it was destroyed");
}

/*
 * Parent and child share what pages are at first: neither may change that from now on. New
 * ranges are of one of them alone.
 */
static void before_fork(void)
{
	pthread_mutex_lock(&pools_mutex);
	for (struct percpu_pool *pool = pools; pool; pool = pool->next) {
		pthread_mutex_lock(&pool->mutex);
		for (struct range *range = pool->ranges; range; range = range->next)
			percpu_range_freeze(range);
	}
}

static void after_fork(void)
{
	for (struct percpu_pool *pool = pools; pool; pool = pool->next)
		pthread_mutex_unlock(&pool->mutex);
	pthread_mutex_unlock(&pools_mutex);
}

static __attribute__((constructor)) void at_fork(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

static bool power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

static void *item_of(int byte, size_t size)
{
	void *item = malloc(size);

	return item ? memset(item, byte, size) : NULL;
}

static void free_pool(struct percpu_pool *pool)
{
	free(pool->zero);
	free(pool->poison);
	free(pool);
}

struct percpu_pool *percpu_pool_create(const char *name, size_t size, size_t align, size_t stride,
				       unsigned int flags)
{
	struct percpu_pool *pool;

	align = align ? align : DEFAULT_ALIGN;
	stride = stride ? stride : PERCPU_STRIDE;
	if (!size || size > stride || !power_of_two(align) || !power_of_two(stride) ||
	    align > (size_t)sysconf(_SC_PAGESIZE) || stride < (size_t)sysconf(_SC_PAGESIZE) ||
	    (flags & ~ALL_FLAGS)) {
		errno = EINVAL;
		return NULL;
	}
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return NULL;
	snprintf(pool->name, sizeof(pool->name), "%s", name ? name : "");
	pool->wanted = size;
	pool->size = (size + align - 1) & ~(align - 1);
	pool->stride = stride;
	pool->flags = flags | (percpu_policy()->debug ? PERCPU_POOL_DEBUG : 0);
	pool->zero = item_of(0, size);
	pool->poison = item_of(POISON, size);
	if (!pool->zero || !pool->poison) {
		free_pool(pool);
		return NULL;
	}
	pthread_mutex_init(&pool->mutex, NULL);
	pool->alive = ALIVE;
	pthread_mutex_lock(&pools_mutex);
	pool->next = pools;
	pools = pool;
	pthread_mutex_unlock(&pools_mutex);
	return pool;
}

static void forget(struct percpu_pool *pool)
{
	struct percpu_pool **link = &pools;

	pthread_mutex_lock(&pools_mutex);
	while (*link != pool)
		link = &(*link)->next;
	*link = pool->next;
	pthread_mutex_unlock(&pools_mutex);
}

/* In debug mode the pool itself stays, to tell who uses it. */
void percpu_pool_destroy(struct percpu_pool *pool)
{
	bool debug;

	if (!pool)
		return;
	must_be_alive(pool);
	debug = pool->flags & PERCPU_POOL_DEBUG;
	if (debug && pool->allocated)
		misuse(pool, "destroyed with %zu items in use", pool->allocated);
	forget(pool);
	pool->alive = 0;
	while (pool->ranges) {
		struct range *range = pool->ranges;

		pool->ranges = range->next;
		percpu_range_destroy(range, debug);
	}
	pthread_mutex_destroy(&pool->mutex);
	if (!debug)
		free_pool(pool);
}

/* The number of a free item; range->items if there is none. */
static size_t free_item(struct range *range)
{
	while (range->hint < range->items && range->used[range->hint])
		range->hint++;
	return range->hint;
}

/* A range with a free item, where pages are at first what is stored to init, or are not. */
static struct range *range_with_room(struct percpu_pool *pool, bool init)
{
	struct range *range;

	for (range = pool->ranges; range; range = range->next) {
		if (!range->init == !init && free_item(range) < range->items)
			return range;
	}
	range = percpu_range_create(pool->stride, pool->stride / pool->size, pool->flags, init);
	if (range) {
		range->next = pool->ranges;
		pool->ranges = range;
	}
	return range;
}

static void check_poison(const struct percpu_pool *pool, const char *item, size_t length)
{
	for (size_t at = 0; at < length; at += pool->stride) {
		if (memcmp(item + at, pool->poison, pool->wanted))
			misuse(pool, "item %p was written to, at index %zu, after it was freed",
			       item, at / pool->stride);
	}
}

static void *alloc(struct percpu_pool *pool, const void *value, bool init)
{
	struct range *range = range_with_room(pool, init);
	size_t number, offset;
	bool touched;

	if (!range)
		return NULL;
	number = free_item(range);
	offset = number * pool->size;
	touched = number < range->touched;
	if (touched && (pool->flags & PERCPU_POOL_DEBUG))
		check_poison(pool, range->base + offset, range->length);
	/* What nobody has had is zero. */
	if (touched || value != pool->zero)
		percpu_range_fill(range, offset, value, pool->wanted);
	if (!touched)
		range->touched = number + 1;
	range->used[number] = 1;
	pool->allocated++;
	return range->base + offset;
}

void *percpu_pool_alloc_init(struct percpu_pool *pool, const void *init)
{
	/* File mappings have neither huge pages nor a placement of their own. */
	bool share = init && !(pool->flags & (PERCPU_POOL_HUGE | PERCPU_POOL_NUMA));
	void *item;

	must_be_alive(pool);
	pthread_mutex_lock(&pool->mutex);
	item = alloc(pool, init ? init : pool->zero, share);
	/* Without memfd_create(2), each index has its copy. */
	if (!item && share)
		item = alloc(pool, init, false);
	pthread_mutex_unlock(&pool->mutex);
	return item;
}

void *percpu_pool_alloc(struct percpu_pool *pool)
{
	return percpu_pool_alloc_init(pool, NULL);
}

void percpu_pool_free(struct percpu_pool *pool, void *item)
{
	struct range *range;
	size_t offset, number;

	if (!item)
		return;
	must_be_alive(pool);
	pthread_mutex_lock(&pool->mutex);
	for (range = pool->ranges; range; range = range->next) {
		if ((uintptr_t)item - (uintptr_t)range->base < pool->stride)
			break;
	}
	offset = range ? (size_t)((char *)item - range->base) : 0;
	number = offset / pool->size;
	if (!range || offset % pool->size || number >= range->items)
		misuse(pool, "%p is not an item of it", item);
	if (!range->used[number])
		misuse(pool, "item %p was freed twice", item);
	if (pool->flags & PERCPU_POOL_DEBUG)
		percpu_range_fill(range, offset, pool->poison, pool->wanted);
	range->used[number] = 0;
	if (number < range->hint)
		range->hint = number;
	pool->allocated--;
	pthread_mutex_unlock(&pool->mutex);
}
