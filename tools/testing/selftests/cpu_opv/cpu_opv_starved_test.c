// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a call does not wait for a stranger that gets no CPU. On one
 * CPU, 200 threads of the lowest class copy across pages, and four threads leave them
 * hardly any time; another process makes the same call on another CPU.
 *
 * A single worst call may have met an interrupt, so it is the median of the worst of
 * some rounds. Wants a guest whose clock counts instructions (scripts/qemu --icount).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define STARVED		200
#define HOGS		4
#define ROUNDS		7
#define CALLS		60	/* in a round */
#define ROUND_MS	1000	/* at most, and a call */
#define START_MS	30000

#define MAX_FACTOR	3

struct crowd {
	bool calls;		/* or they copy by themselves */
	int alive, hogs;
};

struct worst {
	long median, max;
	int calls;
};

FIXTURE(starved) {
	struct worst result;
};

FIXTURE_VARIANT(starved) {
	const char *max_vmap;
};

FIXTURE_VARIANT_ADD(starved, default_permits) { NULL };
FIXTURE_VARIANT_ADD(starved, few_permits) { "4" };

FIXTURE_SETUP(starved)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	if (variant->max_vmap)
		ASSERT_EQ(write_setting(MAX_VMAP, variant->max_vmap), 0);
	pin(0, cpus[1]);
}

FIXTURE_TEARDOWN_PARENT(starved)
{
	restore_settings();
}

/* Operands that cross a page, on both sides. */
static struct cpu_op crossing_copy(char *mem)
{
	return cpu_op_memcpy(mem + 100, mem + 4 * page_size + 100, CPU_OP_DATA_LEN_MAX);
}

static char *copy_memory(void)
{
	char *mem = mmap(NULL, 8 * page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static void *starve(void *arg)
{
	struct sched_param param = { 0 };
	struct crowd *crowd = arg;
	char *mem = copy_memory();
	struct cpu_op op;

	if (!mem)
		return NULL;
	op = crossing_copy(mem);
	sched_setscheduler(0, SCHED_IDLE, &param);
	for (bool first = true;; first = false) {
		if (!crowd->calls)
			memcpy(mem + 100, mem + 4 * page_size + 100, CPU_OP_DATA_LEN_MAX);
		else if (cpu_opv(&op, 1, TARGET, 0) && errno != EAGAIN)
			return NULL;
		if (first)
			__atomic_add_fetch(&crowd->alive, 1, __ATOMIC_RELEASE);
	}
}

static void *hog(void *arg)
{
	struct crowd *crowd = arg;

	__atomic_add_fetch(&crowd->hogs, 1, __ATOMIC_RELEASE);
	for (;;)
		;
	return NULL;
}

static int run_crowd(void *arg)
{
	struct crowd *crowd = arg;
	pthread_attr_t attr;
	pthread_t thread;

	pin(0, TARGET);
	if (become_nobody())
		return KSFT_FAIL;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < STARVED; i++) {
		if (pthread_create(&thread, &attr, starve, crowd))
			return KSFT_FAIL;
	}
	while (__atomic_load_n(&crowd->alive, __ATOMIC_ACQUIRE) < STARVED)
		sleep_ms(1);
	for (int i = 0; i < HOGS; i++) {
		if (pthread_create(&thread, &attr, hog, crowd))
			return KSFT_FAIL;
	}
	for (;;)
		pause();
	return 0;
}

static bool start_crowd(struct crowd *crowd, pid_t *pid)
{
	*pid = start_child(run_crowd, crowd);
	if (*pid < 0)
		return false;
	for (int ms = 0; ms < START_MS; ms++) {
		if (__atomic_load_n(&crowd->hogs, __ATOMIC_ACQUIRE) == HOGS)
			return true;
		sleep_ms(1);
	}
	return false;
}

static int measure(void *arg)
{
	struct worst *worst = arg;
	long each[ROUNDS];
	char *mem = copy_memory();
	struct cpu_op op;

	if (!mem || become_nobody())
		return KSFT_FAIL;
	op = crossing_copy(mem);
	for (int i = 0; i < ROUNDS; i++) {
		long long begin = time_ns();

		each[i] = 0;
		for (int n = 0; n < CALLS && time_ns() - begin < ROUND_MS * 1000000LL; n++) {
			long long start = time_ns(), took;

			if (cpu_opv(&op, 1, cpus[1], 0))
				return KSFT_FAIL;
			took = time_ns() - start;
			if (took > each[i])
				each[i] = took;
			worst->calls++;
			sleep_ms(1);
		}
		if (each[i] > worst->max)
			worst->max = each[i];
	}
	worst->median = median(each, ROUNDS);
	return KSFT_PASS;
}

/* @crowd: beside this one, or NULL. Returns false if it cannot be told. */
static bool worst_call(struct crowd *crowd, struct worst *worst)
{
	struct worst *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = 0;
	bool ok;

	if (shared == MAP_FAILED)
		return false;
	ok = (!crowd || start_crowd(crowd, &pid)) && !run_child(measure, shared, 120000);
	if (pid > 0)
		kill_child(pid, 60000);
	*worst = *shared;
	return ok;
}

static void show(struct __test_metadata *_metadata, const char *what, const struct worst *worst)
{
	TH_LOG("%s: %d calls, the worst %.3f ms, median of the worst of %d rounds %.3f ms", what,
	       worst->calls, worst->max / 1e6, ROUNDS, worst->median / 1e6);
}

TEST_F_TIMEOUT(starved, stranger_does_not_wait, 400)
{
	struct crowd *crowd = mmap(NULL, 2 * sizeof(*crowd), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct worst alone, copies, calls;

	ASSERT_TRUE(crowd != MAP_FAILED);
	crowd[1].calls = true;
	ASSERT_TRUE(worst_call(NULL, &alone));
	show(_metadata, "alone", &alone);
	ASSERT_TRUE(worst_call(&crowd[0], &copies));
	show(_metadata, "beside threads that copy", &copies);
	ASSERT_TRUE(worst_call(&crowd[1], &calls));
	show(_metadata, "beside threads that call", &calls);
	/* Emulated CPUs that take turns are slower with another one that is busy. */
	EXPECT_LE(calls.median, MAX_FACTOR * copies.median);
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
