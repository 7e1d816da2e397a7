// SPDX-License-Identifier: GPL-2.0
/* cpu_opv(2) for programs: see cpu-op.h. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu-op.h"

#ifndef __NR_cpu_opv
#define __NR_cpu_opv	473
#endif

#define MAX_TRIES	16

#define ARRAY_LEN(a)	((int)(sizeof(a) / sizeof(*(a))))

int cpu_opv(struct cpu_op *vec, int cnt, int cpu, unsigned int flags)
{
	return syscall(__NR_cpu_opv, vec, cnt, cpu, flags);
}

bool cpu_op_available(void)
{
	return cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG) >= NR_CPU_OPS;
}

bool cpu_op_mm_cid_available(void)
{
	int flags = cpu_opv(NULL, 0, 0, CPU_OP_FLAGS_FLAG);

	return flags > 0 && (flags & CPU_OP_MM_CID_FLAG);
}

int cpu_op_cmpxchg_flags(void *v, void *expect, void *old, void *n, size_t len, int index,
			 unsigned int flags)
{
	struct cpu_op vec[] = {
		cpu_op_memcpy(old, v, len),
		cpu_op_eq(v, expect, len),
		cpu_op_memcpy(v, n, len),
	};

	return cpu_opv(vec, ARRAY_LEN(vec), index, flags);
}

int cpu_op_add_flags(void *v, int64_t count, size_t len, int index, unsigned int flags)
{
	struct cpu_op op = cpu_op_plus(v, count, len);

	return cpu_opv(&op, 1, index, flags);
}

int cpu_op_addv_flags(intptr_t *v, int64_t count, int index, unsigned int flags)
{
	return cpu_op_add_flags(v, count, sizeof(*v), index, flags);
}

int cpu_op_cmpeqv_storev_flags(intptr_t *v, intptr_t expect, intptr_t newv, int index,
			       unsigned int flags)
{
	struct cpu_op vec[] = {
		cpu_op_eq(v, &expect, sizeof(*v)),
		cpu_op_memcpy(v, &newv, sizeof(*v)),
	};

	return cpu_opv(vec, ARRAY_LEN(vec), index, flags);
}

/*
 * The address of the second word to load depends on the first, which a vector cannot express: it
 * is read here, and the vector starts with a check that it is still the same, which decides before
 * the node is touched. Somebody else may have taken and unmapped it, but also mapped it and put it
 * back while the call looked: that is the error that may be expected, once or twice in a row.
 */
int cpu_op_cmpnev_storeoffp_load_flags(intptr_t *v, intptr_t expectnot, long voffp, intptr_t *load,
				       int index, unsigned int flags)
{
	for (int tries = 0; ; ) {
		intptr_t old = *(volatile intptr_t *)v;
		struct cpu_op vec[] = {
			cpu_op_eq(v, &old, sizeof(*v)),
			cpu_op_memcpy(v, (void *)(old + voffp), sizeof(*v)),
		};
		int ret;

		if (old == expectnot)
			return 1;
		vec[1].u.memcpy_op.expect_fault_src = 1;
		ret = cpu_opv(vec, ARRAY_LEN(vec), index, flags);
		if (!ret) {
			*load = old;
			return 0;
		}
		if (ret < 0 && (errno != EAGAIN || ++tries == MAX_TRIES))
			return -1;
	}
}

static int cmpeqv_storev_storev(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
				intptr_t newv, bool mb, int index, unsigned int flags)
{
	struct cpu_op vec[4];
	int cnt = 0;

	vec[cnt++] = cpu_op_eq(v, &expect, sizeof(*v));
	vec[cnt++] = cpu_op_memcpy(v2, &newv2, sizeof(*v2));
	if (mb)
		vec[cnt++] = cpu_op_mb();
	vec[cnt++] = cpu_op_memcpy(v, &newv, sizeof(*v));
	return cpu_opv(vec, cnt, index, flags);
}

int cpu_op_cmpeqv_storev_storev_flags(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
				      intptr_t newv, int index, unsigned int flags)
{
	return cmpeqv_storev_storev(v, expect, v2, newv2, newv, false, index, flags);
}

int cpu_op_cmpeqv_storev_mb_storev_flags(intptr_t *v, intptr_t expect, intptr_t *v2,
					 intptr_t newv2, intptr_t newv, int index,
					 unsigned int flags)
{
	return cmpeqv_storev_storev(v, expect, v2, newv2, newv, true, index, flags);
}

int cpu_op_cmpeqv_cmpeqv_storev_flags(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t expect2,
				      intptr_t newv, int index, unsigned int flags)
{
	struct cpu_op vec[] = {
		cpu_op_eq(v, &expect, sizeof(*v)),
		cpu_op_eq(v2, &expect2, sizeof(*v2)),
		cpu_op_memcpy(v, &newv, sizeof(*v)),
	};

	return cpu_opv(vec, ARRAY_LEN(vec), index, flags);
}

static int cmpeqv_memcpy_storev(intptr_t *v, intptr_t expect, void *dst, void *src, size_t len,
				intptr_t newv, bool mb, int index, unsigned int flags)
{
	struct cpu_op vec[4];
	int cnt = 0;

	vec[cnt++] = cpu_op_eq(v, &expect, sizeof(*v));
	vec[cnt++] = cpu_op_memcpy(dst, src, len);
	if (mb)
		vec[cnt++] = cpu_op_mb();
	vec[cnt++] = cpu_op_memcpy(v, &newv, sizeof(*v));
	return cpu_opv(vec, cnt, index, flags);
}

int cpu_op_cmpeqv_memcpy_storev_flags(intptr_t *v, intptr_t expect, void *dst, void *src,
				      size_t len, intptr_t newv, int index, unsigned int flags)
{
	return cmpeqv_memcpy_storev(v, expect, dst, src, len, newv, false, index, flags);
}

int cpu_op_cmpeqv_memcpy_mb_storev_flags(intptr_t *v, intptr_t expect, void *dst, void *src,
					 size_t len, intptr_t newv, int index,
					 unsigned int flags)
{
	return cmpeqv_memcpy_storev(v, expect, dst, src, len, newv, true, index, flags);
}
