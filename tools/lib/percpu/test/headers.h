/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that the headers have, for C and C++ with each compiler: in an inline function, of which two
 * files have a copy and the linker, in C++, takes one.
 */
#include <percpu/percpu.h>
#include <percpu/cpu_opv.h>

struct all {
	intptr_t v, v2, load;
	struct percpu_list list;
	struct percpu_node node;
	char copy[16];
};

#ifdef __cplusplus
template<enum rseq_percpu_mode mode>
inline
#else
static inline
#endif
int use_all(struct all *all, int index
#ifndef __cplusplus
	    , enum rseq_percpu_mode mode
#endif
	    )
{
	struct percpu_node *node;
	struct cpu_op ops[2];
	int ret;

	ops[0] = percpu_op_compare(CPU_COMPARE_EQ_OP, &all->v, &all->v2, sizeof(all->v));
	ops[1] = percpu_op_shift(CPU_LSHIFT_OP, &all->v, 1, sizeof(all->v));
	ret = percpu_addv(mode, &all->v, 1, index);
	ret |= percpu_cmpeqv_storev(mode, &all->v, 1, 2, index);
	ret |= percpu_cmpeqv_storev_storev(mode, &all->v, 2, &all->v2, 7, 3, index);
	ret |= percpu_cmpeqv_storev_storev_release(mode, &all->v, 3, &all->v2, 8, 4, index);
	ret |= percpu_cmpeqv_cmpeqv_storev(mode, &all->v, 4, &all->v2, 8, 5, index);
	ret |= percpu_cmpeqv_memcpy_storev(mode, &all->v, 5, all->copy, "text", 5, 6, index);
	ret |= percpu_cmpeqv_memcpy_storev_release(mode, &all->v, 6, all->copy, "text", 5, 7,
						   index);
	ret |= percpu_list_push(mode, &all->list, &all->node, index);
	ret |= percpu_list_pop(mode, &all->list, &node, index);
	ret |= percpu_list_take(mode, &all->list, &node, index) != 1;
	if (percpu_opv(mode, ops, 2, index) < 0)
		ret |= percpu_remote_available(mode);
	return ret;
}

int use_in_other_file(struct all *all, int index);
