// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): where the vectors run, and how the test went. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#define MAX_REPORTS	10	/* of the same test */

size_t page_size;

/* Of this test, shared with its children. */
static struct {
	int failures;
	char skipped[200];
} *verdict;

static const char strategy_file[] = "/proc/sys/kernel/cpu_opv_remote";
static const char stats_file[] = "/sys/kernel/debug/cpu_opv/stats";
static char old_strategy[32];
static pid_t program;
static cpu_set_t allowed;
static int cpu_a = -1, cpu_b = -1;
static bool is_remote;

static void report(const char *fmt, va_list ap)
{
	fprintf(stderr, "# ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
}

void fail(const char *fmt, ...)
{
	va_list ap;

	if (__atomic_fetch_add(&verdict->failures, 1, __ATOMIC_RELAXED) >= MAX_REPORTS)
		return;
	va_start(ap, fmt);
	report(fmt, ap);
	va_end(ap);
}

/* More about the failures since there were @before. */
void explain(int before, const char *fmt, ...)
{
	va_list ap;

	if (verdict->failures == before || before >= MAX_REPORTS)
		return;
	va_start(ap, fmt);
	report(fmt, ap);
	va_end(ap);
}

/* What else there is to say, as that a part of the test cannot be done here. */
void comment(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap);
	va_end(ap);
}

/* The test cannot be done here. */
void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(verdict->skipped, sizeof(verdict->skipped), fmt, ap);
	va_end(ap);
}

void expect(const char *what, long long got, long long want)
{
	if (got != want)
		fail("%s: %lld, expected %lld", what, got, want);
}

int failures(void)
{
	return verdict->failures;
}

const char *skipped(void)
{
	return verdict->skipped;
}

static void restore_strategy(void)
{
	if (getpid() == program)
		write_text(strategy_file, old_strategy);
}

/* What the tests change for all, once: it outlives a test that is killed. */
void set_up_program(void)
{
	page_size = getpagesize();
	program = getpid();
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED)
		exit(1);
	if (read_text(strategy_file, old_strategy, sizeof(old_strategy)))
		atexit(restore_strategy);
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	/* Prefer CPUs that are not 0, the number that is there by mistake. */
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		if (cpu_a < 0)
			cpu_a = cpu;
		else if (cpu_b < 0)
			cpu_b = cpu;
	}
}

void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("cannot run on CPU %d: errno %d", cpu, errno);
}

/* On either of the two CPUs, now on the first one. */
void stay_anywhere(void)
{
	cpu_set_t set;

	stay_on(cpu_a);
	CPU_ZERO(&set);
	CPU_SET(cpu_a, &set);
	CPU_SET(cpu_b, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("cannot run on CPUs %d and %d: errno %d", cpu_a, cpu_b, errno);
}

/*
 * @strategy: how the kernel gets to another CPU; NULL: tests run on this one
 *
 * Returns why it is not possible, or NULL.
 */
const char *set_up(const char *strategy)
{
	verdict->failures = 0;
	verdict->skipped[0] = 0;
	is_remote = strategy;
	if (!cpu_op_available())
		return "the kernel has no cpu_opv(2)";
	if (cpu_a < 0)
		return "cannot tell the CPUs";
	if (!strategy) {
		stay_on(cpu_a);
		return NULL;
	}
	if (cpu_b < 0)
		return "needs two CPUs";
	if (!write_text(strategy_file, strategy))
		return "cannot set the sysctl kernel.cpu_opv_remote";
	stay_anywhere();
	return NULL;
}

/* No page may stay pinned, whatever happened. */
void expect_nothing_left(void)
{
	char buf[16];

	expect("pages pinned by the whole kernel", pages_pinned(), 0);
	if (!read_text(stats_file, buf, sizeof(buf)))
		return;
	expect("pages still pinned", read_field(stats_file, "pinned_now:"), 0);
}

bool remote(void)
{
	return is_remote;
}

/* Where the next vector is to run; migration leaves the caller there. */
int target_cpu(void)
{
	if (!is_remote)
		return cpu_a;
	return sched_getcpu() == cpu_a ? cpu_b : cpu_a;
}

/* A CPU that is not the caller's one; -1 if there is none. */
int other_cpu(void)
{
	return cpu_b;
}
