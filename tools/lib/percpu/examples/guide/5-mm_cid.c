// SPDX-License-Identifier: GPL-2.0
/* Step 5: as many lists as threads that run at the same time. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <percpu/percpu.h>

#define THREADS		4
#define REQUESTS	100000	/* of each thread */

static enum rseq_percpu_mode mode = RSEQ_PERCPU_CPU_ID;

struct buffer {
	struct percpu_node node;	/* first, so that a node is a buffer */
	char data[240];
};

static struct percpu_list *unused;
static struct percpu_counter *requests;

static struct percpu_list *list_of(int index)
{
	return percpu_ptr(unused, index);
}

static struct buffer *get(void)
{
	int index = percpu_current_index(mode);
	struct percpu_node *node;

	if (!percpu_list_pop(mode, list_of(index), &node, index))
		return (struct buffer *)node;
	return malloc(sizeof(struct buffer));
}

static void put(struct buffer *buffer)
{
	int index = percpu_current_index(mode);

	if (percpu_list_push(mode, list_of(index), &buffer->node, index))
		free(buffer);
}

/* Returns how many lists could not be reached. */
static int drain(void)
{
	int unreachable = 0;

	for (int index = 0; index < percpu_nr_indices(); index++) {
		struct percpu_node *node;

		if (percpu_list_take(mode, list_of(index), &node, index) < 0)
			unreachable++;
		while (node) {
			struct percpu_node *next = node->next;

			free(node);
			node = next;
		}
	}
	return unreachable;
}

static void *serve(void *arg)
{
	for (long i = 0; i < REQUESTS; i++) {
		struct buffer *buffer = get();

		if (!buffer)
			abort();
		snprintf(buffer->data, sizeof(buffer->data), "request %ld", i);
		percpu_counter_add(requests, 1);
		put(buffer);
	}
	return arg;
}

int main(void)
{
	pthread_t threads[THREADS];
	struct percpu_pool *pool;
	long sum;

	if (percpu_available(RSEQ_PERCPU_MM_CID))
		mode = RSEQ_PERCPU_MM_CID;
	requests = percpu_counter_create();
	pool = percpu_pool_create("lists", sizeof(*unused), 0, 0, 0);
	unused = pool ? percpu_pool_alloc(pool) : NULL;
	if (!requests || !unused)
		abort();
	for (int i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, serve, NULL))
			abort();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%d lists out of reach\n", drain());
	sum = percpu_counter_sum(requests);
	printf("%ld requests\n", sum);
	return sum != (long)THREADS * REQUESTS;
}
