/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/*
 * Memory for per-CPU data: an item has a place for each index, all at the same distance, the
 * stride. What an index has not been used for costs no memory: its pages are the zero page, or
 * those of the values that items were given at first.
 *
 * All functions can be called by several threads, but not in a signal handler. After fork(2)
 * parent and child can go on with a pool, each with its own copy.
 */
#ifndef PERCPU_POOL_H
#define PERCPU_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The default, and what percpu_ptr() assumes. */
#define PERCPU_STRIDE		((size_t)1 << 16)

enum percpu_pool_flags {
	PERCPU_POOL_HUGE	= 1 << 0,	/* transparent huge pages, see madvise(2) */
	PERCPU_POOL_NUMA	= 1 << 1,	/* on the node of the CPU, for data by CPU */
	PERCPU_POOL_DEBUG	= 1 << 2,	/* look for mistakes, and abort(3) then */
};

struct percpu_pool;

/*
 * A pool of items of @size bytes, aligned to @align (a power of two; 0: as malloc(3)), for all
 * indices. @stride: a power of two, at least a page and @size; 0: PERCPU_STRIDE. Other flags than
 * those above are an error. NULL with errno: EINVAL, ENOMEM, or another one of mmap(2).
 *
 * The environment variable PERCPU_DEBUG=1 adds PERCPU_POOL_DEBUG to all pools.
 */
struct percpu_pool *percpu_pool_create(const char *name, size_t size, size_t align, size_t stride,
				       unsigned int flags);

/*
 * Unmaps the memory, also that of items that were not freed: nobody may use it any more. With
 * PERCPU_POOL_DEBUG, such items are a mistake, and the addresses are not used again, so that who
 * does use them gets SIGSEGV.
 */
void percpu_pool_destroy(struct percpu_pool *pool);

/*
 * An item: the address for index 0. It is zero for all indices, or a copy of @init, of the size
 * of an item. NULL with errno: ENOMEM.
 */
void *percpu_pool_alloc(struct percpu_pool *pool);
void *percpu_pool_alloc_init(struct percpu_pool *pool, const void *init);

/*
 * Nobody may use it any more. What is no item of the pool, or was freed already, ends the program
 * with a message. With PERCPU_POOL_DEBUG, also what was stored to it before it is allocated again.
 */
void percpu_pool_free(struct percpu_pool *pool, void *item);

/* Where @index has its part of @item. */
static inline void *percpu_ptr_stride(const void *item, int index, size_t stride)
{
	return (char *)(uintptr_t)item + (size_t)index * stride;
}

static inline void *percpu_ptr(const void *item, int index)
{
	return percpu_ptr_stride(item, index, PERCPU_STRIDE);
}

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_POOL_H */
