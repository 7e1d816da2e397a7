// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): what can be observed of it, statistics in debugfs and trace events. Nobody
 * else may call meanwhile.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define STATS	"/sys/kernel/debug/cpu_opv/stats"
#define TRACING	"/sys/kernel/tracing"
#define TRACE	TRACING "/instances/cpu_opv_test"

enum {
	CALLS, LOCAL, LOCKED, INTERRUPTED, MIGRATED, TAKEN, IN_PLACE, PINNED,
	RETRIES, AGAIN, BUSY, FAULTS, PAGES_PINNED, PINNED_NOW, LONGEST, NR_STATS
};

static const char *const names[NR_STATS] = {
	"calls", "local", "locked", "interrupted", "migrated", "taken", "in_place",
	"pinned", "retries", "eagain", "ebusy", "faults", "pages_pinned", "pinned_now",
	"longest_ns",
};

struct stats {
	long long value[NR_STATS];
};

/* All of them, in order, and nothing else. */
static bool read_stats(struct stats *stats)
{
	char buf[4096], *line, *save;
	int n = 0;

	if (!read_text(STATS, buf, sizeof(buf)))
		return false;
	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[32], rest;

		if (n == NR_STATS || sscanf(line, "%31[a-z_]: %lld%c", name, &stats->value[n],
					    &rest) != 2 || strcmp(name, names[n]))
			return false;
		n++;
	}
	return n == NR_STATS;
}

FIXTURE(stats) {
	struct stats before, after;
	intptr_t counter;
};

FIXTURE_SETUP(stats)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	if (access(STATS, R_OK))
		SKIP(return, "the kernel has no statistics of cpu_opv(2)");
	pin(0, cpus[0]);
	ASSERT_TRUE(read_stats(&self->before));
}

FIXTURE_TEARDOWN_PARENT(stats)
{
	restore_settings();
}

/*
 * What was added, by name; everything else is as before, but for the longest time and what depends
 * on how the memory just is.
 */
static void expect_added(struct __test_metadata *_metadata, FIXTURE_DATA(stats) *self,
			 const struct stats *added)
{
	ASSERT_TRUE(read_stats(&self->after));
	for (int i = 0; i < LONGEST; i++) {
		if (i == RETRIES || i == FAULTS)
			continue;
		EXPECT_EQ(self->after.value[i] - self->before.value[i], added->value[i])
			TH_LOG("%s", names[i]);
	}
	self->before = self->after;
}

#define EXPECT_ADDED(...)	\
	expect_added(_metadata, self, &(struct stats){ { __VA_ARGS__ } })

TEST_F(stats, calls)
{
	char *mem = maximal_memory(MAP_PRIVATE);
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	intptr_t v = 1, v2 = 2;

	ASSERT_TRUE(mem != NULL);
	EXPECT_EQ(cpu_op_addv(&self->counter, 1, cpus[0]), 0);
	EXPECT_ADDED([CALLS] = 1, [LOCAL] = 1, [IN_PLACE] = 1);
	EXPECT_GT(self->after.value[LONGEST], 0);

	EXPECT_EQ(cpu_opv(NULL, 0, cpus[0], 0), 0);
	EXPECT_ADDED([CALLS] = 1, [LOCAL] = 1, [IN_PLACE] = 1);

	/* One that a comparison stops counts as well. */
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 0, &v2, 2, 3, cpus[0]), 1);
	EXPECT_ADDED([CALLS] = 1, [LOCAL] = 1, [IN_PLACE] = 1);

	maximal_vec(vec, mem);
	EXPECT_EQ(cpu_opv(vec, NR_ELEMS(vec), cpus[0], 0), 0);
	EXPECT_ADDED([CALLS] = 1, [LOCAL] = 1, [PINNED] = 1, [PAGES_PINNED] = MAXIMAL_PAGES);

	/* The other CPU, by either setting: one of the ways. */
	ASSERT_EQ(write_setting(REMOTE, "interrupt"), 0);
	start_on(cpus[0]);
	EXPECT_EQ(cpu_opv(NULL, 0, cpus[1], 0), 0);
	ASSERT_EQ(write_setting(REMOTE, "migrate"), 0);
	EXPECT_EQ(cpu_opv(NULL, 0, cpus[1], 0), 0);
	ASSERT_TRUE(read_stats(&self->after));
	EXPECT_EQ(self->after.value[CALLS] - self->before.value[CALLS], 2);
	for (int i = LOCAL; i <= MIGRATED; i++)
		self->before.value[CALLS] += self->after.value[i] - self->before.value[i];
	EXPECT_EQ(self->after.value[CALLS], self->before.value[CALLS]);
}

/* Nothing ran. */
TEST_F(stats, errors)
{
	struct cpu_op op = cpu_op_plus(NULL, 1, 8), bad = { .op = -1 };

	/* Queries, whether there are such or not. */
	EXPECT_EQ(cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG), NR_CPU_OPS);
	EXPECT_EQ(cpu_opv(NULL, 0, 0, CPU_OP_VEC_LEN_MAX_FLAG), CPU_OP_VEC_LEN_MAX);
	EXPECT_EQ(cpu_opv(NULL, 0, 0, CPU_OP_FLAGS_FLAG), 15);
	EXPECT_EQ(cpu_opv(NULL, 0, 0, 16), -1);
	EXPECT_ADDED([CALLS] = 0);
	EXPECT_EQ(cpu_opv(&bad, 1, cpus[0], 0), -1);
	EXPECT_EQ(cpu_opv(&op, 1, cpus[0], 0), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(cpu_opv(&op, 1, 1 << 30, 0), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_ADDED([CALLS] = 3);
	op.u.arithmetic_op.expect_fault_p = 1;
	EXPECT_EQ(cpu_opv(&op, 1, cpus[0], 0), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_ADDED([CALLS] = 1, [AGAIN] = 1);
}

TEST_F(stats, reset)
{
	EXPECT_EQ(cpu_op_addv(&self->counter, 1, cpus[0]), 0);
	EXPECT_EQ(write_setting(STATS, "1"), 0);
	ASSERT_TRUE(read_stats(&self->after));
	for (int i = 0; i < NR_STATS; i++) {
		EXPECT_EQ(self->after.value[i], 0)
			TH_LOG("%s", names[i]);
	}
	self->before = self->after;
	EXPECT_EQ(cpu_op_addv(&self->counter, 1, cpus[0]), 0);
	EXPECT_ADDED([CALLS] = 1, [LOCAL] = 1, [IN_PLACE] = 1);
}

/* ---- trace events ---- */

FIXTURE(trace) {
};

FIXTURE_SETUP(trace)
{
	const char *why = check_settings(1);

	if (why)
		SKIP(return, "%s", why);
	if (access(TRACING "/events/cpu_opv", R_OK))
		SKIP(return, "no trace events of cpu_opv(2) in " TRACING);
	rmdir(TRACE);
	if (mkdir(TRACE, 0755))
		SKIP(return, "cannot create " TRACE);
	pin(0, cpus[0]);
	ASSERT_EQ(write_setting(TRACE "/events/cpu_opv/enable", "1"), 0);
}

FIXTURE_TEARDOWN_PARENT(trace)
{
	write_setting(TRACE "/events/cpu_opv/enable", "0");
	rmdir(TRACE);
	restore_settings();
}

struct event {
	char name[32];
	int cnt, cpu;
	long ret;
	long long duration_ns;
	char exclusion[16], operands[16];
};

/* The next event of this process. */
static bool next_event(FILE *f, struct event *event)
{
	char pid[16], line[512], *at;

	snprintf(pid, sizeof(pid), "-%d ", getpid());
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, "cpu_opv_e");
		if (*line == '#' || !strstr(line, pid) || !at)
			continue;
		*event = (struct event) { .cnt = -1, .cpu = -1, .duration_ns = -1 };
		if (sscanf(at, "%31[a-z_]: cnt=%d cpu=%d", event->name, &event->cnt,
			   &event->cpu) == 3)
			return true;
		return sscanf(at, "%31[a-z_]: ret=%ld duration_ns=%lld exclusion=%15s operands=%15s",
			      event->name, &event->ret, &event->duration_ns, event->exclusion,
			      event->operands) == 5;
	}
	return false;
}

static void expect_call(struct __test_metadata *_metadata, FILE *f, int cnt, int cpu, long ret,
			const char *operands)
{
	struct event event;

	ASSERT_TRUE(next_event(f, &event));
	EXPECT_STREQ(event.name, "cpu_opv_enter");
	EXPECT_EQ(event.cnt, cnt);
	EXPECT_EQ(event.cpu, cpu);
	ASSERT_TRUE(next_event(f, &event));
	EXPECT_STREQ(event.name, "cpu_opv_exit");
	EXPECT_EQ(event.ret, ret);
	EXPECT_GT(event.duration_ns, 0);
	EXPECT_LT(event.duration_ns, 1000000000);
	/* On the caller's CPU, if anywhere. */
	EXPECT_STREQ(event.exclusion, ret < 0 ? "none" : "local");
	EXPECT_STREQ(event.operands, operands);
}

TEST_F(trace, events)
{
	intptr_t v = 1, v2 = 2, v3 = 3;
	struct event event;
	FILE *f;

	EXPECT_EQ(cpu_op_addv(&v, 1, cpus[0]), 0);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 2, &v2, 3, 4, cpus[0]), 2);
	EXPECT_EQ(cpu_op_cmpeqv_storev_storev(&v, 2, &v3, 3, 2, cpus[0]), 0);
	EXPECT_EQ(cpu_op_addv(NULL, 1, cpus[0]), -1);
	EXPECT_EQ(cpu_opv(NULL, 17, cpus[0], 0), -1);
	EXPECT_EQ(cpu_opv(NULL, 0, -7, 0), -1);
	EXPECT_EQ(cpu_opv(NULL, 0, cpus[0], 0), 0);
	ASSERT_EQ(write_setting(TRACE "/events/cpu_opv/enable", "0"), 0);
	EXPECT_EQ(cpu_op_addv(&v, 1, cpus[0]), 0);

	f = fopen(TRACE "/trace", "re");
	ASSERT_TRUE(f != NULL);
	expect_call(_metadata, f, 1, cpus[0], 0, "in_place");
	expect_call(_metadata, f, 3, cpus[0], 2, "in_place");
	expect_call(_metadata, f, 3, cpus[0], 0, "pinned");
	expect_call(_metadata, f, 1, cpus[0], -EFAULT, "none");
	expect_call(_metadata, f, 17, cpus[0], -EINVAL, "none");
	expect_call(_metadata, f, 0, -7, -EINVAL, "none");
	expect_call(_metadata, f, 0, cpus[0], 0, "in_place");
	EXPECT_FALSE(next_event(f, &event));
	fclose(f);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
