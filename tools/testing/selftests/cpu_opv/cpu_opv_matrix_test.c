// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): the ways to keep user code off a CPU exclude each other, and themselves. A
 * variant is a cell of the table in kernel/sched/exclude.c: two threads call for a CPU, one of them
 * there or not, and what that CPU runs meanwhile sees to it that both ways of the cell are taken.
 * Where kernel.cpu_opv_remote is migrate, the caller goes there instead of the interrupt.
 *
 * If one of the two names another CPU, updates have to be lost, or it shows nothing.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define RUN_MS		1000	/* at least */
#define LIMIT_MS	20000
#define TAKEN		100	/* each of the two ways, at least */
#define BURST		8	/* calls before a pause */
#define PAUSE_US	100
#define LONG		(CPU_OP_DATA_LEN_MAX / 2)

struct sums {
	long words, pairs;	/* vectors that added to them */
	long torn;		/* those that saw half of one */
	int error;
};

struct thread {
	void *(*work)(void *arg);
	pthread_t id;
	int home;		/* where it runs */
	int target;		/* the CPU that it calls for */
	bool pauses;
	char *mem;
	intptr_t copy;
	struct sums sums;
};

/* What all of them add to, by vectors that run in place, and by pinned ones. */
static intptr_t word, pair[2];
static bool migrate, stop;

/* ---- vectors: 0, or 1 if a comparison stopped it, or -1 ---- */

static int add_to_word(struct thread *t)
{
	return cpu_op_addv(&word, 1, t->target);
}

/* Takes its time between the load and the store. */
static int compare_and_store_word(struct thread *t)
{
	intptr_t old = __atomic_load_n(&word, __ATOMIC_RELAXED), new = old + 1;
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int last = NR_ELEMS(vec) - 1;

	vec[0] = cpu_op_eq(&word, &old, sizeof(word));
	for (int i = 1; i < last; i++)
		vec[i] = cpu_op_eq(&new, &new, sizeof(new));
	vec[last] = cpu_op_memcpy(&word, &new, sizeof(word));
	return cpu_opv(vec, NR_ELEMS(vec), t->target, 0);
}

/* Takes its time as well, and stores more than once. */
static int add_to_pair(struct thread *t)
{
	struct cpu_op vec[] = {
		cpu_op_eq(&pair[0], &pair[1], sizeof(*pair)),
		cpu_op_memcpy(&t->copy, &pair[0], sizeof(*pair)),
		cpu_op_plus(&t->copy, 1, sizeof(t->copy)),
		cpu_op_memcpy(t->mem, t->mem + LONG, LONG),
		cpu_op_memcpy(&pair[0], &t->copy, sizeof(*pair)),
		cpu_op_memcpy(t->mem, t->mem + LONG, LONG),
		cpu_op_plus(&pair[1], 1, sizeof(*pair)),
	};

	return cpu_opv(vec, NR_ELEMS(vec), t->target, 0);
}

static void call_once(struct thread *t, int kind)
{
	int ret;

	if (kind == 0)
		ret = add_to_word(t);
	else if (kind == 1)
		ret = compare_and_store_word(t);
	else
		ret = add_to_pair(t);

	if (ret < 0 && errno != EAGAIN)
		t->sums.error = errno;
	else if (kind < 2)
		t->sums.words += !ret;
	else if (!ret)
		t->sums.pairs++;
	else
		t->sums.torn += ret > 0;
}

/* ---- threads ---- */

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* Who goes to the target has to have it in the mask, and does not come back. */
static void go_home(const struct thread *t)
{
	cpu_set_t set;

	pin(0, t->home);
	if (!migrate)
		return;
	CPU_ZERO(&set);
	CPU_SET(t->home, &set);
	CPU_SET(t->target, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *calls(void *arg)
{
	struct thread *t = arg;

	go_home(t);
	for (int i = 1; !stopped() && !t->sums.error; i++) {
		if (migrate && current_cpu() != t->home)
			go_home(t);
		call_once(t, i % 3);
		if (t->pauses && i % BURST == 0)
			usleep(PAUSE_US);
	}
	return NULL;
}

static void *spins(void *arg)
{
	struct thread *t = arg;
	long long end;

	pin(0, t->home);
	while (!stopped()) {
		for (end = time_us() + PAUSE_US; time_us() < end; )
			;
		if (t->pauses)
			usleep(PAUSE_US);
	}
	return NULL;
}

/* ---- cells ---- */

FIXTURE(matrix) {
	struct thread threads[3];
	int nr_threads;
	struct exclusions before, taken;
	struct sums sums;
	long lost;
};

FIXTURE_VARIANT(matrix) {
	int others;			/* callers on other CPUs */
	void *(*work)(void *arg);	/* of a thread that is there */
	bool pauses;
	bool here, locked, interrupt;	/* have to be taken */
};

FIXTURE_VARIANT_ADD(matrix, here_locked) { 1, calls, true, .here = true, .locked = true };
FIXTURE_VARIANT_ADD(matrix, here_interrupt) { 1, calls, false, .here = true, .interrupt = true };
FIXTURE_VARIANT_ADD(matrix, locked_locked) { 2, NULL, false, .locked = true };
FIXTURE_VARIANT_ADD(matrix, locked_interrupt) { 2, spins, true, .locked = true, .interrupt = true };
FIXTURE_VARIANT_ADD(matrix, interrupt_interrupt) { 2, spins, false, .interrupt = true };

FIXTURE_SETUP(matrix)
{
	const char *why = check_settings(3);
	char remote[32];

	if (why)
		SKIP(return, "%s", why);
	if (!exclusions_now(&self->before))
		SKIP(return, "the kernel has no statistics of cpu_opv(2)");
	migrate = read_text(REMOTE, remote, sizeof(remote)) && !strncmp(remote, "migrate", 7);
	pin(0, cpus[nr_cpus - 1]);
	self->nr_threads = 1 + variant->others;
	for (int i = 0; i < self->nr_threads; i++) {
		struct thread *t = &self->threads[i];

		t->work = i ? calls : variant->work;
		t->pauses = !i && variant->pauses;
		t->home = cpus[i];
		t->target = cpus[0];
		t->mem = maximal_memory(MAP_PRIVATE);
		ASSERT_TRUE(t->mem != NULL);
	}
}

FIXTURE_TEARDOWN_PARENT(matrix)
{
	restore_settings();
}

static bool all_taken(FIXTURE_DATA(matrix) *self, const FIXTURE_VARIANT(matrix) *variant)
{
	struct exclusions *taken = &self->taken;
	long remote;

	exclusions_since(&self->before, taken);
	remote = migrate ? taken->migrated : taken->interrupted;
	return (!variant->here || taken->local >= TAKEN) &&
	       (!variant->locked || taken->locked >= TAKEN) &&
	       (!variant->interrupt || remote >= TAKEN);
}

static bool start(FIXTURE_DATA(matrix) *self)
{
	stop = false;
	for (int i = 0; i < self->nr_threads; i++) {
		struct thread *t = &self->threads[i];

		if (t->work && pthread_create(&t->id, NULL, t->work, t))
			return false;
	}
	return true;
}

static void finish(FIXTURE_DATA(matrix) *self)
{
	struct sums sums = { 0 };

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < self->nr_threads; i++) {
		struct thread *t = &self->threads[i];

		if (t->work)
			pthread_join(t->id, NULL);
		sums.words += t->sums.words;
		sums.pairs += t->sums.pairs;
		sums.torn += t->sums.torn;
		if (t->sums.error)
			sums.error = t->sums.error;
	}
	self->sums = sums;
	self->lost = labs(sums.words - word);
	for (int i = 0; i < NR_ELEMS(pair); i++)
		self->lost += labs(sums.pairs - pair[i]);
}

TEST_F_TIMEOUT(matrix, exclude, 60)
{
	long long us, begin = time_us();
	bool enough;

	ASSERT_TRUE(start(self));
	do {
		sleep_ms(10);
		enough = all_taken(self, variant);
		us = time_us() - begin;
	} while (us < RUN_MS * 1000 || (!enough && us < LIMIT_MS * 1000));
	finish(self);
	TH_LOG("%lld ms: %ld times added to the word, %ld times to the pair; %ld local, %ld locked, %ld interrupted, %ld migrated",
	       us / 1000, self->sums.words, self->sums.pairs, self->taken.local, self->taken.locked,
	       self->taken.interrupted, self->taken.migrated);
	EXPECT_TRUE(enough);
	EXPECT_EQ(self->sums.error, 0);
	EXPECT_EQ(self->lost, 0);
	EXPECT_EQ(self->sums.torn, 0);
}

/* One of them names the CPU that it is on. */
TEST_F_TIMEOUT(matrix, control, 60)
{
	struct thread *last = &self->threads[self->nr_threads - 1];
	long long us, begin = time_us();

	last->target = last->home;
	do {
		ASSERT_TRUE(start(self));
		sleep_ms(100);
		finish(self);
		us = time_us() - begin;
	} while (!self->lost && !self->sums.torn && us < LIMIT_MS * 1000);
	TH_LOG("%lld ms: %ld times added to the word, %ld times to the pair; %ld lost, %ld times half of it seen",
	       us / 1000, self->sums.words, self->sums.pairs, self->lost, self->sums.torn);
	EXPECT_EQ(self->sums.error, 0);
	EXPECT_GT(self->lost + self->sums.torn, 0);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
