// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): callers that a cgroup limits to a tenth of a CPU do not take
 * more than that of another CPU from a task that runs there. Without the limit, empty
 * vectors take more, or this would show nothing.
 *
 * Wants a guest whose clock counts instructions (scripts/qemu --icount).
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
#define GROUP		CGROUPS "/cpu_opv_quota"
#define QUOTA		"10000 100000"
#define PART		0.10
#define MARGIN		0.02	/* periods that are cut at the ends; what the clock misses */
#define MEASURE_MS	1500
#define SETTLE_MS	100
#define CALLERS		2

FIXTURE(quota) {
};

FIXTURE_VARIANT(quota) {
	enum vector vector;
	bool pinned;		/* the callers, so that they cannot go there */
};

FIXTURE_VARIANT_ADD(quota, no_ops) { NO_OPS, false };
FIXTURE_VARIANT_ADD(quota, no_ops_pinned) { NO_OPS, true };
FIXTURE_VARIANT_ADD(quota, long_vector) { LONG, false };
FIXTURE_VARIANT_ADD(quota, long_vector_pinned) { LONG, true };
FIXTURE_VARIANT_ADD(quota, maximal_pinned) { MAXIMAL, true };

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

FIXTURE_SETUP(quota)
{
	const char *why = check_settings(3) ?: make_group();

	if (why)
		SKIP(return, "%s", why);
	supervise();
	ASSERT_TRUE(observers_start());
}

FIXTURE_TEARDOWN_PARENT(quota)
{
	restore_settings();
	for (int i = 0; rmdir(GROUP) && errno == EBUSY && i < 1000; i++)
		sleep_ms(10);
}

static struct progress measure(void)
{
	struct progress start = progress_now();

	sleep_ms(MEASURE_MS);
	return progress_since(&start);
}

/* The part of the target's time that these callers take from the task there. */
static double loss(struct __test_metadata *_metadata, const char *what,
		   const struct callers *like, const struct progress *without)
{
	struct callers *callers = callers_start(like);
	struct progress with;
	double lost;

	if (!callers) {
		TH_LOG("%s: no callers", what);
		return -1;
	}
	sleep_ms(SETTLE_MS);
	with = measure();
	callers_stop(callers);
	lost = progress_lost(without, &with);
	TH_LOG("%s: %.1f %% lost, by %ld calls, %ld refused, errno %d", what, 100 * lost,
	       callers_done(callers), callers_refused(callers), callers_error(callers));
	return callers_error(callers) || !callers_done(callers) ? -1 : lost;
}

TEST_F_TIMEOUT(quota, counts_elsewhere, 120)
{
	struct callers like = {
		.nr = CALLERS, .target = TARGET, .pinned = variant->pinned,
		.vector = variant->vector,
	};
	struct progress without = measure();
	double unlimited, limited;

	unlimited = loss(_metadata, "beside calls", &like, &without);
	like.cgroup = GROUP "/cgroup.procs";
	limited = loss(_metadata, "beside calls of those that have a tenth", &like, &without);
	EXPECT_GT(unlimited, variant->vector == NO_OPS ? PART : 0);
	EXPECT_GE(limited, -MARGIN);
	EXPECT_LE(limited, PART + MARGIN);
	observers_stop();
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
