/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/*
 * A list of nodes for each index: what was put in last comes out first. The head is a word that
 * only these functions change; nodes are of the caller, and contain a struct percpu_node.
 *
 * Where a comparison fails, others have changed the list meanwhile, and it is tried again. Who tries
 * again after an error does so after ENXIO, with another index, and EAGAIN; others do not go away.
 */
#ifndef PERCPU_LIST_H
#define PERCPU_LIST_H

#include <percpu/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

struct percpu_node {
	struct percpu_node *next;
};

struct percpu_list {
	intptr_t first;		/* struct percpu_node *, 0 if there is none */
};

static inline intptr_t percpu_list_first(const struct percpu_list *list)
{
	return *(const volatile intptr_t *)&list->first;
}

/* 0, or -1 with errno as the operations have. */
static inline int percpu_list_push(enum rseq_percpu_mode mode, struct percpu_list *list,
				   struct percpu_node *node, int index)
{
	int ret;

	do {
		intptr_t first = percpu_list_first(list);

		node->next = (struct percpu_node *)first;
		ret = percpu_cmpeqv_storev(mode, &list->first, first, (intptr_t)node, index);
	} while (ret > 0);
	return ret;
}

/* 0 and a node, 1 and NULL if there is none, or -1 with errno. */
static inline int percpu_list_pop(enum rseq_percpu_mode mode, struct percpu_list *list,
				  struct percpu_node **node, int index)
{
	intptr_t first = 0;
	int ret = percpu_cmpnev_storeoffp_load(mode, &list->first, 0,
					       (long)offsetof(struct percpu_node, next), &first,
					       index);

	*node = ret ? NULL : (struct percpu_node *)first;
	return ret;
}

/* The same with all nodes, chained by next. */
static inline int percpu_list_take(enum rseq_percpu_mode mode, struct percpu_list *list,
				   struct percpu_node **nodes, int index)
{
	intptr_t first;
	int ret;

	*nodes = NULL;
	do {
		first = percpu_list_first(list);
		if (!first)
			return 1;
		ret = percpu_cmpeqv_storev(mode, &list->first, first, 0, index);
	} while (ret > 0);
	if (!ret)
		*nodes = (struct percpu_node *)first;
	return ret;
}

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_LIST_H */
