/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/* What the library found: kernel, C library, environment. percpu-info(1) prints it. */
#ifndef PERCPU_INFO_H
#define PERCPU_INFO_H

#include <percpu/area.h>

#ifdef __cplusplus
extern "C" {
#endif

enum percpu_owner {
	PERCPU_OWNER_NONE,	/* the kernel has no rseq(2), or a sandbox denies it */
	PERCPU_OWNER_LIBC,
	PERCPU_OWNER_PERCPU,	/* this library */
	PERCPU_OWNER_OTHER,	/* somebody else, whose area cannot be used */
};

/* Members may be added at the end. */
struct percpu_info {
	int owner;			/* who registered the calling thread */
	int rseq_version;		/* of its area: 1 or 2; 0: it has none of use */
	unsigned int rseq_size;		/* in bytes, as registered */
	unsigned int feature_size;	/* what the kernel has, see rseq(2) */
	int sequences;			/* the thread tries sequences: by CPU */
	int mm_cid;			/* and by concurrency ID */
	int cpu_opv;			/* how many operations cpu_opv(2) has; 0: it is not used */
	int cpu_opv_mm_cid;		/* it is there for concurrency IDs */
	int membarrier;			/* membarrier(2) can abort sequences of the process */
	int indices;			/* percpu_nr_indices() */
};

/* Fills the first @size bytes: sizeof(struct percpu_info) as the caller knows it. */
void percpu_get_info(struct percpu_info *info, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_INFO_H */
