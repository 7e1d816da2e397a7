// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* Memory for all indices: see range.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "range.h"

#define HUGE_PAGE	((size_t)2 << 20)
/* linux/mempolicy.h is not needed for one number. */
#define POLICY_PREFERRED	1
#define MAX_NODES	1024
#define WORD_BITS	(8 * sizeof(unsigned long))

/* -1: it cannot be told, as of an offline CPU. */
static int node_of(int cpu)
{
	char path[64];
	struct dirent *entry;
	int node = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d", cpu);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (node < 0 && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "node%d", &node) != 1)
			node = -1;
	}
	closedir(dir);
	return node;
}

/* Where that is not possible, memory is where the kernel puts it, as without. */
static void place(const struct range *range)
{
	for (int cpu = 0; cpu < percpu_nr_indices(); cpu++) {
		unsigned long nodes[MAX_NODES / WORD_BITS] = { 0 };
		int node = node_of(cpu);

		if (node < 0 || node >= MAX_NODES)
			continue;
		nodes[node / WORD_BITS] = 1UL << node % WORD_BITS;
		syscall(SYS_mbind, percpu_ptr_stride(range->base, cpu, range->stride),
			range->stride, POLICY_PREFERRED, nodes, MAX_NODES, 0);
	}
}

/* Zero pages, which begin at a multiple of @align. */
static char *map_zero(size_t length, size_t align)
{
	size_t more = align > (size_t)sysconf(_SC_PAGESIZE) ? align : 0;
	char *map = mmap(NULL, length + more, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (map == MAP_FAILED)
		return NULL;
	if (!more)
		return map;
	before = -(uintptr_t)map % align;
	if (before)
		munmap(map, before);
	munmap(map + before + length, more - before);
	return map + before;
}

/* Puts private mappings of one file in the place of the zero pages. */
static int map_init(struct range *range)
{
	size_t stride = range->stride;
	int fd = memfd_create("percpu", MFD_CLOEXEC);
	char *init = MAP_FAILED;

	if (fd < 0)
		return -1;
	if (!ftruncate(fd, stride))
		init = mmap(NULL, stride, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (size_t at = 0; init != MAP_FAILED && at < range->length; at += stride) {
		if (mmap(range->base + at, stride, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED) {
			munmap(init, stride);
			init = MAP_FAILED;
		}
	}
	close(fd);
	if (init == MAP_FAILED)
		return -1;
	range->init = init;
	return 0;
}

struct range *percpu_range_create(size_t stride, size_t items, unsigned int flags, bool init)
{
	struct range *range = calloc(1, sizeof(*range) + items);

	if (!range || __builtin_mul_overflow(stride, percpu_nr_indices(), &range->length)) {
		free(range);
		errno = ENOMEM;
		return NULL;
	}
	range->stride = stride;
	range->items = items;
	range->base = map_zero(range->length, flags & PERCPU_POOL_HUGE ? HUGE_PAGE : 1);
	if (range->base && (!init || !map_init(range))) {
		if (flags & PERCPU_POOL_HUGE)
			madvise(range->base, range->length, MADV_HUGEPAGE);
		if (flags & PERCPU_POOL_NUMA)
			place(range);
		return range;
	}
	if (range->base)
		munmap(range->base, range->length);
	free(range);
	return NULL;
}

void percpu_range_freeze(struct range *range)
{
	if (range->init)
		munmap(range->init, range->stride);
	range->init = NULL;
}

void percpu_range_destroy(struct range *range, bool reserve)
{
	percpu_range_freeze(range);
	if (!reserve || mmap(range->base, range->length, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			     0) == MAP_FAILED)
		munmap(range->base, range->length);
	free(range);
}

/* Only where it makes a difference: a page that is written to is memory of that index alone. */
void percpu_range_fill(struct range *range, size_t offset, const void *value, size_t size)
{
	if (range->init)
		memcpy(range->init + offset, value, size);
	for (size_t at = offset; at < range->length; at += range->stride) {
		if (memcmp(range->base + at, value, size))
			memcpy(range->base + at, value, size);
	}
}
