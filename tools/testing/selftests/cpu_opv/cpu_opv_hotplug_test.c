// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): vectors for a CPU that is offline, goes offline, or comes
 * back. To be run with each strategy in the sysctl kernel.cpu_opv_remote.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define CALLS		20
#define LOOP_US		3000000
#define DEATH_MS	2000
#define CROWD		12

FIXTURE(offline) {
	int a, b;		/* b is the one that goes offline */
	intptr_t counter;
	struct exclusions before, since;
};

FIXTURE_SETUP(offline)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	self->a = cpus[1];
	self->b = cpus[0];
	if (set_online(self->b, false))
		SKIP(return, "CPU %d cannot be set offline", self->b);
	exclusions_now(&self->before);
}

FIXTURE_TEARDOWN_PARENT(offline)
{
	restore_settings();
}

static void expect_all_offline(struct __test_metadata *_metadata, FIXTURE_DATA(offline) *self,
			       long calls)
{
	if (!exclusions_since(&self->before, &self->since))
		return;
	EXPECT_EQ(self->since.locked, calls);
	EXPECT_EQ(self->since.local, 0);
	EXPECT_EQ(self->since.interrupted, 0);
	EXPECT_EQ(self->since.migrated, 0);
}

TEST_F(offline, one_caller)
{
	for (int i = 0; i < CALLS; i++)
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, self->b), 0);
	EXPECT_EQ(self->counter, CALLS);
	EXPECT_EQ(cpu_opv(NULL, 0, self->b, 0), 0);
	expect_all_offline(_metadata, self, CALLS + 1);
	EXPECT_NE(current_cpu(), self->b);
}

/* As on any other CPU. */
TEST_F(offline, results)
{
	intptr_t v = 1, v2 = 2, *bad = (intptr_t *)(uintptr_t)page_size - 1;

	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 0, &v2, 2, 3, self->b), 1);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 1, &v2, 3, 3, self->b), 2);
	EXPECT_EQ(cpu_op_addv(bad, 1, self->b), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(cpu_op_cmpeqv_storev_storev(&v2, 2, bad, 3, 3, self->b), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(v, 1);
	EXPECT_EQ(v2, 2);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 1, &v2, 2, 3, self->b), 0);
	EXPECT_EQ(v, 3);
	EXPECT_TRUE(nothing_held());
}

/* Wherever the caller may run: nobody is disturbed. */
TEST_F(offline, pinned)
{
	pin(0, self->a);
	EXPECT_EQ(cpu_op_addv(&self->counter, 1, self->b), 0);
	EXPECT_EQ(cpu_opv(NULL, 0, self->b, 0), 0);
	EXPECT_EQ(current_cpu(), self->a);
	EXPECT_EQ(self->counter, 1);
	expect_all_offline(_metadata, self, 2);
}

TEST_F(offline, back_online)
{
	EXPECT_EQ(cpu_op_addv(&self->counter, 1, self->b), 0);
	ASSERT_EQ(set_online(self->b, true), 0);
	exclusions_now(&self->before);
	for (int i = 0; i < CALLS; i++) {
		pin(0, self->a);
		start_on(self->a);
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, self->b), 0);
	}
	EXPECT_EQ(self->counter, CALLS + 1);
	if (!exclusions_since(&self->before, &self->since))
		return;
	EXPECT_EQ(self->since.local + self->since.locked + self->since.interrupted +
		  self->since.migrated, CALLS);
}

/* Callers are on all other CPUs: they have to exclude each other. */
TEST_F_TIMEOUT(offline, many_callers, 60)
{
	struct load *load = load_new(LOAD_THREADS, &self->b, 1);
	struct load_result res;

	ASSERT_TRUE(load != NULL);
	load->wanted = 200;
	load_start(load);
	load_stop(load);
	res = load_result(load);
	TH_LOG("%ld done, %ld were changed in between", res.done, res.changed);
	EXPECT_EQ(res.error, 0);
	EXPECT_EQ(res.lost, 0);
	EXPECT_EQ(res.again, 0);
	EXPECT_EQ(res.done, LOAD_THREADS * load->wanted);
	expect_all_offline(_metadata, self, res.done + res.changed);
}

/* Those for other CPUs go on meanwhile. */
TEST_F_TIMEOUT(offline, all_cpus, 60)
{
	struct load *load = load_new(LOAD_THREADS, cpus, nr_cpus);
	struct load_result res;

	ASSERT_TRUE(load != NULL);
	load->wanted = 200;
	load_start(load);
	load_stop(load);
	res = load_result(load);
	EXPECT_EQ(res.error, 0);
	EXPECT_EQ(res.lost, 0);
	if (!exclusions_since(&self->before, &self->since))
		return;
	EXPECT_GE(self->since.locked, LOAD_THREADS * load->wanted / nr_cpus);
	EXPECT_GT(self->since.local + self->since.interrupted + self->since.migrated, 0);
}

static int call_once(void *arg)
{
	return cpu_opv(NULL, 0, *(int *)arg, 0) ? KSFT_FAIL : KSFT_PASS;
}

static int bring_online(void *arg)
{
	return set_online(*(int *)arg, true) ? KSFT_FAIL : KSFT_PASS;
}

/* Nothing that they hold stays with them. */
TEST_F_TIMEOUT(offline, killed, 60)
{
	pid_t pids[CROWD];
	long calls = read_stat("locked");

	for (int i = 0; i < CROWD; i++) {
		pids[i] = start_child(maximal_calls, &self->b);
		ASSERT_GT(pids[i], 0);
	}
	if (calls >= 0) {
		EXPECT_TRUE(wait_for_stat("locked", calls + 2 * CROWD, 20000));
	} else {
		sleep_ms(1000);
	}
	for (int i = 0; i < CROWD; i++) {
		EXPECT_TRUE(kill_child(pids[i], DEATH_MS));
		sleep_ms(random_below(4));
	}
	EXPECT_EQ(run_child(call_once, &self->b, 5000), KSFT_PASS);
	EXPECT_EQ(run_child(bring_online, &self->b, 10000), KSFT_PASS);
	EXPECT_EQ(run_child(call_once, &self->b, 5000), KSFT_PASS);
	EXPECT_TRUE(nothing_held());
}

/* ---- under load ---- */

TEST_F_TIMEOUT(offline, and_back_under_load, 60)
{
	struct load *load = load_new(LOAD_THREADS, &self->b, 1);
	struct load_result res;
	long long end;
	int rounds = 0, failed = 0;

	ASSERT_TRUE(load != NULL);
	load_start(load);
	for (end = time_us() + LOOP_US; time_us() < end; rounds++) {
		if (set_online(self->b, true))
			failed++;
		sleep_ms(1 + random_below(50));
		if (set_online(self->b, false))
			failed++;
		sleep_ms(1 + random_below(50));
	}
	load_stop(load);
	res = load_result(load);
	TH_LOG("%d rounds, %ld done, %ld were changed in between, %ld again", rounds, res.done,
	       res.changed, res.again);
	EXPECT_EQ(res.error, 0);
	EXPECT_EQ(res.lost, 0);
	EXPECT_GT(res.done, 0);
	EXPECT_GT(rounds, failed);
	EXPECT_TRUE(nothing_held());
	if (!exclusions_since(&self->before, &self->since))
		return;
	/* Otherwise nothing was tested. */
	EXPECT_GT(self->since.locked, 0);
	EXPECT_GT(self->since.local + self->since.interrupted + self->since.migrated, 0);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
