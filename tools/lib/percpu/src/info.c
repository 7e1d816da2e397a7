// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* What the library found: see percpu/info.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* linux/membarrier.h may be older. */
#define MEMBARRIER_QUERY			0
#define MEMBARRIER_PRIVATE_EXPEDITED_RSEQ	(1 << 7)

/* Linux has at most 8192 CPUs. */
#define MASK_WORDS	(8192 / (8 * sizeof(unsigned long)))

/*
 * The last number in the list of possible CPUs, of which there is one range, or several. -1 if it
 * cannot be read.
 */
static int last_possible(void)
{
	char list[1024];
	ssize_t len = -1;
	int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		len = read(fd, list, sizeof(list) - 1);
		close(fd);
	}
	if (len <= 0)
		return -1;
	while (len && (list[len - 1] < '0' || list[len - 1] > '9'))
		list[--len] = '\0';
	list[len] = '\0';
	while (len && list[len - 1] >= '0' && list[len - 1] <= '9')
		len--;
	return list[len] ? atoi(list + len) : -1;
}

/* The size of the kernel's masks: at least as many, up to 63 more. */
static int bits_of_masks(void)
{
	unsigned long mask[MASK_WORDS];
	long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	return bytes > 0 ? bytes * 8 : (long)sizeof(mask) * 8;
}

int percpu_nr_indices(void)
{
	static int known;
	int indices = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!indices) {
		indices = last_possible() + 1;
		if (!indices)
			indices = bits_of_masks();
		__atomic_store_n(&known, indices, __ATOMIC_RELAXED);
	}
	return indices;
}

void percpu_get_info(struct percpu_info *info, size_t size)
{
	struct percpu_info found = { .indices = percpu_nr_indices() };
	struct percpu_area *area;
	long barriers = syscall(SYS_membarrier, MEMBARRIER_QUERY, 0);

	found.owner = percpu_registered(&area, &found.rseq_size);
	found.rseq_version = !area ? 0 : found.rseq_size > 32 ? 2 : 1;
	found.feature_size = percpu_feature_size();
	found.sequences = percpu_thread_area(RSEQ_PERCPU_CPU_ID) != NULL;
	found.mm_cid = percpu_thread_area(RSEQ_PERCPU_MM_CID) != NULL;
	found.cpu_opv = percpu_opv_operations(RSEQ_PERCPU_CPU_ID);
	found.cpu_opv_mm_cid = percpu_opv_operations(RSEQ_PERCPU_MM_CID) > 0;
	found.membarrier = barriers > 0 && (barriers & MEMBARRIER_PRIVATE_EXPEDITED_RSEQ);

	/* A newer program may know more. */
	memset(info, 0, size);
	memcpy(info, &found, size < sizeof(found) ? size : sizeof(found));
}
