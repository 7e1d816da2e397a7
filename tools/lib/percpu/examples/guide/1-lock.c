// SPDX-License-Identifier: GPL-2.0
/* Step 1: threads share a counter and a list of buffers, under a lock. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS		4
#define REQUESTS	100000	/* of each thread */

struct buffer {
	struct buffer *next;
	char data[240];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer *unused;
static long requests;

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
		pthread_mutex_lock(&lock);
		requests++;
		pthread_mutex_unlock(&lock);
		put(buffer);
	}
	return arg;
}

int main(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, serve, NULL))
			abort();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%ld requests\n", requests);
	return requests != (long)THREADS * REQUESTS;
}
