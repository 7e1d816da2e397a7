// SPDX-License-Identifier: GPL-2.0
/*
 * Per-CPU data under preemption, signals and migration: a counter that is read,
 * compared and stored back, and a list that nodes are popped from and pushed to.
 * An abort that is missing loses an increment or a node.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "percpu.h"

/* Make the sections long, so that something happens in them. */
#define RSEQ_INJECT_CLOBBER	, "eax"
#define RSEQ_INJECT_ASM(n)		\
	"movl $500, %%eax\n\t"		\
	"222:\n\t"			\
	"decl %%eax\n\t"		\
	"jnz 222b\n\t"

#include "rseq.h"

#define NR_THREADS	6
#define NR_ROUNDS	4000
#define NR_NODES	50	/* of a CPU */
#define NR_SLOTS	64	/* CPUs or concurrency IDs */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id	_sigev_un._tid
#endif

struct node {
	struct node *next;
	int visits;
};

struct slot {
	intptr_t count;
	struct node *head;
} __attribute__((aligned(128)));

static struct slot slots[NR_SLOTS];
static struct node nodes[NR_SLOTS][NR_NODES];
static enum rseq_percpu_mode mode;
static bool legacy;
static volatile bool done;
static pid_t tids[NR_THREADS];
static long aborts, by_handler, failures;

/* Of the thread: increments that its signal handler did. */
static __thread long handled;
static __thread long aborted;

static int index_of_here(void)
{
	return mode == RSEQ_PERCPU_CPU_ID ? rseq_cpu_start() : rseq_current_mm_cid();
}

static void increment(void)
{
	for (;;) {
		int i = index_of_here(), ret;
		intptr_t old = RSEQ_READ_ONCE(slots[i].count);

		ret = rseq_cmpeqv_storev(RSEQ_MO_RELAXED, mode, &slots[i].count, old, old + 1, i);
		if (!ret)
			return;
		aborted += ret < 0;
	}
}

static void push(struct node *node)
{
	for (;;) {
		int i = index_of_here(), ret;
		struct node *head = RSEQ_READ_ONCE(slots[i].head);

		node->next = head;
		ret = rseq_cmpeqv_storev(RSEQ_MO_RELAXED, mode, (intptr_t *)&slots[i].head,
					 (intptr_t)head, (intptr_t)node, i);
		if (!ret)
			return;
		aborted += ret < 0;
	}
}

static struct node *pop(void)
{
	struct node *node;

	for (;;) {
		int i = index_of_here(), ret;

		ret = rseq_cmpnev_storeoffp_load(RSEQ_MO_RELAXED, mode,
						 (intptr_t *)&slots[i].head, (intptr_t)NULL,
						 offsetof(struct node, next), (intptr_t *)&node,
						 i);
		if (!ret)
			return node;
		if (ret > 0)
			return NULL;
		aborted++;
	}
}

/* Interrupts sections, and has a section of its own. */
static void on_timer(int sig)
{
	increment();
	handled++;
}

static timer_t start_timer(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec every = {
		.it_interval.tv_nsec = 3000000,
		.it_value.tv_nsec = 3000000,
	};
	timer_t timer;

	ev.sigev_notify_thread_id = syscall(__NR_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) || timer_settime(timer, 0, &every, NULL))
		__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	return timer;
}

static void *worker(void *arg)
{
	timer_t timer;

	if (__rseq_register_current_thread(true, legacy)) {
		__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	__atomic_store_n(&tids[(intptr_t)arg], syscall(__NR_gettid), __ATOMIC_RELEASE);
	timer = start_timer();
	for (int i = 0; i < NR_ROUNDS; i++) {
		struct node *node = pop();

		increment();
		if (!node)
			continue;
		node->visits++;
		if (i % 64 == 0)
			sched_yield();
		push(node);
	}
	timer_delete(timer);
	__atomic_add_fetch(&by_handler, handled, __ATOMIC_RELAXED);
	__atomic_add_fetch(&aborts, aborted, __ATOMIC_RELAXED);
	if (rseq_unregister_current_thread())
		__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Moves the workers about. */
static void *mover(void *arg)
{
	const cpu_set_t *allowed = arg;
	unsigned int turn = 0;

	while (!done) {
		struct timespec ts = { 0, 500000 };
		pid_t tid = __atomic_load_n(&tids[turn % NR_THREADS], __ATOMIC_ACQUIRE);
		int cpu = turn / NR_THREADS % CPU_SETSIZE;
		cpu_set_t one;

		for (; !CPU_ISSET(cpu, allowed); cpu = (cpu + 1) % CPU_SETSIZE)
			;
		CPU_ZERO(&one);
		CPU_SET((cpu + turn) % 2 ? cpu : rseq_fallback_current_cpu(), &one);
		if (tid)
			sched_setaffinity(tid, sizeof(one), &one);
		turn++;
		nanosleep(&ts, NULL);
	}
	return NULL;
}

static void count_nodes(struct percpu_result *res)
{
	res->intact = true;
	for (size_t i = 0; i < NR_SLOTS; i++) {
		struct node *node = slots[i].head;

		for (; node && res->nodes <= res->expected_nodes; node = node->next) {
			res->nodes++;
			if (node < &nodes[0][0] || node > &nodes[NR_SLOTS - 1][NR_NODES - 1] ||
			    node->visits < 0) {
				res->intact = false;
				break;
			}
			/* Seen: a second visit is an error. */
			node->visits = -1;
		}
		res->counted += slots[i].count;
	}
}

/* To be called once in a process. */
int percpu_run(bool v2, bool mm_cid, struct percpu_result *res)
{
	struct sigaction sa = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	pthread_t threads[NR_THREADS], moving;
	cpu_set_t allowed;

	mode = mm_cid ? RSEQ_PERCPU_MM_CID : RSEQ_PERCPU_CPU_ID;
	legacy = !v2;
	memset(res, 0, sizeof(*res));
	sigaction(SIGUSR1, &sa, NULL);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (size_t i = 0; i < NR_SLOTS; i++) {
		if (!mm_cid && !CPU_ISSET(i, &allowed))
			continue;
		if (mm_cid && i >= (size_t)CPU_COUNT(&allowed))
			break;
		for (size_t n = 0; n < NR_NODES; n++) {
			nodes[i][n].next = slots[i].head;
			slots[i].head = &nodes[i][n];
			res->expected_nodes++;
		}
	}
	for (intptr_t i = 0; i < NR_THREADS; i++) {
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			return -1;
	}
	if (pthread_create(&moving, NULL, mover, &allowed))
		return -1;
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	done = true;
	pthread_join(moving, NULL);

	count_nodes(res);
	res->expected = (long)NR_THREADS * NR_ROUNDS + by_handler;
	res->aborts = aborts;
	res->signals = by_handler;
	return failures ? -1 : 0;
}
