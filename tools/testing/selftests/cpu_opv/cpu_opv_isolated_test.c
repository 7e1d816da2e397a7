// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a CPU that was set apart, by isolcpus=, or that runs a
 * real-time task, is not interrupted by strangers. They go there by themselves, or
 * get EBUSY.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define CALLS		200
#define BUSY_MS		5000	/* for all of those that are refused */
#define CALLS_MS	60000
#define OTHERS		10	/* what has nothing to do with the calls */

/* In a fixture, which is in shared memory, the child would change it, too. */
static struct spinner spinner;

/* What a child does and finds. */
struct visit {
	int cpu;
	bool may_go;		/* its mask has the CPU */
	int done, refused, failed;	/* EBUSY, others */
	int error;
	int there;		/* calls after which it was there */
	long long took_ns;
	long cal, res;		/* interrupts of the CPU meanwhile */
};

FIXTURE(isolated) {
	struct visit *visit;
};

FIXTURE_VARIANT(isolated) {
	bool isolated;		/* or it runs a real-time task */
	bool may_go;
	enum vector vector;
};

FIXTURE_VARIANT_ADD(isolated, short_call) { true, false, ONE_ADD };
FIXTURE_VARIANT_ADD(isolated, maximal_call) { true, false, MAXIMAL };
FIXTURE_VARIANT_ADD(isolated, short_call_may_go) { true, true, ONE_ADD };
FIXTURE_VARIANT_ADD(isolated, maximal_call_may_go) { true, true, MAXIMAL };
FIXTURE_VARIANT_ADD(isolated, real_time) { false, false, ONE_ADD };
FIXTURE_VARIANT_ADD(isolated, real_time_maximal) { false, false, MAXIMAL };

/* The first of /sys/devices/system/cpu/isolated, or -1 */
static int isolated_cpu(void)
{
	char buf[64];

	if (!read_text("/sys/devices/system/cpu/isolated", buf, sizeof(buf)) || *buf < '0')
		return -1;
	return atoi(buf);
}

/* With a task of this process that never sleeps, if @policy is not -1 */
static bool occupy(int cpu, int policy)
{
	return policy < 0 || spinner_start(&spinner, cpu, policy);
}

FIXTURE_SETUP(isolated)
{
	const char *why = check_settings(2);
	int cpu = variant->isolated ? isolated_cpu() : TARGET;

	if (why)
		SKIP(return, "%s", why);
	if (cpu < 0)
		SKIP(return, "no CPU is isolated: boot with isolcpus=");
	self->visit = mmap(NULL, sizeof(*self->visit), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->visit != MAP_FAILED);
	self->visit->cpu = cpu;
	self->visit->may_go = variant->may_go;
	pin(0, cpus[nr_cpus - 1]);
}

FIXTURE_TEARDOWN_PARENT(isolated)
{
	restore_settings();
}

static void return_to(int start, int cpu)
{
	cpu_set_t set;

	pin(0, start);
	CPU_ZERO(&set);
	CPU_SET(start, &set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int visit_cpu(struct visit *visit, enum vector vector)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	char *mem = maximal_memory(MAP_PRIVATE);
	int start = cpus[nr_cpus - 1], cnt;

	if (!mem || become_nobody())
		return KSFT_FAIL;
	cnt = make_vec(vector, vec, mem);
	pin(0, start);
	visit->cal = interrupts("CAL", visit->cpu);
	visit->res = interrupts("RES", visit->cpu);
	visit->took_ns = time_ns();
	for (int i = 0; i < CALLS; i++) {
		if (visit->may_go)
			return_to(start, visit->cpu);
		if (!cpu_opv(vec, cnt, visit->cpu, 0)) {
			visit->done++;
		} else if (errno == EBUSY) {
			visit->refused++;
		} else {
			visit->failed++;
			visit->error = errno;
		}
		visit->there += current_cpu() == visit->cpu;
	}
	visit->took_ns = time_ns() - visit->took_ns;
	visit->cal = interrupts("CAL", visit->cpu) - visit->cal;
	visit->res = interrupts("RES", visit->cpu) - visit->res;
	return KSFT_PASS;
}

static int visit_short(void *arg)
{
	return visit_cpu(arg, ONE_ADD);
}

static int visit_maximal(void *arg)
{
	return visit_cpu(arg, MAXIMAL);
}

static void show(struct __test_metadata *_metadata, const struct visit *visit)
{
	TH_LOG("CPU %d: of %d calls, %d succeeded, %d got EBUSY, %d failed (errno %d), %d went there, in %lld us; %ld function-call interrupts, %ld to reschedule",
	       visit->cpu, CALLS, visit->done, visit->refused, visit->failed, visit->error,
	       visit->there, visit->took_ns / 1000, visit->cal, visit->res);
}

TEST_F_TIMEOUT(isolated, is_not_interrupted, 120)
{
	struct visit *visit = self->visit;
	long interrupted = read_stat("interrupted"), busy = read_stat("ebusy");
	long others = variant->isolated ? 0 : OTHERS, locked = read_stat("locked");
	bool runs;

	ASSERT_TRUE(occupy(visit->cpu, variant->isolated ? SCHED_OTHER : SCHED_FIFO));
	EXPECT_EQ(run_child(variant->vector == MAXIMAL ? visit_maximal : visit_short, visit,
			    CALLS_MS), KSFT_PASS);
	show(_metadata, visit);
	runs = spinner_runs(&spinner);
	spinner_stop(&spinner);
	EXPECT_TRUE(runs);

	EXPECT_EQ(read_stat("interrupted"), interrupted);
	if (variant->may_go) {
		EXPECT_EQ(visit->done, CALLS);
		/* Unless the thread that moves tasks away still ran there. */
		EXPECT_EQ(visit->there + read_stat("locked") - locked, CALLS);
		/* Scheduling there and back sends some, but not for each call. */
		EXPECT_LT(visit->cal, CALLS / 2);
		return;
	}
	/* A thread of the kernel may have run there for a moment. */
	EXPECT_EQ(visit->refused + visit->done, CALLS);
	EXPECT_GE(visit->refused, CALLS - OTHERS);
	EXPECT_LE(visit->cal, others);
	EXPECT_LE(visit->res, others);
	/* It has not waited for anything. */
	EXPECT_LT(visit->took_ns, BUSY_MS * 1000000LL);
	if (busy >= 0) {
		EXPECT_EQ(read_stat("ebusy") - busy, visit->refused);
	}
}

/* Idle, it is not even woken. */
TEST_F(isolated, is_not_woken)
{
	struct visit *visit = self->visit;
	long locked = read_stat("locked");

	EXPECT_EQ(run_child(variant->vector == MAXIMAL ? visit_maximal : visit_short, visit,
			    CALLS_MS), KSFT_PASS);
	show(_metadata, visit);
	EXPECT_LE(visit->cal, OTHERS);
	EXPECT_LE(visit->res, OTHERS);
	EXPECT_EQ(visit->done, CALLS);
	EXPECT_EQ(visit->there, 0);
	if (locked >= 0) {
		EXPECT_EQ(read_stat("locked") - locked, CALLS);
	}
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
