// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): what a task loses when strangers call for its CPU. At most a
 * quarter of its time, and no more than they spend; if a cgroup limits them to a tenth
 * of a CPU, a tenth.
 *
 * Wants a guest whose clock counts instructions (scripts/qemu --icount), with five or more
 * CPUs: callers on a single one are too slow to take much.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define CGROUPS		"/sys/fs/cgroup"
#define GROUP		CGROUPS "/cpu_opv_loss"
#define QUOTA		"10000 100000"
#define TENTH		0.10
#define MARGIN		0.03	/* what emulated CPUs differ anyway */
#define QUARTER		0.25
#define CALLERS		4
#define ROUNDS		3
#define ROUND_MS	300	/* three periods of the quota */
#define SETTLE_MS	20

FIXTURE(loss) {
};

FIXTURE_VARIANT(loss) {
	enum vector vector;
	bool pinned;		/* the callers, so that they cannot go there */
	int policy;		/* of the task there */
	const char *remote;	/* the setting */
};

FIXTURE_VARIANT_ADD(loss, no_ops) { NO_OPS, false, SCHED_OTHER, "interrupt" };
FIXTURE_VARIANT_ADD(loss, long_vector) { LONG, true, SCHED_OTHER, "interrupt" };
FIXTURE_VARIANT_ADD(loss, many_pages) { MAXIMAL, true, SCHED_OTHER, "interrupt" };
FIXTURE_VARIANT_ADD(loss, real_time) { LONG, true, SCHED_FIFO, "interrupt" };
/* Callers that go there have a right to time as any other task, unless they are limited. */
FIXTURE_VARIANT_ADD(loss, migrate) { LONG, false, SCHED_OTHER, "migrate" };

/* Returns why there is no such group, or NULL. */
static const char *make_group(void)
{
	if (access(CGROUPS "/cgroup.procs", F_OK))
		return "no cgroup2 in " CGROUPS;
	if (!write_text(CGROUPS "/cgroup.subtree_control", "+cpu"))
		return "no controller of CPU time";
	if (mkdir(GROUP, 0755) && errno != EEXIST)
		return "cannot make a cgroup";
	if (!write_text(GROUP "/cpu.max", QUOTA))
		return "cannot limit CPU time";
	return NULL;
}

FIXTURE_SETUP(loss)
{
	const char *why = check_settings(3);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(write_setting(REMOTE, variant->remote), 0);
	supervise();
	ASSERT_TRUE(observers_start(variant->policy));
	ASSERT_TRUE(pacer_start());
}

FIXTURE_TEARDOWN_PARENT(loss)
{
	restore_settings();
	for (int i = 0; rmdir(GROUP) && errno == EBUSY && i < 1000; i++)
		sleep_ms(10);
}

struct result {
	double lost;		/* part of the time, median of some rounds */
	long long spent_ns, ns;
};

static struct progress measure(struct callers *callers, int target)
{
	struct progress start;

	callers_aim(callers, target);
	sleep_ms(SETTLE_MS);
	start = progress_now();
	sleep_ms(ROUND_MS);
	return progress_since(&start);
}

/* What the task loses when these callers call for its CPU, instead of theirs. */
static void compare(struct __test_metadata *_metadata, const FIXTURE_VARIANT(loss) *variant,
		    const char *cgroup, struct result *result)
{
	struct callers like = {
		.nr = CALLERS, .target = OWN_CPU, .pinned = variant->pinned,
		.vector = variant->vector, .cgroup = cgroup,
	}, *callers = callers_start(&like);
	long permyriad[ROUNDS];

	ASSERT_TRUE(callers != NULL);
	for (int i = 0; i < ROUNDS; i++) {
		struct progress without = measure(callers, OWN_CPU), with;
		long long spent = callers_spent_ns(callers);

		with = measure(callers, TARGET);
		result->spent_ns += callers_spent_ns(callers) - spent;
		result->ns += with.ns;
		permyriad[i] = 10000 * progress_lost(&without, &with);
	}
	callers_stop(callers);
	result->lost = median(permyriad, ROUNDS) / 10000.0;
	TH_LOG("lost: %.1f %% (%.1f to %.1f %% in %d rounds), by %ld calls, %ld refused; the callers spent %lld of %lld ms",
	       100 * result->lost, permyriad[0] / 100.0, permyriad[ROUNDS - 1] / 100.0, ROUNDS,
	       callers_done(callers), callers_refused(callers), result->spent_ns / 1000000,
	       result->ns / 1000000);
	EXPECT_EQ(callers_error(callers), 0);
	EXPECT_GT(callers_done(callers) + callers_refused(callers), 0);
}

TEST_F_TIMEOUT(loss, a_quarter, 120)
{
	struct result result = { 0 };

	if (!strcmp(variant->remote, "migrate"))
		SKIP(return, "not promised");
	compare(_metadata, variant, NULL, &result);
	EXPECT_LE(result.lost, QUARTER + MARGIN);
	EXPECT_LE((result.lost - MARGIN) * result.ns, result.spent_ns);
	pacer_stop();
	observers_stop();
}

TEST_F_TIMEOUT(loss, a_tenth, 120)
{
	const char *why = make_group();
	struct result result = { 0 };

	if (why)
		SKIP(return, "%s", why);
	compare(_metadata, variant, GROUP "/cgroup.procs", &result);
	EXPECT_LE(result.lost, TENTH + MARGIN);
	EXPECT_LE((result.lost - MARGIN) * result.ns, result.spent_ns);
	pacer_stop();
	observers_stop();
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
