// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a thousand processes that all want as much kernel address
 * space as a call can take, when one call at a time may have it. Nobody waits for
 * it: the others get on without. Calls that need none must not notice.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define NR_PROCESSES	1000
#define CALLS		3	/* of each */
#define NR_KILLED	20
#define DEATH_MS	2000
#define TIME_US		90000000	/* for all of them */
#define LATENCY_US	1000000
#define MIN_SHORT	50

struct shared {
	char *mem;		/* of all vectors: processes stay small */
	int go[2];		/* a pipe that ends when they may begin */
	long calls;		/* of each */
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
	ASSERT_EQ(pipe(self->shared->go), 0);
	ASSERT_EQ(write_setting(MAX_VMAP, "1"), 0);
}

FIXTURE_TEARDOWN_PARENT(crowd)
{
	restore_settings();
}

static int maximal_caller(void *arg)
{
	struct shared *shared = arg;
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	char byte;

	close(shared->go[1]);
	maximal_vec(vec, shared->mem);
	if (read(shared->go[0], &byte, 1))
		return KSFT_FAIL;
	for (long done = 0; done < shared->calls;) {
		if (!cpu_opv(vec, NR_ELEMS(vec), cpus[getpid() % nr_cpus], 0))
			done++;
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

	close(shared->go[1]);
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
	for (int i = 0; i < NR_PROCESSES; i++) {
		self->pids[i] = start_child(maximal_caller, self->shared);
		if (self->pids[i] < 0)
			return false;
	}
	return true;
}

/* Returns how many ended well before @end, and the most mappings seen at a time. */
static int wait_all(FIXTURE_DATA(crowd) *self, long long end, long *most)
{
	int passed = 0, status;

	for (int i = 0; i < NR_PROCESSES; i++) {
		while (!wait_child(self->pids[i], &status, 0)) {
			long now = read_stat("vmap_now");

			if (now > *most)
				*most = now;
			if (time_us() > end)
				return passed;
		}
		passed += status == 0;
	}
	return passed;
}

TEST_F_TIMEOUT(crowd, gets_on, 180)
{
	struct shared *shared = self->shared;
	long mapped = read_stat("vmap"), pinned = read_stat("pinned"), most = 0;
	long long start;
	int passed, status;

	shared->calls = CALLS;
	if (!start_all(self))
		SKIP(return, "cannot start %d processes", NR_PROCESSES);
	self->other = start_child(short_caller, shared);
	ASSERT_GT(self->other, 0);
	start = time_us();
	close(shared->go[1]);
	passed = wait_all(self, start + TIME_US, &most);
	mapped = read_stat("vmap") - mapped;
	pinned = read_stat("pinned") - pinned;
	TH_LOG("%lld ms, %ld vectors with a mapping, at most %ld at a time, %ld without",
	       (time_us() - start) / 1000, mapped, most, pinned);
	EXPECT_EQ(passed, NR_PROCESSES);

	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	ASSERT_TRUE(wait_child(self->other, &status, 10000));
	TH_LOG("%ld short calls, the longest took %ld us", shared->short_calls, shared->longest);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(shared->error, 0);
	EXPECT_GE(shared->short_calls, MIN_SHORT);
	EXPECT_LT(shared->longest, LATENCY_US);
	EXPECT_TRUE(nothing_held());
	if (read_stat("vmap") < 0)
		return;
	EXPECT_LE(most, 1);
	EXPECT_GT(mapped, 0);
	EXPECT_GE(mapped + pinned, NR_PROCESSES * CALLS);
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

/* Who is killed does not try again. */
TEST_F_TIMEOUT(crowd, killed, 180)
{
	const int step = NR_PROCESSES / NR_KILLED;
	long calls = read_stat("calls");
	long long start;
	int dead;

	self->shared->calls = LONG_MAX;
	if (!start_all(self))
		SKIP(return, "cannot start %d processes", NR_PROCESSES);
	close(self->shared->go[1]);
	if (calls >= 0) {
		EXPECT_TRUE(wait_for_stat("calls", calls + NR_PROCESSES, 60000));
	} else {
		sleep_ms(5000);
	}
	start = time_us();
	for (int i = 0; i < NR_PROCESSES; i += step)
		kill(self->pids[i], SIGKILL);
	/* All of them run: each dies when it gets a CPU, which among a thousand is not for us to say. */
	dead = count_killed(self, step, start + DEATH_MS * 1000);
	TH_LOG("%d of %d in %lld us", dead, NR_KILLED, time_us() - start);

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

/* Calls that need no mapping do not count as such. */
TEST_F(crowd, short_calls_need_none)
{
	long mapped = read_stat("vmap");
	intptr_t counter = 0;

	if (mapped < 0)
		SKIP(return, "the kernel has no statistics of cpu_opv(2)");
	for (int i = 0; i < MIN_SHORT; i++) {
		EXPECT_EQ(cpu_op_addv(&counter, 1, cpus[i % nr_cpus]), 0);
	}
	EXPECT_EQ(read_stat("vmap"), mapped);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
