// SPDX-License-Identifier: GPL-2.0
/*
 * Many threads at the same time, more than CPUs, with signals that interrupt them: nothing is
 * lost, nothing is done twice. What cannot be done now is tried again, at another place if need
 * be, for as long as the errors say that this makes sense.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <percpu/percpu.h>

#include "tap.h"

#define THREADS		8
#define NODES		64
#define BUFFER		256
#define RECORDS		1000	/* of each thread, at most, and every EACH rounds */
#define EACH		64

struct record {
	intptr_t thread, number;
};

/* Of each index. */
struct place {
	intptr_t count;
	struct percpu_list list;
	intptr_t filled;
	struct record buffer[BUFFER];
};

struct node {
	struct percpu_node list;
	intptr_t visits;
};

static double seconds = 0.5;
static enum rseq_percpu_mode mode;
static struct place *places;
static struct percpu_counter *counter;
static struct node nodes[NODES];
static long interrupted, errors, popped, recorded, rounds;
static long counted;	/* by threads that can do operations: with RSEQ_DISABLE=random, some */

static struct place *place_of(int index)
{
	return percpu_ptr(places, index);
}

/* Whether to try again, at the place where the thread is now. */
static bool again(int ret)
{
	if (ret >= 0)
		return false;
	if (errno == EAGAIN || errno == ENXIO || errno == EBUSY)
		return true;
	__atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
	return false;
}

static void count(void)
{
	int index;

	do {
		index = percpu_current_index(mode);
	} while (again(percpu_addv(mode, &place_of(index)->count, 1, index)));
}

/* A node goes from one list to another one, and is visited by who has it. */
static void move(void)
{
	struct percpu_node *node;
	int index, ret;

	do {
		index = percpu_current_index(mode);
		ret = percpu_list_pop(mode, &place_of(index)->list, &node, index);
	} while (again(ret));
	if (ret)
		return;
	((struct node *)node)->visits++;
	__atomic_fetch_add(&popped, 1, __ATOMIC_RELAXED);
	do {
		index = percpu_current_index(mode);
	} while (again(percpu_list_push(mode, &place_of(index)->list, node, index)));
}

/* Nothing where the buffer is full. */
static void record(intptr_t thread, intptr_t number)
{
	struct record r = { thread, number };
	int ret;

	do {
		int index = percpu_current_index(mode);
		struct place *p = place_of(index);
		intptr_t filled = *(volatile intptr_t *)&p->filled;

		if (filled == BUFFER)
			return;
		ret = percpu_cmpeqv_memcpy_storev(mode, &p->filled, filled, &p->buffer[filled], &r,
						  sizeof(r), filled + 1, index);
	} while (ret > 0 || again(ret));
	if (!ret)
		__atomic_fetch_add(&recorded, 1, __ATOMIC_RELAXED);
}

/* In the middle of an operation of the same thread. */
static void handler(int sig)
{
	(void)sig;
	interrupted++;
	percpu_counter_add(counter, 1);
	if (percpu_available(mode)) {
		count();
		__atomic_fetch_add(&counted, 1, __ATOMIC_RELAXED);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *work(void *arg)
{
	intptr_t number = (intptr_t)arg;
	double end = now() + seconds;
	bool can = percpu_available(mode);
	long i;

	for (i = 0; i % 64 || now() < end; i++) {
		percpu_counter_add(counter, 1);
		if (!can)
			continue;
		count();
		move();
		if (!(i % EACH) && i < EACH * RECORDS)
			record(number, i);
	}
	__atomic_fetch_add(&rounds, i, __ATOMIC_RELAXED);
	__atomic_fetch_add(&counted, can ? i : 0, __ATOMIC_RELAXED);
	return NULL;
}

static long sum_of_counts(void)
{
	long sum = 0;

	for (int i = 0; i < percpu_nr_indices(); i++)
		sum += place_of(i)->count;
	return sum;
}

static void check_nodes(void)
{
	long found = 0, visits = 0;

	for (int i = 0; i < percpu_nr_indices(); i++) {
		struct percpu_node *node = (struct percpu_node *)percpu_list_first(&place_of(i)->list);

		for (; node && found <= NODES; node = node->next)
			found++;
	}
	for (int i = 0; i < NODES; i++)
		visits += nodes[i].visits;
	ok(found == NODES, "%ld of %d nodes", found, NODES);
	ok(visits == popped && popped, "%ld visits of %ld", visits, popped);
}

static void check_records(void)
{
	static unsigned char seen[THREADS][RECORDS];
	long found = 0, wrong = 0;

	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < percpu_nr_indices(); i++) {
		for (long j = 0; j < place_of(i)->filled; j++) {
			struct record *r = &place_of(i)->buffer[j];

			found++;
			if (r->thread < 0 || r->thread >= THREADS || r->number < 0 ||
			    r->number >= EACH * RECORDS || r->number % EACH ||
			    seen[r->thread][r->number / EACH]++)
				wrong++;
		}
	}
	ok(found == recorded && recorded, "%ld records of %ld", found, recorded);
	ok(!wrong, "%ld wrong records", wrong);
}

static void run(void)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct percpu_pool *pool = percpu_pool_create("places", sizeof(*places), 0, 0, 0);
	pthread_t threads[THREADS];
	long done;

	places = percpu_pool_alloc(pool);
	counter = percpu_counter_create();
	interrupted = popped = recorded = rounds = counted = 0;
	memset(nodes, 0, sizeof(nodes));
	for (int i = 0; i < NODES; i++) {
		struct percpu_list *list = &place_of(i % percpu_nr_indices())->list;

		nodes[i].list.next = (struct percpu_node *)list->first;
		list->first = (intptr_t)&nodes[i];
	}
	setitimer(ITIMER_REAL, &often, NULL);
	for (intptr_t i = 0; i < THREADS; i++) {
		sigset_t set;

		/* One thread gets the signals. */
		sigemptyset(&set);
		sigaddset(&set, SIGALRM);
		pthread_sigmask(i ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
		pthread_create(&threads[i], NULL, work, (void *)i);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	done = rounds + interrupted;
	printf("# %s, %ld signals\n", mode == RSEQ_PERCPU_CPU_ID ? "CPU" : "mm_cid", interrupted);
	ok(percpu_counter_sum(counter) == done, "counter: %ld of %ld",
	   (long)percpu_counter_sum(counter), done);
	if (counted) {
		ok(sum_of_counts() == counted, "counts: %ld of %ld", sum_of_counts(), counted);
		check_nodes();
		check_records();
		ok(!errors, "%ld errors", errors);
	} else {
		ok(!percpu_available(mode), "no operations here");
	}
	percpu_counter_destroy(counter);
	percpu_pool_free(pool, places);
	percpu_pool_destroy(pool);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	if (argc > 1)
		seconds = atof(argv[1]);
	sigaction(SIGALRM, &action, NULL);
	for (int m = RSEQ_PERCPU_CPU_ID; m <= RSEQ_PERCPU_MM_CID; m++) {
		mode = m;
		run();
	}
	return tap_end();
}
