// SPDX-License-Identifier: GPL-2.0
/* Step 2: each CPU has a counter. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <percpu/percpu.h>

#define THREADS		4
#define REQUESTS	100000	/* of each thread */

struct buffer {
	struct buffer *next;
	char data[240];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer *unused;
static struct percpu_counter *requests;

static struct buffer *get(void)
{
	struct buffer *buffer;

	pthread_mutex_lock(&lock);
	buffer = unused;
	if (buffer)
		unused = buffer->next;
	pthread_mutex_unlock(&lock);
	return buffer ? buffer : malloc(sizeof(*buffer));
}

static void put(struct buffer *buffer)
{
	pthread_mutex_lock(&lock);
	buffer->next = unused;
	unused = buffer;
	pthread_mutex_unlock(&lock);
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
	long sum;

	requests = percpu_counter_create();
	if (!requests)
		abort();
	for (int i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, serve, NULL))
			abort();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	sum = percpu_counter_sum(requests);
	printf("%ld requests\n", sum);
	return sum != (long)THREADS * REQUESTS;
}
