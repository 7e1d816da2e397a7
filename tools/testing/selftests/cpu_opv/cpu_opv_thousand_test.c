// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a thousand processes in calls for one CPU. All get on; a task on
 * that CPU keeps three quarters of its time, one on another CPU loses none.
 *
 * Wants a guest whose clock counts instructions (scripts/qemu --icount).
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define NR_PROCESSES	1000
#define TIME_MS		60000	/* in which each of them gets a call done */
#define ROUNDS		5
#define ROUND_MS	150

#define MAX_LOSS	0.28	/* a quarter, and what emulated CPUs differ anyway */
#define KEEPS_ELSEWHERE	0.95

static const enum vector vectors[] = { ONE_ADD, LONG, MAXIMAL };

struct shared {
	char *mem;		/* of all vectors: processes stay small */
	struct gate gate;
	int vector;		/* that all of them use now */
	long called[NR_ELEMS(vectors)];	/* processes that have used it */
	long done, busy, again;	/* calls */
	bool stop;
	int error;
};

FIXTURE(thousand) {
	struct shared *shared;
	struct children children;
};

FIXTURE_SETUP(thousand)
{
	const char *why = check_settings(4);

	if (why)
		SKIP(return, "%s", why);
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->shared != MAP_FAILED);
	self->shared->mem = maximal_memory(MAP_SHARED);
	ASSERT_TRUE(self->shared->mem != NULL);
	supervise();
	ASSERT_TRUE(observers_start(SCHED_OTHER));
}

FIXTURE_TEARDOWN_PARENT(thousand)
{
	restore_settings();
}

static int one_of_them(void *arg)
{
	struct cpu_op vec[NR_ELEMS(vectors)][CPU_OP_VEC_LEN_MAX];
	int cnt[NR_ELEMS(vectors)], called = -1;
	struct shared *shared = arg;
	cpu_set_t set;

	for (int i = 0; i < NR_ELEMS(vectors); i++)
		cnt[i] = make_vec(vectors[i], vec[i], shared->mem);
	CPU_ZERO(&set);
	/*
	 * Not there, where they would have a right to time like any other, nor where the
	 * test itself runs.
	 */
	for (int i = 2; i < nr_cpus - 1; i++)
		CPU_SET(cpus[i], &set);
	sched_setaffinity(0, sizeof(set), &set);
	if (become_nobody())
		return KSFT_FAIL;
	gate_wait(&shared->gate);
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		int i = __atomic_load_n(&shared->vector, __ATOMIC_RELAXED);

		if (!cpu_opv(vec[i], cnt[i], TARGET, 0)) {
			__atomic_add_fetch(&shared->done, 1, __ATOMIC_RELAXED);
			if (called != i)
				__atomic_add_fetch(&shared->called[i], 1, __ATOMIC_RELAXED);
			called = i;
		} else if (errno == EBUSY) {
			__atomic_add_fetch(&shared->busy, 1, __ATOMIC_RELAXED);
		} else if (errno == EAGAIN) {
			__atomic_add_fetch(&shared->again, 1, __ATOMIC_RELAXED);
		} else {
			shared->error = errno;
			return KSFT_FAIL;
		}
	}
	return KSFT_PASS;
}

static int compare_parts(const void *a, const void *b)
{
	const struct progress *x = a, *y = b;
	double left = (double)x->there * y->control, right = (double)y->there * x->control;

	return (left > right) - (left < right);
}

/* What the two observers do, in the median of some rounds. */
static struct progress measure(void)
{
	struct progress rounds[ROUNDS];

	pacer_start();
	for (int i = 0; i < ROUNDS; i++) {
		struct progress start = progress_now();

		sleep_ms(ROUND_MS);
		rounds[i] = progress_since(&start);
	}
	pacer_stop();
	qsort(rounds, ROUNDS, sizeof(rounds[0]), compare_parts);
	return rounds[ROUNDS / 2];
}

/* With vectors of number @i of vectors[]. */
static void check_vectors(struct __test_metadata *_metadata, struct shared *shared, int i,
			  const struct progress *without)
{
	long long start = time_ns();
	double lost, elsewhere;
	struct progress with;
	long done;

	__atomic_store_n(&shared->vector, i, __ATOMIC_RELAXED);
	gate_open(&shared->gate);
	while (__atomic_load_n(&shared->called[i], __ATOMIC_RELAXED) < NR_PROCESSES &&
	       time_ns() - start < TIME_MS * 1000000LL && !shared->error)
		sleep_ms(1);
	TH_LOG("vector %d: %ld of %d processes have made a call after %lld ms", i,
	       shared->called[i], NR_PROCESSES, (time_ns() - start) / 1000000);
	EXPECT_EQ(shared->called[i], NR_PROCESSES);

	done = shared->done;
	with = measure();
	lost = progress_lost(without, &with);
	elsewhere = (double)with.control / with.ns * without->ns / without->control;
	TH_LOG("%ld calls in %d ms: a task on that CPU loses %.1f %% of its time, one elsewhere makes %.1f %% of its progress",
	       shared->done - done, ROUNDS * ROUND_MS, 100 * lost, 100 * elsewhere);
	EXPECT_GT(shared->done, done);
	EXPECT_LE(lost, MAX_LOSS);
	EXPECT_GE(elsewhere, KEEPS_ELSEWHERE);
}

TEST_F_TIMEOUT(thousand, others_go_on, 300)
{
	struct shared *shared = self->shared;
	struct progress without;

	if (!children_start(&self->children, NR_PROCESSES, one_of_them, shared))
		SKIP(return, "cannot start %d processes", NR_PROCESSES);
	without = measure();
	for (int i = 0; i < NR_ELEMS(vectors); i++)
		check_vectors(_metadata, shared, i, &without);
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	EXPECT_EQ(children_end(&self->children), NR_PROCESSES);
	EXPECT_EQ(shared->error, 0);
	EXPECT_EQ(shared->busy, 0);
	TH_LOG("%ld calls, %ld times EAGAIN", shared->done, shared->again);
	EXPECT_TRUE(nothing_held());
	observers_stop();
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
