// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* What is done when the first sequence did not do it: see percpu/ops.h. */
#include <errno.h>

#include <percpu/cpu_opv.h>

#include "internal.h"

/* How often what others prevent is tried again, before the caller is asked. */
#define TRIES	16

#define ARRAY_LEN(a)	((int)(sizeof(a) / sizeof(*(a))))

/* The area for the next sequence, after percpu_opv() has failed; NULL with errno: no more. */
static struct percpu_area *may_try(enum rseq_percpu_mode mode, int index, int left)
{
	struct percpu_area *area = percpu_thread_area(mode);

	if (errno != ENOSYS || !area)
		return NULL;
	if (percpu_current_index(mode) != index)
		errno = ENXIO;
	else if (!left)
		errno = EAGAIN;
	else
		return area;
	return NULL;
}

/*
 * percpu_seq_@name with these arguments, as long as it makes sense; @ret is what percpu_opv()
 * returned. The number of tries is not a constant for compilers, of which clang 15 does not come to
 * an end with 16 copies of a sequence.
 */
#define RETRY(ret, mode, index, name, ...)						\
	do {										\
		struct percpu_area *area;						\
		int left = TRIES;							\
											\
		__asm__ ("" : "+r" (left));						\
		for (; ret < 0 && (area = may_try(mode, index, left)); left--)		\
			ret = percpu_seq_##name(area, percpu_area_index(area, mode),	\
						__VA_ARGS__, index);			\
	} while (0)

static struct cpu_op equal(const intptr_t *v, const intptr_t *expect)
{
	return percpu_op_compare(CPU_COMPARE_EQ_OP, v, expect, sizeof(*v));
}

static struct cpu_op store(intptr_t *v, const intptr_t *newv)
{
	return percpu_op_memcpy(v, newv, sizeof(*v));
}

int percpu_slow_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index)
{
	struct cpu_op op = percpu_op_add(v, count, sizeof(*v));
	int ret = percpu_opv(mode, &op, 1, index);

	RETRY(ret, mode, index, addv, v, count);
	return ret;
}

int percpu_slow_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
			      intptr_t newv, int index)
{
	struct cpu_op vec[] = { equal(v, &expect), store(v, &newv) };
	int ret = percpu_opv(mode, vec, ARRAY_LEN(vec), index);

	RETRY(ret, mode, index, cmpeqv_storev, v, expect, newv);
	return ret;
}

/*
 * The address of the second word to load depends on the first, which a vector cannot express: it
 * is read here, and the vector starts with a check that it is still the same, which decides before
 * the node is touched. Somebody else may have taken and unmapped it, but also mapped it and put it
 * back while the call looked: that is the error that may be expected.
 */
static int pop_by_vector(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expectnot, long voffp,
			 intptr_t *load, int index)
{
	for (int left = TRIES; left; left--) {
		intptr_t old = *(volatile intptr_t *)v;
		struct cpu_op vec[] = {
			equal(v, &old),
			percpu_op_memcpy(v, (void *)(old + voffp), sizeof(*v)),
		};
		int ret;

		if (!percpu_opv_operations(mode)) {
			errno = ENOSYS;
			return -1;
		}
		if (old == expectnot)
			return 1;
		vec[1].u.memcpy_op.expect_fault_src = 1;
		ret = percpu_opv(mode, vec, ARRAY_LEN(vec), index);
		if (!ret)
			*load = old;
		if (!ret || (ret < 0 && errno != EAGAIN))
			return ret;
	}
	errno = EAGAIN;
	return -1;
}

int percpu_slow_cmpnev_storeoffp_load(enum rseq_percpu_mode mode, intptr_t *v,
				      intptr_t expectnot, long voffp, intptr_t *load, int index)
{
	int ret = pop_by_vector(mode, v, expectnot, voffp, load, index);

	RETRY(ret, mode, index, cmpnev_storeoffp_load, v, expectnot, voffp, load);
	return ret;
}

static int two_stores(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect, intptr_t *v2,
		      intptr_t newv2, intptr_t newv, bool release, int index)
{
	struct cpu_op vec[4];
	int cnt = 0;

	vec[cnt++] = equal(v, &expect);
	vec[cnt++] = store(v2, &newv2);
	if (release)
		vec[cnt++] = percpu_op_mb();
	vec[cnt++] = store(v, &newv);
	return percpu_opv(mode, vec, cnt, index);
}

int percpu_slow_cmpeqv_storev_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				     intptr_t *v2, intptr_t newv2, intptr_t newv, int index)
{
	int ret = two_stores(mode, v, expect, v2, newv2, newv, false, index);

	RETRY(ret, mode, index, cmpeqv_storev_storev, v, expect, v2, newv2, newv);
	return ret;
}

int percpu_slow_cmpeqv_storev_storev_release(enum rseq_percpu_mode mode, intptr_t *v,
					     intptr_t expect, intptr_t *v2, intptr_t newv2,
					     intptr_t newv, int index)
{
	int ret = two_stores(mode, v, expect, v2, newv2, newv, true, index);

	RETRY(ret, mode, index, cmpeqv_storev_storev_release, v, expect, v2, newv2, newv);
	return ret;
}

int percpu_slow_cmpeqv_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				     intptr_t *v2, intptr_t expect2, intptr_t newv, int index)
{
	struct cpu_op vec[] = { equal(v, &expect), equal(v2, &expect2), store(v, &newv) };
	int ret = percpu_opv(mode, vec, ARRAY_LEN(vec), index);

	RETRY(ret, mode, index, cmpeqv_cmpeqv_storev, v, expect, v2, expect2, newv);
	return ret;
}

static int copy_and_store(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect, void *dst,
			  const void *src, size_t len, intptr_t newv, bool release, int index)
{
	struct cpu_op vec[4];
	int cnt = 0;

	vec[cnt++] = equal(v, &expect);
	vec[cnt++] = percpu_op_memcpy(dst, src, len);
	if (release)
		vec[cnt++] = percpu_op_mb();
	vec[cnt++] = store(v, &newv);
	return percpu_opv(mode, vec, cnt, index);
}

int percpu_slow_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				     void *dst, const void *src, size_t len, intptr_t newv,
				     int index)
{
	int ret = copy_and_store(mode, v, expect, dst, src, len, newv, false, index);

	RETRY(ret, mode, index, cmpeqv_memcpy_storev, v, expect, dst, src, len, newv);
	return ret;
}

int percpu_slow_cmpeqv_memcpy_storev_release(enum rseq_percpu_mode mode, intptr_t *v,
					     intptr_t expect, void *dst, const void *src,
					     size_t len, intptr_t newv, int index)
{
	int ret = copy_and_store(mode, v, expect, dst, src, len, newv, true, index);

	RETRY(ret, mode, index, cmpeqv_memcpy_storev_release, v, expect, dst, src, len, newv);
	return ret;
}

bool percpu_remote_available(enum rseq_percpu_mode mode)
{
	return percpu_opv_operations(mode) > 0;
}

bool percpu_available(enum rseq_percpu_mode mode)
{
	return percpu_thread_area(mode) || percpu_remote_available(mode);
}
