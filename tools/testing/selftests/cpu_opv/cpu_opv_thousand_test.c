// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a thousand processes in calls for one CPU. All come to an end;
 * a task on that CPU keeps three quarters of its time, one on another CPU loses none.
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
#define CALLS		20	/* of each */
#define TIME_MS		90000	/* for all of them */
#define MEASURE_MS	500

#define MAX_LOSS	0.28	/* a quarter, and what emulated CPUs differ anyway */
#define KEEPS_ELSEWHERE	0.95

struct shared {
	enum vector vector;
	char *mem;		/* of all vectors: processes stay small */
	int go[2];		/* a pipe with a byte for each that may begin */
	long done, busy, again, ended;
	int error;
};

FIXTURE(thousand) {
	struct shared *shared;
	pid_t *pids;
};

FIXTURE_VARIANT(thousand) {
	enum vector vector;
};

FIXTURE_VARIANT_ADD(thousand, short_calls) { ONE_ADD };
FIXTURE_VARIANT_ADD(thousand, long_calls) { LONG };
FIXTURE_VARIANT_ADD(thousand, maximal_calls) { MAXIMAL };

FIXTURE_SETUP(thousand)
{
	const char *why = check_settings(3);

	if (why)
		SKIP(return, "%s", why);
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->shared != MAP_FAILED);
	self->shared->vector = variant->vector;
	self->shared->mem = maximal_memory(MAP_SHARED);
	ASSERT_TRUE(self->shared->mem != NULL);
	self->pids = calloc(NR_PROCESSES, sizeof(*self->pids));
	ASSERT_TRUE(self->pids != NULL);
	supervise();
	ASSERT_TRUE(observers_start(SCHED_OTHER));
	ASSERT_EQ(pipe(self->shared->go), 0);
}

FIXTURE_TEARDOWN_PARENT(thousand)
{
	restore_settings();
}

static int one_of_them(void *arg)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	struct shared *shared = arg;
	cpu_set_t set;
	char byte;
	int cnt;

	cnt = make_vec(shared->vector, vec, shared->mem);
	CPU_ZERO(&set);
	for (int i = 2; i < nr_cpus; i++)
		CPU_SET(cpus[i], &set);
	/* Not there, where they would have a right to time like any other. */
	sched_setaffinity(0, sizeof(set), &set);
	if (become_nobody() || read(shared->go[0], &byte, 1) != 1)
		return KSFT_FAIL;
	for (long done = 0; done < CALLS;) {
		if (!cpu_opv(vec, cnt, TARGET, 0)) {
			done++;
		} else if (errno == EBUSY) {
			__atomic_add_fetch(&shared->busy, 1, __ATOMIC_RELAXED);
		} else if (errno == EAGAIN) {
			__atomic_add_fetch(&shared->again, 1, __ATOMIC_RELAXED);
		} else {
			shared->error = errno;
			return KSFT_FAIL;
		}
	}
	__atomic_add_fetch(&shared->done, CALLS, __ATOMIC_RELAXED);
	__atomic_add_fetch(&shared->ended, 1, __ATOMIC_RELEASE);
	return KSFT_PASS;
}

static bool start_all(FIXTURE_DATA(thousand) *self)
{
	for (int i = 0; i < NR_PROCESSES; i++) {
		self->pids[i] = start_child(one_of_them, self->shared);
		if (self->pids[i] < 0)
			return false;
	}
	return true;
}

static int reap_all(FIXTURE_DATA(thousand) *self)
{
	int passed = 0, status;

	for (int i = 0; i < NR_PROCESSES; i++) {
		if (wait_child(self->pids[i], &status, 10000))
			passed += status == 0;
		else
			kill_child(self->pids[i], 10000);
	}
	return passed;
}

TEST_F_TIMEOUT(thousand, others_go_on, 300)
{
	struct shared *shared = self->shared;
	struct progress start, without, with;
	char bytes[NR_PROCESSES] = { 0 };
	double lost, elsewhere;

	if (!start_all(self))
		SKIP(return, "cannot start %d processes", NR_PROCESSES);
	ASSERT_TRUE(pacer_start());
	start = progress_now();
	sleep_ms(MEASURE_MS);
	without = progress_since(&start);

	start = progress_now();
	ASSERT_EQ(write(shared->go[1], bytes, NR_PROCESSES), NR_PROCESSES);
	while (__atomic_load_n(&shared->ended, __ATOMIC_ACQUIRE) < NR_PROCESSES &&
	       time_ns() - start.ns < TIME_MS * 1000000LL && !shared->error)
		sleep_ms(1);
	with = progress_since(&start);
	TH_LOG("%ld of %d ended after %lld ms, %ld calls, %ld times EBUSY, %ld EAGAIN",
	       shared->ended, NR_PROCESSES, with.ns / 1000000, shared->done, shared->busy,
	       shared->again);
	lost = progress_lost(&without, &with);
	elsewhere = (double)with.control / with.ns * without.ns / without.control;
	TH_LOG("a task on that CPU loses %.1f %% of its time, one elsewhere makes %.1f %% of its progress",
	       100 * lost, 100 * elsewhere);
	EXPECT_EQ(shared->error, 0);
	EXPECT_EQ(shared->ended, NR_PROCESSES);
	EXPECT_EQ(reap_all(self), NR_PROCESSES);
	EXPECT_LE(lost, MAX_LOSS);
	EXPECT_GE(elsewhere, KEEPS_ELSEWHERE);
	EXPECT_TRUE(nothing_held());
	pacer_stop();
	observers_stop();
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
