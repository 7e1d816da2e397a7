// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): its setting. What it takes and who may change it, and that
 * it does what it says, also when it changes under load.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define CALLS		50
#define LOAD_US		6000000
#define MAX_US		2000000
#define NOBODY		65534

FIXTURE(sysctl) {
};

FIXTURE_SETUP(sysctl)
{
	const char *why = check_settings(1);

	if (why)
		SKIP(return, "%s", why);
	if (geteuid())
		SKIP(return, "needs to be root");
}

FIXTURE_TEARDOWN_PARENT(sysctl)
{
	restore_settings();
}

#define EXPECT_SETTING(path, value)					\
	do {								\
		char _buf[64] = "";					\
									\
		EXPECT_TRUE(read_text(path, _buf, sizeof(_buf)));	\
		EXPECT_STREQ(_buf, value "\n");				\
	} while (0)

#define EXPECT_GOOD(path, value)				\
	do {							\
		EXPECT_EQ(write_setting(path, value), 0);	\
		EXPECT_SETTING(path, value);			\
	} while (0)

TEST_F(sysctl, remote_good)
{
	EXPECT_GOOD(REMOTE, "interrupt");
	EXPECT_GOOD(REMOTE, "migrate");
	EXPECT_EQ(write_setting(REMOTE, "interrupt\n"), 0);
	EXPECT_SETTING(REMOTE, "interrupt");
	EXPECT_EQ(write_setting(REMOTE, "migrate\n"), 0);
	EXPECT_SETTING(REMOTE, "migrate");
}

TEST_F(sysctl, remote_bad)
{
	static char length[5000];
	const char *bad[] = {
		"\n", " ", "i", "interrup", "interrupts", "interrupt x", "interrupt,migrate",
		"Interrupt", "INTERRUPT", "stop", "m",
		"migrat", "migrates", "migrate stop", "0", "1", "-1", "local", "none",
		length,
	};

	memset(length, 'm', sizeof(length) - 1);
	EXPECT_GOOD(REMOTE, "migrate");
	for (int i = 0; i < 2 * NR_ELEMS(bad); i++) {
		if (i == NR_ELEMS(bad))
			EXPECT_GOOD(REMOTE, "interrupt");
		EXPECT_EQ(write_setting(REMOTE, bad[i % NR_ELEMS(bad)]), EINVAL)
			TH_LOG("\"%.20s\"", bad[i % NR_ELEMS(bad)]);
		if (i < NR_ELEMS(bad)) {
			EXPECT_SETTING(REMOTE, "migrate");
		} else {
			EXPECT_SETTING(REMOTE, "interrupt");
		}
	}
}

TEST_F(sysctl, only_by_root)
{
	int err;

	EXPECT_GOOD(REMOTE, "migrate");
	ASSERT_EQ(seteuid(NOBODY), 0);
	err = write_setting(REMOTE, "interrupt");
	EXPECT_TRUE(err == EACCES || err == EPERM);
	/* Everybody may know it. */
	EXPECT_SETTING(REMOTE, "migrate");
	ASSERT_EQ(seteuid(0), 0);
}

/* ---- strategies ---- */

FIXTURE(strategy) {
	struct exclusions before, since;
	intptr_t counter;
	bool migrate;
};

FIXTURE_VARIANT(strategy) {
	const char *remote;
};

FIXTURE_VARIANT_ADD(strategy, migrate) { "migrate" };
FIXTURE_VARIANT_ADD(strategy, interrupt) { "interrupt" };

FIXTURE_SETUP(strategy)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(write_setting(REMOTE, variant->remote), 0);
	self->migrate = !strcmp(variant->remote, "migrate");
}

FIXTURE_TEARDOWN_PARENT(strategy)
{
	restore_settings();
}

static void call_each_way(struct __test_metadata *_metadata, FIXTURE_DATA(strategy) *self, int nr)
{
	for (int i = 0; i < nr; i++) {
		start_on(cpus[0]);
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, cpus[1]), 0);
	}
	exclusions_since(&self->before, &self->since);
}

/* Nobody goes to a CPU that has nothing to do, nor is it interrupted. */
TEST_F(strategy, idle)
{
	if (!exclusions_now(&self->before))
		SKIP(return, "the kernel has no statistics of cpu_opv(2)");
	call_each_way(_metadata, self, CALLS);
	EXPECT_GE(self->since.locked, CALLS / 2);
}

TEST_F(strategy, used)
{
	struct spinner spinner;

	if (!exclusions_now(&self->before))
		SKIP(return, "the kernel has no statistics of cpu_opv(2)");
	pin(0, cpus[0]);
	ASSERT_TRUE(spinner_start(&spinner, cpus[1], SCHED_OTHER));
	call_each_way(_metadata, self, CALLS);
	/* A caller that others take away again and again gives up. */
	if (self->migrate) {
		EXPECT_GE(self->since.migrated, CALLS / 5);
	} else {
		EXPECT_GE(self->since.interrupted, CALLS / 2);
		EXPECT_EQ(self->since.migrated, 0);
	}
	spinner_stop(&spinner);
}

/*
 * A task of another process that is of a real-time class is not disturbed. The caller goes there
 * and waits, in vain or not, if it may.
 */
TEST_F(strategy, realtime)
{
	struct spinner spinner;
	int done = 0, busy = 0;

	pin(0, cpus[0]);
	ASSERT_TRUE(spinner_start(&spinner, cpus[1], SCHED_FIFO));
	for (int i = 0; i < 3; i++) {
		int ret;

		start_on(cpus[0]);
		ret = cpu_op_addv(&self->counter, 1, cpus[1]);
		if (ret != -1 || errno != EAGAIN)
			EXPECT_EQ(ret, 0);
		done += !ret;
	}
	for (int i = 0; i < CALLS; i++) {
		long long start = time_us();
		int ret;

		pin(0, cpus[0]);
		ret = cpu_op_addv(&self->counter, 1, cpus[1]);
		EXPECT_LT(time_us() - start, MAX_US);
		/* The CPU has some time for others. */
		if (ret) {
			EXPECT_EQ(errno, EBUSY);
			busy++;
		} else {
			done++;
		}
	}
	EXPECT_GT(busy, CALLS / 2);
	EXPECT_EQ(self->counter, done);
	spinner_stop(&spinner);
}

static void expect_exact(struct __test_metadata *_metadata, const struct load *load)
{
	struct load_result res = load_result(load);

	TH_LOG("%ld done, %ld were changed in between, %ld again", res.done, res.changed,
	       res.again);
	EXPECT_EQ(res.error, 0);
	EXPECT_EQ(res.lost, 0);
	EXPECT_GT(res.done, 0);
	EXPECT_TRUE(nothing_held());
}

/* Vectors on the same CPU exclude each other, whoever asks for them. */
TEST_F_TIMEOUT(strategy, exclusive, 60)
{
	struct load *load = load_new(LOAD_THREADS, cpus, nr_cpus);

	ASSERT_TRUE(load != NULL);
	load->wanted = 300;
	load_start(load);
	load_stop(load);
	expect_exact(_metadata, load);
}

/* ---- changes under load ---- */

/* Calls that go by different strategies exclude each other, too. */
TEST_F_TIMEOUT(sysctl, remote_changed, 60)
{
	struct load *load = load_new(LOAD_THREADS, cpus, nr_cpus);
	long long end = time_us() + LOAD_US;
	struct exclusions before, since;

	if (nr_cpus < 2)
		SKIP(return, "needs two CPUs");
	ASSERT_TRUE(load != NULL);
	exclusions_now(&before);
	load_start(load);
	for (int round = 0; time_us() < end; round++) {
		ASSERT_EQ(write_setting(REMOTE, round % 2 ? "interrupt" : "migrate"), 0);
		sleep_ms(random_below(4));
	}
	load_stop(load);
	expect_exact(_metadata, load);
	if (!exclusions_since(&before, &since))
		return;
	EXPECT_GT(since.migrated, 0);
	EXPECT_GT(since.interrupted, 0);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
