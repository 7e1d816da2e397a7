// SPDX-License-Identifier: GPL-2.0
/*
 * Three ways to change per-CPU data: by restartable sequences only, by cpu_opv(2) only, or by
 * either as percpu-op.h has it.
 */
#include <errno.h>

#include "percpu_data.h"

#define COUNT(what)		__atomic_fetch_add(&percpu_used.what, 1, __ATOMIC_RELAXED)
#define RSEQ_INJECT_C(n)	{ COUNT(tries); }
#define RSEQ_INJECT_FAILED	{ COUNT(aborts); }

/*
 * Makes sequences long where it matters, between a comparison and what depends on it, so that
 * something happens there.
 */
#if defined(__x86_64__) || defined(__i386__)
#define DELAY			\
	"movl $1000, %%eax\n\t"	\
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

static int rseq_only_addv(intptr_t *v, intptr_t count, int cpu)
{
	return aborted(rseq_addv(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, v, count, cpu));
}

static int rseq_only_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t newv, int cpu)
{
	return aborted(rseq_cmpeqv_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, v, expect, newv,
					  cpu));
}

static int rseq_only_pop(struct percpu_node **head, struct percpu_node **node, int cpu)
{
	intptr_t load = 0;
	int ret = rseq_cmpnev_storeoffp_load(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID,
					     POP_ARGS(head, &load), cpu);

	*node = (struct percpu_node *)load;
	return aborted(ret);
}

static int rseq_only_cmpeqv_memcpy_storev(intptr_t *v, intptr_t expect, void *dst, void *src,
					  size_t len, intptr_t newv, int cpu)
{
	return aborted(rseq_cmpeqv_trymemcpy_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, v, expect,
						    dst, src, len, newv, cpu));
}

const struct percpu_ops percpu_by_rseq = {
	rseq_only_addv, rseq_only_cmpeqv_storev, rseq_only_pop, rseq_only_cmpeqv_memcpy_storev,
};

static int cpu_opv_addv(intptr_t *v, intptr_t count, int cpu)
{
	return cpu_op_addv(v, count, cpu);
}

static int cpu_opv_pop(struct percpu_node **head, struct percpu_node **node, int cpu)
{
	intptr_t load = 0;
	int ret = cpu_op_cmpnev_storeoffp_load(POP_ARGS(head, &load), cpu);

	*node = (struct percpu_node *)load;
	return ret;
}

const struct percpu_ops percpu_by_cpu_opv = {
	cpu_opv_addv, cpu_op_cmpeqv_storev, cpu_opv_pop, cpu_op_cmpeqv_memcpy_storev,
};

static int either_addv(intptr_t *v, intptr_t count, int cpu)
{
	COUNT(ops);
	return percpu_addv(v, count, cpu);
}

static int either_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t newv, int cpu)
{
	COUNT(ops);
	return percpu_cmpeqv_storev(v, expect, newv, cpu);
}

static int either_pop(struct percpu_node **head, struct percpu_node **node, int cpu)
{
	intptr_t load = 0;
	int ret;

	COUNT(ops);
	ret = percpu_cmpnev_storeoffp_load(POP_ARGS(head, &load), cpu);
	*node = (struct percpu_node *)load;
	return ret;
}

static int either_cmpeqv_memcpy_storev(intptr_t *v, intptr_t expect, void *dst, void *src,
				       size_t len, intptr_t newv, int cpu)
{
	COUNT(ops);
	return percpu_cmpeqv_memcpy_storev(v, expect, dst, src, len, newv, cpu);
}

const struct percpu_ops percpu_by_either = {
	either_addv, either_cmpeqv_storev, either_pop, either_cmpeqv_memcpy_storev,
};
