// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): how many interrupts a call sends: none to a CPU that is idle,
 * one to a CPU that runs a task. Counted by /proc/interrupts.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define CALLS		1000
#define OTHERS		10	/* that have nothing to do with the calls */

static struct spinner spinner;

enum runs { NOTHING, OWN_THREAD, STRANGER };

FIXTURE(interrupts) {
	int cpu;
};

FIXTURE_VARIANT(interrupts) {
	enum runs runs;
	enum vector vector;
};

FIXTURE_VARIANT_ADD(interrupts, idle_empty) { NOTHING, NO_OPS };
FIXTURE_VARIANT_ADD(interrupts, idle_add) { NOTHING, ONE_ADD };
FIXTURE_VARIANT_ADD(interrupts, idle_maximal) { NOTHING, MAXIMAL };
FIXTURE_VARIANT_ADD(interrupts, own_thread_empty) { OWN_THREAD, NO_OPS };
FIXTURE_VARIANT_ADD(interrupts, own_thread_add) { OWN_THREAD, ONE_ADD };
FIXTURE_VARIANT_ADD(interrupts, own_thread_maximal) { OWN_THREAD, MAXIMAL };
FIXTURE_VARIANT_ADD(interrupts, stranger_empty) { STRANGER, NO_OPS };
FIXTURE_VARIANT_ADD(interrupts, stranger_add) { STRANGER, ONE_ADD };
FIXTURE_VARIANT_ADD(interrupts, stranger_maximal) { STRANGER, MAXIMAL };

static volatile long rounds;

static void *spin(void *arg)
{
	pin(0, *(int *)arg);
	for (;;)
		rounds++;
	return NULL;
}

FIXTURE_SETUP(interrupts)
{
	const char *why = check_settings(2);
	char remote[32];
	pthread_t thread;

	if (why)
		SKIP(return, "%s", why);
	if (interrupts("CAL", TARGET) < 0)
		SKIP(return, "/proc/interrupts does not tell");
	if (read_text(REMOTE, remote, sizeof(remote)) && !strncmp(remote, "migrate", 7))
		SKIP(return, "no call interrupts where kernel.cpu_opv_remote is migrate");
	self->cpu = TARGET;
	pin(0, cpus[nr_cpus - 1]);
	switch (variant->runs) {
	case NOTHING:
		break;
	case OWN_THREAD:
		ASSERT_EQ(pthread_create(&thread, NULL, spin, &self->cpu), 0);
		while (!rounds)
			sleep_ms(1);
		break;
	case STRANGER:
		ASSERT_TRUE(spinner_start(&spinner, self->cpu, SCHED_OTHER));
		break;
	}
}

FIXTURE_TEARDOWN_PARENT(interrupts)
{
	restore_settings();
}

TEST_F_TIMEOUT(interrupts, sent, 60)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	char *mem = maximal_memory(MAP_PRIVATE);
	int ret = 0, err = 0, cnt;
	long cal, res, interrupted, locked;

	ASSERT_TRUE(mem != NULL);
	cnt = make_vec(variant->vector, vec, mem);
	/* What was there has gone to sleep. */
	sleep_ms(20);
	interrupted = read_stat("interrupted");
	locked = read_stat("locked");
	cal = interrupts("CAL", self->cpu);
	res = interrupts("RES", self->cpu);
	for (int i = 0; i < CALLS && !ret; i++) {
		ret = cpu_opv(vec, cnt, self->cpu, 0);
		err = errno;
	}
	cal = interrupts("CAL", self->cpu) - cal;
	res = interrupts("RES", self->cpu) - res;
	interrupted = read_stat("interrupted") - interrupted;
	locked = read_stat("locked") - locked;
	if (ret)
		TH_LOG("ended by errno %d", err);
	EXPECT_EQ(ret, 0);
	TH_LOG("%d calls: %ld function-call interrupts, %ld to reschedule; %ld ran in one, %ld with the runqueue locked",
	       CALLS, cal, res, interrupted, locked);
	if (variant->runs == NOTHING) {
		EXPECT_LE(cal, OTHERS);
		EXPECT_EQ(interrupted, 0);
		if (read_stat("locked") >= 0) {
			EXPECT_EQ(locked, CALLS);
		}
	} else {
		/* A thread of the kernel may have run there for a moment. */
		EXPECT_GE(cal, CALLS - OTHERS);
		EXPECT_LE(cal, CALLS + OTHERS);
		if (read_stat("interrupted") >= 0) {
			EXPECT_EQ(interrupted + locked, CALLS);
			EXPECT_LE(interrupted, cal);
			EXPECT_LE(locked, OTHERS);
		}
	}
	EXPECT_LE(res, OTHERS);
	spinner_stop(&spinner);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
