// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a thousand processes in calls that are as long as can be. All of them
 * get on, and can be killed; short calls do not wait for them.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define NR_PROCESSES	1000
#define CALLS		3	/* of each */
#define NR_KILLED	20
#define TIME_US		90000000	/* for all of them */
#define LATENCY_US	1000000
#define MIN_SHORT	50

struct shared {
	char *mem;		/* of all vectors: processes stay small */
	struct gate gate;
	long calls;		/* of each */
	long done[NR_PROCESSES];
	bool stop;
	long again;		/* maximal calls that lost the way to their CPU */
	long short_calls, short_again, longest;
	int error;
};

FIXTURE(crowd) {
	struct shared *shared;
	pid_t *pids;
	pid_t other;
};

FIXTURE_SETUP(crowd)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->shared != MAP_FAILED);
	self->shared->mem = maximal_memory(MAP_SHARED);
	ASSERT_TRUE(self->shared->mem != NULL);
	self->pids = calloc(NR_PROCESSES, sizeof(*self->pids));
	ASSERT_TRUE(self->pids != NULL);
}

FIXTURE_TEARDOWN_PARENT(crowd)
{
	restore_settings();
}

/* Which of the processes the next one is. */
static int number;

static int maximal_caller(void *arg)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	struct shared *shared = arg;
	long *done = &shared->done[number];

	maximal_vec(vec, shared->mem);
	gate_wait(&shared->gate);
	while (*done < shared->calls) {
		if (!cpu_opv(vec, NR_ELEMS(vec), cpus[number % nr_cpus], 0))
			__atomic_store_n(done, *done + 1, __ATOMIC_RELAXED);
		else if (errno == EAGAIN)
			__atomic_add_fetch(&shared->again, 1, __ATOMIC_RELAXED);
		else
			return KSFT_FAIL;
	}
	return KSFT_PASS;
}

/*
 * Short vectors, here and elsewhere. With a priority above the others: it is not
 * their time on the CPU that counts here.
 */
static int short_caller(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	struct shared *shared = arg;
	intptr_t counter = 0;

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		return KSFT_SKIP;
	for (long i = 0; !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED); i++) {
		long long start = time_us(), took;

		if (cpu_op_addv(&counter, 1, cpus[i % nr_cpus])) {
			if (errno != EAGAIN) {
				shared->error = errno;
				return KSFT_FAIL;
			}
			shared->short_again++;
			continue;
		}
		took = time_us() - start;
		if (took > shared->longest)
			shared->longest = took;
		shared->short_calls++;
		sleep_ms(2);
	}
	return counter == shared->short_calls ? KSFT_PASS : KSFT_FAIL;
}

static bool start_all(FIXTURE_DATA(crowd) *self)
{
	for (number = 0; number < NR_PROCESSES; number++) {
		self->pids[number] = start_child(maximal_caller, self->shared);
		if (self->pids[number] < 0)
			return false;
	}
	return true;
}

/* Returns how many ended well before @end. */
static int wait_all(FIXTURE_DATA(crowd) *self, long long end)
{
	int passed = 0, status;

	for (int i = 0; i < NR_PROCESSES; i++) {
		long long left = end - time_us();

		if (!wait_child(self->pids[i], &status, left > 0 ? left / 1000 : 0))
			return passed;
		passed += status == 0;
	}
	return passed;
}

TEST_F_TIMEOUT(crowd, gets_on, 180)
{
	struct shared *shared = self->shared;
	long calls = read_stat("calls");
	long long start;
	int passed, status;

	shared->calls = CALLS;
	if (!start_all(self))
		SKIP(return, "cannot start %d processes", NR_PROCESSES);
	self->other = start_child(short_caller, shared);
	ASSERT_GT(self->other, 0);
	start = time_us();
	gate_open(&shared->gate);
	passed = wait_all(self, start + TIME_US);
	TH_LOG("%d of %d ended in %lld ms, %ld times EAGAIN", passed, NR_PROCESSES,
	       (time_us() - start) / 1000, shared->again);
	EXPECT_EQ(passed, NR_PROCESSES);

	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	ASSERT_TRUE(wait_child(self->other, &status, 10000));
	TH_LOG("%ld short calls, the longest took %ld us", shared->short_calls, shared->longest);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(shared->error, 0);
	EXPECT_GE(shared->short_calls, MIN_SHORT);
	EXPECT_LT(shared->longest, LATENCY_US);
	EXPECT_TRUE(nothing_held());
	if (calls >= 0) {
		EXPECT_GE(read_stat("calls") - calls, NR_PROCESSES * CALLS);
	}
}

/* Until each of them has made a call from now on. Returns how long that took, in us, or -1. */
static long long everybody_calls(const struct shared *shared)
{
	long before[NR_PROCESSES];
	long long start = time_us();

	memcpy(before, shared->done, sizeof(before));
	for (int i = 0; i < NR_PROCESSES; i++) {
		while (__atomic_load_n(&shared->done[i], __ATOMIC_RELAXED) == before[i]) {
			if (time_us() - start > TIME_US)
				return -1;
			sleep_ms(1);
		}
	}
	return time_us() - start;
}

/* Returns how many of each @step that were killed are dead at @end. */
static int count_killed(FIXTURE_DATA(crowd) *self, int step, long long end)
{
	int killed = 0, status;

	for (int i = 0; i < NR_PROCESSES; i += step) {
		long long left = end - time_us();

		if (left < 0)
			left = 0;
		if (self->pids[i] && wait_child(self->pids[i], &status, left / 1000)) {
			killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
			self->pids[i] = 0;
		}
	}
	return killed;
}

/*
 * Who is killed does not try again: it is dead by the time in which everybody gets a turn,
 * and makes two calls.
 */
TEST_F_TIMEOUT(crowd, killed, 280)
{
	const int step = NR_PROCESSES / NR_KILLED;
	long long start, turn;
	int dead;

	/* Its own time on the CPU does not count. */
	supervise();
	self->shared->calls = LONG_MAX;
	if (!start_all(self))
		SKIP(return, "cannot start %d processes", NR_PROCESSES);
	gate_open(&self->shared->gate);
	ASSERT_GE(everybody_calls(self->shared), 0);
	turn = everybody_calls(self->shared);
	TH_LOG("everybody makes a call in %lld us", turn);
	ASSERT_GE(turn, 0);

	start = time_us();
	for (int i = 0; i < NR_PROCESSES; i += step)
		kill(self->pids[i], SIGKILL);
	dead = count_killed(self, step, start + 2 * turn);
	TH_LOG("%d of %d who were killed are dead after %lld us", dead, NR_KILLED,
	       time_us() - start);
	EXPECT_EQ(dead, NR_KILLED);

	start = time_us();
	for (int i = 0; i < NR_PROCESSES; i++) {
		if (self->pids[i])
			kill(self->pids[i], SIGKILL);
	}
	EXPECT_EQ(count_killed(self, 1, start + 30000000), NR_PROCESSES - dead);
	TH_LOG("%lld us for the others", time_us() - start);
	EXPECT_TRUE(nothing_held());
	EXPECT_EQ(run_child(use_every_cpu, NULL, 10000), KSFT_PASS);
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
