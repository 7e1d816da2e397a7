// SPDX-License-Identifier: GPL-2.0
/*
 * Three ways to change per-CPU data: by restartable sequences only, by cpu_opv(2) only, or by
 * either as percpu-op.h has it.
 */
#include <errno.h>

#include "percpu_used.h"

#define COUNT(what)		__atomic_fetch_add(&percpu_used.what, 1, __ATOMIC_RELAXED)
#define RSEQ_INJECT_C(n)	{ COUNT(tries); }
#define RSEQ_INJECT_FAILED	{ COUNT(aborts); }

/*
 * Makes sequences long where it matters, between a comparison and what depends on it, so that
 * something happens there.
 */
int percpu_delay = 1000;

#ifdef __x86_64__
#define DELAY_LOOPS		"percpu_delay(%%rip)"
#else
#define DELAY_LOOPS		"percpu_delay"
#endif

#if defined(__x86_64__) || defined(__i386__)
#define DELAY			\
	"movl " DELAY_LOOPS ", %%eax\n\t" \
	"444:\n\t"		\
	"decl %%eax\n\t"	\
	"jnz 444b\n\t"
#define DELAY_1
#define DELAY_2
#define DELAY_3
#define DELAY_4			DELAY
#define DELAY_5			DELAY
#define DELAY_6
#define RSEQ_INJECT_ASM(n)	DELAY_##n
#define RSEQ_INJECT_CLOBBER	, "eax"
#endif

#include "percpu-op.h"
#include "percpu_data.h"

__thread struct percpu_used percpu_used;

/* What the pop of each takes from the list, and where. */
#define POP_ARGS(head, load)	(intptr_t *)(head), (intptr_t)NULL,			\
				offsetof(struct percpu_node, next), load

static int aborted(int ret)
{
	if (ret < 0)
		errno = EAGAIN;
	return ret;
}

static int rseq_only_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index)
{
	return aborted(rseq_addv(RSEQ_MO_RELAXED, mode, v, count, index));
}

static int rseq_only_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				   intptr_t newv, int index)
{
	return aborted(rseq_cmpeqv_storev(RSEQ_MO_RELAXED, mode, v, expect, newv, index));
}

static int rseq_only_pop(enum rseq_percpu_mode mode, struct percpu_node **head,
			 struct percpu_node **node, int index)
{
	intptr_t load = 0;
	int ret = rseq_cmpnev_storeoffp_load(RSEQ_MO_RELAXED, mode, POP_ARGS(head, &load), index);

	*node = (struct percpu_node *)load;
	return aborted(ret);
}

static int rseq_only_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
					  void *dst, void *src, size_t len, intptr_t newv,
					  int index)
{
	return aborted(rseq_cmpeqv_trymemcpy_storev(RSEQ_MO_RELAXED, mode, v, expect, dst, src,
						    len, newv, index));
}

const struct percpu_ops percpu_by_rseq = {
	rseq_only_addv, rseq_only_cmpeqv_storev, rseq_only_pop, rseq_only_cmpeqv_memcpy_storev,
};

static int cpu_opv_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index)
{
	return cpu_op_addv_flags(v, count, index, percpu_op_flags(mode));
}

static int cpu_opv_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				 intptr_t newv, int index)
{
	return cpu_op_cmpeqv_storev_flags(v, expect, newv, index, percpu_op_flags(mode));
}

static int cpu_opv_pop(enum rseq_percpu_mode mode, struct percpu_node **head,
		       struct percpu_node **node, int index)
{
	intptr_t load = 0;
	int ret = cpu_op_cmpnev_storeoffp_load_flags(POP_ARGS(head, &load), index,
						     percpu_op_flags(mode));

	*node = (struct percpu_node *)load;
	return ret;
}

static int cpu_opv_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
					void *dst, void *src, size_t len, intptr_t newv, int index)
{
	return cpu_op_cmpeqv_memcpy_storev_flags(v, expect, dst, src, len, newv, index,
						 percpu_op_flags(mode));
}

const struct percpu_ops percpu_by_cpu_opv = {
	cpu_opv_addv, cpu_opv_cmpeqv_storev, cpu_opv_pop, cpu_opv_cmpeqv_memcpy_storev,
};

static int either_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index)
{
	COUNT(ops);
	return percpu_addv(mode, v, count, index);
}

static int either_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				intptr_t newv, int index)
{
	COUNT(ops);
	return percpu_cmpeqv_storev(mode, v, expect, newv, index);
}

static int either_pop(enum rseq_percpu_mode mode, struct percpu_node **head,
		      struct percpu_node **node, int index)
{
	intptr_t load = 0;
	int ret;

	COUNT(ops);
	ret = percpu_cmpnev_storeoffp_load(mode, POP_ARGS(head, &load), index);
	*node = (struct percpu_node *)load;
	return ret;
}

static int either_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				       void *dst, void *src, size_t len, intptr_t newv, int index)
{
	COUNT(ops);
	return percpu_cmpeqv_memcpy_storev(mode, v, expect, dst, src, len, newv, index);
}

const struct percpu_ops percpu_by_either = {
	either_addv, either_cmpeqv_storev, either_pop, either_cmpeqv_memcpy_storev,
};
