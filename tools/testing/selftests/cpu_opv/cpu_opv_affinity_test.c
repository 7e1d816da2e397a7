// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): others change where the callers may run, while they call.
 * To be run with each strategy in the sysctl kernel.cpu_opv_remote.
 *
 * A mask does not matter to calls. A cpuset does: they may be refused, with ENXIO,
 * but never do their work elsewhere or half of it, nor leave the caller where it
 * must not be.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define NR_CALLERS	6
#define LOAD_US		6000000

static bool started(struct load *load)
{
	for (int i = 0; i < load->nr_threads; i++) {
		if (!load_rounds(load, i, 1))
			return false;
	}
	return true;
}

/* Not empty; of the first CPUs of @load, not more than @nr. */
static unsigned int random_subset(int nr)
{
	return 1 + random_below((1U << nr) - 1);
}

/*
 * Caller @i has been told to run on the CPUs of @subset only, where it is found.
 * After the calls that were under way, those for other CPUs are refused if that
 * is a cpuset, and no others.
 */
static void expect_obeys(struct __test_metadata *_metadata, struct load *load, int i,
			 unsigned int subset, bool cpuset)
{
	struct worker *w = &load->workers[i];
	int cpu;

	ASSERT_TRUE(load_rounds(load, i, 2));
	cpu = __atomic_load_n(&w->cpu, __ATOMIC_RELAXED);
	for (int c = 0; c < load->nr_cpus; c++) {
		int err = __atomic_load_n(&w->last[c], __ATOMIC_RELAXED);

		if (subset & 1U << c || !cpuset) {
			EXPECT_TRUE(err == 0 || err == EAGAIN);
		} else {
			EXPECT_EQ(err, ENXIO);
		}
		if (cpu == load->cpus[c])
			EXPECT_TRUE(subset & 1U << c);
	}
}

static void expect_exact(struct __test_metadata *_metadata, const struct load *load, bool cpuset)
{
	struct load_result res = load_result(load);

	TH_LOG("%ld done, %ld refused, %ld were changed in between, %ld again", res.done,
	       res.refused, res.changed, res.again);
	EXPECT_EQ(res.error, 0);
	EXPECT_EQ(res.lost, 0);
	/* Otherwise nothing was tested. */
	EXPECT_GT(res.done, 0);
	if (cpuset) {
		EXPECT_GT(res.refused, 0);
	} else {
		EXPECT_EQ(res.refused, 0);
	}
	EXPECT_TRUE(nothing_held());
}

FIXTURE(affinity) {
	struct load *load;
	int nr_cpus;		/* of those in the masks */
};

FIXTURE_SETUP(affinity)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	self->nr_cpus = nr_cpus < 8 ? nr_cpus : 8;
	self->load = load_new(NR_CALLERS, cpus, self->nr_cpus);
	ASSERT_TRUE(self->load != NULL);
	self->load->may_refuse = true;
}

FIXTURE_TEARDOWN_PARENT(affinity)
{
	restore_settings();
}

static void set_subset(struct __test_metadata *_metadata, const struct load *load, pid_t tid,
		       unsigned int subset)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int c = 0; c < load->nr_cpus; c++) {
		if (subset & 1U << c)
			CPU_SET(load->cpus[c], &set);
	}
	ASSERT_EQ(sched_setaffinity(tid, sizeof(set), &set), 0);
}

TEST_F_TIMEOUT(affinity, by_another_thread, 60)
{
	struct load *load = self->load;
	long long end;

	load_start(load);
	ASSERT_TRUE(started(load));
	end = time_us() + LOAD_US;
	for (int round = 1; time_us() < end; round++) {
		unsigned int subset = random_subset(self->nr_cpus);
		int i = random_below(load->nr_threads);

		set_subset(_metadata, load, load->workers[i].tid, subset);
		if (round % 8 == 0)
			expect_obeys(_metadata, load, i, subset, false);
		else if (round % 2)
			sleep_ms(random_below(3));
	}
	load_stop(load);
	expect_exact(_metadata, load, false);
}

/* ---- cpusets ---- */

FIXTURE(cpuset) {
	struct cpuset cpuset;
	struct load *load;
	int nr_cpus;
	pid_t child;
};

FIXTURE_SETUP(cpuset)
{
	const char *why = check_settings(2) ?: cpuset_create(&self->cpuset);

	if (why)
		SKIP(return, "%s", why);
	self->nr_cpus = nr_cpus < 8 ? nr_cpus : 8;
	self->load = load_new(NR_CALLERS, cpus, self->nr_cpus);
	ASSERT_TRUE(self->load != NULL);
	self->load->may_refuse = true;
}

FIXTURE_TEARDOWN_PARENT(cpuset)
{
	cpuset_remove(&self->cpuset);
	restore_settings();
}

/* In the cgroup, with its threads. */
static int run_load(void *arg)
{
	struct load *load = arg;

	if (cpuset_enter())
		return KSFT_FAIL;
	load_start(load);
	while (!__atomic_load_n(&load->stop, __ATOMIC_RELAXED))
		sleep_ms(1);
	load_stop(load);
	return KSFT_PASS;
}

static void set_cpuset(struct __test_metadata *_metadata, const struct load *load,
		       unsigned int subset)
{
	int list[MAX_CPUS], nr = 0;

	for (int c = 0; c < load->nr_cpus; c++) {
		if (subset & 1U << c)
			list[nr++] = load->cpus[c];
	}
	ASSERT_EQ(cpuset_set(list, nr), 0);
}

TEST_F_TIMEOUT(cpuset, changes, 60)
{
	struct load *load = self->load;
	long long end;
	int status;

	self->child = start_child(run_load, load);
	ASSERT_GT(self->child, 0);
	ASSERT_TRUE(started(load));
	end = time_us() + LOAD_US;
	for (int round = 1; time_us() < end; round++) {
		unsigned int subset = random_subset(self->nr_cpus);

		set_cpuset(_metadata, load, subset);
		for (int i = 0; round % 16 == 0 && i < load->nr_threads; i++)
			expect_obeys(_metadata, load, i, subset, true);
		sleep_ms(random_below(4));
	}
	__atomic_store_n(&load->stop, true, __ATOMIC_RELAXED);
	ASSERT_TRUE(wait_child(self->child, &status, 10000));
	EXPECT_EQ(status, 0);
	expect_exact(_metadata, load, true);
}

/* Both at once: the mask that a thread asked for, within what its cpuset has. */
TEST_F_TIMEOUT(cpuset, and_affinity, 60)
{
	struct load *load = self->load;
	long long end;
	int status;

	self->child = start_child(run_load, load);
	ASSERT_GT(self->child, 0);
	ASSERT_TRUE(started(load));
	for (end = time_us() + LOAD_US / 2; time_us() < end;) {
		unsigned int subset = random_subset(self->nr_cpus);
		int i = random_below(load->nr_threads);
		cpu_set_t set;

		set_cpuset(_metadata, load, subset);
		CPU_ZERO(&set);
		CPU_SET(load->cpus[random_below(load->nr_cpus)], &set);
		/* Refused where they have no CPU in common. */
		sched_setaffinity(load->workers[i].tid, sizeof(set), &set);
		sleep_ms(random_below(4));
	}
	__atomic_store_n(&load->stop, true, __ATOMIC_RELAXED);
	ASSERT_TRUE(wait_child(self->child, &status, 10000));
	EXPECT_EQ(status, 0);
	expect_exact(_metadata, load, true);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
