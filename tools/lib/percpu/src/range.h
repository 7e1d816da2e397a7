/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/* A range: the memory of some items of a pool, for all indices. */
#ifndef PERCPU_RANGE_H
#define PERCPU_RANGE_H

#include <percpu/pool.h>

struct range {
	struct range *next;
	char *base;		/* of index 0 */
	size_t length;		/* of all indices */
	size_t stride;
	/*
	 * Writable, what pages of all indices are as long as nobody has written to them. NULL: they
	 * are zero, or what they are must not change any more, since a child has them, too.
	 */
	char *init;
	size_t items;
	size_t touched;		/* items from here on have never been allocated */
	size_t hint;		/* items below are allocated */
	unsigned char used[];	/* by item */
};

/* NULL with errno. @flags: of the pool; @init: whether it shall have that. */
struct range *percpu_range_create(size_t stride, size_t items, unsigned int flags, bool init);

/* @reserve: keep the addresses, inaccessible. */
void percpu_range_destroy(struct range *range, bool reserve);

/* What pages have been at first stays as it is. */
void percpu_range_freeze(struct range *range);

/* The items at @offset become copies of @value. */
void percpu_range_fill(struct range *range, size_t offset, const void *value, size_t size);

#endif /* PERCPU_RANGE_H */
