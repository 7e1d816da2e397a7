// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): four threads of nobody, in calls for a CPU, and a real-time
 * thread there, which wakes up each millisecond and works for a moment: in time, as
 * beside the same threads in calls for the CPUs where they are.
 *
 * With and without in some rounds, in turn, which begin at other times of a millisecond: when
 * that is decides how late a thread is on emulated CPUs, which take turns.
 *
 * Wants a guest whose clock counts instructions (scripts/qemu --icount).
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define CALLERS		4
#define ROUNDS		12
#define WAKE_UPS	80	/* in a round */
#define SETTLE_MS	5
#define PERIOD_NS	1000000
#define WORK_ROUNDS	20000
#define TIME_MS		10000

/* Times as late as without: at worst, and but for one in a hundred */
#define MAX_LATE	2.0
#define MAX_LATE_RANK	1.5

struct waker {
	int cpu;
	long phase;		/* when it begins, in a period */
	long long ns;		/* that it takes, in all */
	struct times late;
};

/* It has the rest of the CPU. Not in the fixture, which is in shared memory. */
static struct spinner spinner;

FIXTURE(realtime) {
};

FIXTURE_VARIANT(realtime) {
	bool busy;		/* the CPU, when the thread sleeps */
	enum vector vector;
};

FIXTURE_VARIANT_ADD(realtime, idle) { false, LONG };
FIXTURE_VARIANT_ADD(realtime, idle_many_pages) { false, MAXIMAL };
FIXTURE_VARIANT_ADD(realtime, busy) { true, LONG };
FIXTURE_VARIANT_ADD(realtime, busy_many_pages) { true, MAXIMAL };

FIXTURE_SETUP(realtime)
{
	const char *why = check_settings(3);

	if (why)
		SKIP(return, "%s", why);
	supervise();
	if (variant->busy) {
		ASSERT_TRUE(spinner_start(&spinner, TARGET, SCHED_OTHER));
	}
	ASSERT_TRUE(pacer_start());
}

FIXTURE_TEARDOWN_PARENT(realtime)
{
	restore_settings();
}

static void work(void)
{
	for (int i = 0; i < WORK_ROUNDS; i++)
		asm volatile("" : : : "memory");
}

static int wake_often(void *arg)
{
	struct sched_param param = { .sched_priority = 10 };
	struct waker *waker = arg;
	long long next;

	pin(0, waker->cpu);
	if (sched_setscheduler(0, SCHED_FIFO, &param) || mlockall(MCL_CURRENT))
		return KSFT_FAIL;
	next = (time_ns() / PERIOD_NS + 1) * PERIOD_NS + waker->phase;
	for (int i = 0; i < WAKE_UPS; i++) {
		struct timespec ts;

		next += PERIOD_NS;
		ts.tv_sec = next / 1000000000;
		ts.tv_nsec = next % 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		times_add(&waker->late, time_ns() - next);
		work();
		/* What is missed is missed. */
		while (time_ns() > next + PERIOD_NS)
			next += PERIOD_NS;
	}
	return KSFT_PASS;
}

static struct waker *waker_new(void)
{
	struct waker *waker = mmap(NULL, sizeof(*waker), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (waker == MAP_FAILED || !times_new(&waker->late, ROUNDS * WAKE_UPS))
		return NULL;
	waker->cpu = TARGET;
	return waker;
}

/* Some wake-ups of the thread. Returns false if it does not get on at all. */
static bool observe(struct waker *waker)
{
	long long start = time_ns();
	int status;
	pid_t pid;
	bool ok;

	pid = start_child(wake_often, waker);
	ok = pid > 0 && wait_child(pid, &status, TIME_MS) && !status;
	waker->ns += time_ns() - start;
	if (!ok && pid > 0)
		kill_child(pid, 5000);
	return ok;
}

static void show(struct __test_metadata *_metadata, const char *what, const struct waker *waker)
{
	TH_LOG("%s: late by %.1f us, 99%%: %.1f us, worst of %d: %.1f us, in %lld ms", what,
	       times_rank(&waker->late, 500) / 1e3, times_rank(&waker->late, 990) / 1e3,
	       waker->late.nr, times_worst(&waker->late) / 1e3, waker->ns / 1000000);
}

TEST_F_TIMEOUT(realtime, wakes_in_time, 300)
{
	struct callers like = {
		.nr = CALLERS, .target = OWN_CPU, .pinned = true,
		.vector = variant->vector,
	}, *callers = callers_start(&like);
	struct waker *without = waker_new(), *with = waker_new();
	bool ok = true;

	ASSERT_TRUE(callers && without && with);
	for (int i = 0; i < ROUNDS && ok; i++) {
		without->phase = i * PERIOD_NS / ROUNDS;
		with->phase = without->phase;
		callers_aim(callers, OWN_CPU);
		sleep_ms(SETTLE_MS);
		ASSERT_TRUE(observe(without));
		callers_aim(callers, TARGET);
		sleep_ms(SETTLE_MS);
		ok = observe(with);
	}
	callers_stop(callers);
	EXPECT_TRUE(ok);
	show(_metadata, "without", without);
	show(_metadata, "with", with);
	TH_LOG("%ld calls, %ld refused", callers_done(callers), callers_refused(callers));
	EXPECT_EQ(callers_error(callers), 0);
	EXPECT_GT(callers_done(callers), 0);

	EXPECT_LE(times_worst(&with->late), MAX_LATE * times_worst(&without->late));
	EXPECT_LE(times_rank(&with->late, 990), MAX_LATE_RANK * times_rank(&without->late, 990));
	pacer_stop();
	spinner_stop(&spinner);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
