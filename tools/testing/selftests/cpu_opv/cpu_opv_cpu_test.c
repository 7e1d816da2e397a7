// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): on which CPU vectors run, and what becomes of the caller.
 * To be run with each strategy in the sysctl kernel.cpu_opv_remote.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE	6
#endif

#define CALLS	50
#define MAX_US	2000000		/* a call, even where it has to wait for its turn */

FIXTURE(cpu) {
	int a, b;
	intptr_t counter;
	struct exclusions before, since;
};

FIXTURE_SETUP(cpu)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	self->a = cpus[0];
	self->b = cpus[1];
	exclusions_now(&self->before);
}

FIXTURE_TEARDOWN_PARENT(cpu)
{
	restore_settings();
}

TEST_F(cpu, local)
{
	pin(0, self->a);
	EXPECT_EQ(cpu_opv(NULL, 0, self->a, 0), 0);
	for (int i = 0; i < CALLS; i++)
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, self->a), 0);
	EXPECT_EQ(self->counter, CALLS);
	if (!exclusions_since(&self->before, &self->since))
		return;
	EXPECT_EQ(self->since.local, CALLS + 1);
	EXPECT_EQ(self->since.locked, 0);
	EXPECT_EQ(self->since.interrupted, 0);
	EXPECT_EQ(self->since.migrated, 0);
}

/*
 * Calls from @a, or where the scheduler moved the caller in the meantime: most
 * of them have to be remote. Returns how long the longest of them took.
 */
static long long call_remote(struct __test_metadata *_metadata, FIXTURE_DATA(cpu) *self, int nr)
{
	long long max = 0;
	int again = 0;

	for (int i = 0; i < nr; i++) {
		long long start;
		int ret;

		start_on(self->a);
		start = time_us();
		ret = cpu_op_addv(&self->counter, 1, self->b);
		if (time_us() - start > max)
			max = time_us() - start;
		if (ret < 0 && errno == EAGAIN) {
			again++;
		} else {
			EXPECT_EQ(ret, 0);
		}
	}
	/* The way to the CPU was lost several times in a row: it must not happen often. */
	EXPECT_LE(again, nr / 10);
	EXPECT_EQ(self->counter, nr - again);
	return max;
}

static void expect_remote(struct __test_metadata *_metadata, FIXTURE_DATA(cpu) *self, int nr)
{
	long remote, other;

	if (!exclusions_since(&self->before, &self->since) ||
	    !exclusions_remote(&self->since, &remote, &other))
		return;
	EXPECT_GE(remote, nr / 2);
	/* Whom others move away each time interrupts the CPU after all: not often. */
	EXPECT_LE(other, nr / 10);
	EXPECT_EQ(self->since.local + remote + other, self->counter);
}

TEST_F(cpu, remote_idle)
{
	long long max = call_remote(_metadata, self, CALLS);

	TH_LOG("longest call: %lld us", max);
	EXPECT_LT(max, MAX_US);
	expect_remote(_metadata, self, CALLS);
}

/* A vector that stops tells where, and the whole vector gets there. */
TEST_F(cpu, remote_vector)
{
	intptr_t v = 1, v2 = 2;

	start_on(self->a);
	EXPECT_EQ(cpu_opv(NULL, 0, self->b, 0), 0);
	start_on(self->a);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 1, &v2, 3, 4, self->b), 2);
	EXPECT_EQ(v, 1);
	start_on(self->a);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 0, &v2, 2, 4, self->b), 1);
	EXPECT_EQ(v, 1);
	start_on(self->a);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 1, &v2, 2, 4, self->b), 0);
	EXPECT_EQ(v, 4);
	EXPECT_EQ(v2, 2);
}

TEST_F(cpu, alternating)
{
	intptr_t at[2] = { 0 };

	start_on(self->a);
	for (int i = 0; i < 2 * CALLS; i++)
		EXPECT_EQ(cpu_op_addv(&at[i % 2], 1, i % 2 ? self->b : self->a), 0);
	EXPECT_EQ(at[0], CALLS);
	EXPECT_EQ(at[1], CALLS);
	/* If the caller stays, half of the calls are remote; if it follows, all but one. */
	self->counter = at[0] + at[1];
	expect_remote(_metadata, self, CALLS);
}

/* Where its cpuset would let it go, a thread need not be able to go. It stays where it is. */
TEST_F(cpu, pinned)
{
	pin(0, self->a);
	for (int i = 0; i < CALLS; i++) {
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, self->b), 0);
		EXPECT_EQ(current_cpu(), self->a);
	}
	EXPECT_EQ(cpu_opv(NULL, 0, self->b, 0), 0);
	EXPECT_EQ(cpu_op_addv(&self->counter, 1, self->a), 0);
	EXPECT_EQ(self->counter, CALLS + 1);
	EXPECT_EQ(current_cpu(), self->a);
	EXPECT_FALSE(may_run_on(self->b));
	if (!exclusions_since(&self->before, &self->since))
		return;
	EXPECT_EQ(self->since.local, 1);
	EXPECT_EQ(self->since.migrated, 0);
}

TEST_F(cpu, impossible)
{
	long possible = possible_cpus();
	int a = self->a;
	const int bad[] = {
		-1, -2, -a - 1, INT_MIN, INT_MIN | a, INT_MAX, INT_MAX - 63,
		a | 1 << 8, a | 1 << 16, a | 1 << 30,
		possible, possible + 1, possible + 63, possible + 64,
	};

	ASSERT_GT(possible, 0);
	for (int i = 0; i < NR_ELEMS(bad); i++) {
		if (bad[i] >= 0 && bad[i] < possible)
			continue;
		errno = 0;
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, bad[i]), -1);
		EXPECT_EQ(errno, bad[i] < 0 ? EINVAL : ENXIO)
			TH_LOG("CPU %d", bad[i]);
		errno = 0;
		EXPECT_EQ(cpu_opv(NULL, 0, bad[i], 0), -1);
		EXPECT_EQ(errno, bad[i] < 0 ? EINVAL : ENXIO)
			TH_LOG("CPU %d, empty vector", bad[i]);
	}
	EXPECT_EQ(self->counter, 0);
}

static const char *const mask_lines[] = { "Cpus_allowed", "Mems_allowed" };

TEST_F(cpu, caller_kept)
{
	char before[2][256], after[256];
	cpu_set_t old, new;

	start_on(self->a);
	ASSERT_EQ(sched_getaffinity(0, sizeof(old), &old), 0);
	for (int i = 0; i < 2; i++)
		ASSERT_TRUE(status_line(mask_lines[i], before[i], sizeof(before[i])));
	for (int i = 0; i < CALLS; i++) {
		int cpu = cpus[i % nr_cpus], kernel, area;

		EXPECT_EQ(cpu_op_addv(&self->counter, 1, cpu), 0);
		/* What libc takes from its rseq area has to tell the move, too. */
		do {
			kernel = current_cpu();
			area = sched_getcpu();
		} while (current_cpu() != kernel);
		EXPECT_EQ(area, kernel);
	}
	ASSERT_EQ(sched_getaffinity(0, sizeof(new), &new), 0);
	EXPECT_TRUE(CPU_EQUAL(&old, &new));
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(status_line(mask_lines[i], after, sizeof(after)));
		EXPECT_STREQ(before[i], after);
	}
	/* It goes where it is told to, and stays there. */
	for (int i = 0; i < nr_cpus; i++) {
		pin(0, cpus[i]);
		EXPECT_EQ(current_cpu(), cpus[i]);
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, cpus[i]), 0);
		sleep_ms(1);
		EXPECT_EQ(current_cpu(), cpus[i]);
	}
}

/* It may only be where its mask allows, even if that is not all of the CPUs. */
TEST_F(cpu, caller_in_mask)
{
	cpu_set_t set;

	if (nr_cpus < 3)
		SKIP(return, "needs three CPUs");
	CPU_ZERO(&set);
	CPU_SET(self->a, &set);
	CPU_SET(self->b, &set);
	ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CALLS; i++) {
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, i % 2 ? self->b : self->a), 0);
		EXPECT_TRUE(CPU_ISSET(current_cpu(), &set));
		EXPECT_EQ(cpu_op_addv(&self->counter, 1, cpus[2]), 0);
		EXPECT_TRUE(CPU_ISSET(current_cpu(), &set));
	}
	EXPECT_EQ(self->counter, 2 * CALLS);
}

/* ---- a CPU that is busy ---- */

FIXTURE(busy) {
	FIXTURE_DATA(cpu) cpu;
	struct spinner spinner;
};

FIXTURE_VARIANT(busy) {
	int policy, calls;
};

FIXTURE_VARIANT_ADD(busy, other) { SCHED_OTHER, 20 };
FIXTURE_VARIANT_ADD(busy, batch) { SCHED_BATCH, 10 };
FIXTURE_VARIANT_ADD(busy, idle) { SCHED_IDLE, 10 };

FIXTURE_SETUP(busy)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	self->cpu.a = cpus[0];
	self->cpu.b = cpus[1];
	pin(0, self->cpu.a);
	ASSERT_TRUE(spinner_start(&self->spinner, self->cpu.b, variant->policy));
	exclusions_now(&self->cpu.before);
}

FIXTURE_TEARDOWN_PARENT(busy)
{
	/* It is a grandchild, and ends with its parent. */
	restore_settings();
}

TEST_F(busy, remote)
{
	long long max = call_remote(_metadata, &self->cpu, variant->calls);

	TH_LOG("longest call: %lld us", max);
	EXPECT_LT(max, MAX_US);
	expect_remote(_metadata, &self->cpu, variant->calls);
	/* The task there was interrupted, no more. */
	EXPECT_TRUE(spinner_runs(&self->spinner));
	spinner_stop(&self->spinner);
}

/* ---- callers of any kind ---- */

FIXTURE(policy) {
	intptr_t counters[MAX_CPUS];
};

FIXTURE_VARIANT(policy) {
	int policy, priority;
};

FIXTURE_VARIANT_ADD(policy, fifo) { SCHED_FIFO, 1 };
FIXTURE_VARIANT_ADD(policy, rr) { SCHED_RR, 1 };
FIXTURE_VARIANT_ADD(policy, batch) { SCHED_BATCH, 0 };
FIXTURE_VARIANT_ADD(policy, idle) { SCHED_IDLE, 0 };
FIXTURE_VARIANT_ADD(policy, deadline) { SCHED_DEADLINE, 0 };

FIXTURE_SETUP(policy)
{
	/* sched_setattr(2) */
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {
		.size = sizeof(attr), .policy = variant->policy, .priority = variant->priority,
	};
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	if (variant->policy == SCHED_DEADLINE) {
		attr.runtime = 20000000;
		attr.deadline = 100000000;
		attr.period = 100000000;
	}
	if (syscall(SYS_sched_setattr, 0, &attr, 0))
		SKIP(return, "sched_setattr: errno %d", errno);
}

FIXTURE_TEARDOWN_PARENT(policy)
{
	restore_settings();
}

TEST_F(policy, every_cpu)
{
	for (int i = 0; i < CALLS; i++) {
		int n = i % nr_cpus, ret;

		do {
			ret = cpu_op_addv(&self->counters[n], 1, cpus[n]);
		} while (ret < 0 && errno == EAGAIN);
		EXPECT_EQ(ret, 0);
		EXPECT_EQ(self->counters[n], i / nr_cpus + 1);
	}
	EXPECT_EQ(sched_getscheduler(0), variant->policy);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
