// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a call does not wait for a stranger that gets no CPU. On one
 * CPU, 200 threads of the lowest class copy across pages by calls, and four threads leave
 * them hardly any time; another process makes the same call on another CPU.
 *
 * Alone, it is beside a task that makes no calls: emulated CPUs take turns, so that some calls
 * are interrupted for as long as such a turn. pacer_start() makes those short.
 *
 * Wants a guest whose clock counts instructions (scripts/qemu --icount).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define STARVED		200
#define HOGS		4
#define CALLS		300
#define CALLS_MS	3000	/* for all of them, at most */
#define START_MS	10000

#define MAX_FACTOR	3

struct crowd {
	int alive, hogs;
	long calls;
};

FIXTURE(starved) {
};

FIXTURE_SETUP(starved)
{
	const char *why = check_settings(3);

	if (why)
		SKIP(return, "%s", why);
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
	__atomic_add_fetch(&crowd->alive, 1, __ATOMIC_RELEASE);
	while (!cpu_opv(&op, 1, TARGET, 0) || errno == EAGAIN)
		__atomic_add_fetch(&crowd->calls, 1, __ATOMIC_RELAXED);
	return NULL;
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
	pthread_t thread;

	pin(0, TARGET);
	if (become_nobody())
		return KSFT_FAIL;
	for (int i = 0; i < STARVED; i++) {
		if (start_small_thread(&thread, starve, crowd))
			return KSFT_FAIL;
	}
	while (__atomic_load_n(&crowd->alive, __ATOMIC_ACQUIRE) < STARVED)
		sleep_ms(1);
	for (int i = 0; i < HOGS; i++) {
		if (start_small_thread(&thread, hog, crowd))
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
	struct times *times = arg;
	char *mem = copy_memory();
	long long begin = time_ns();
	struct cpu_op op;

	if (!mem || become_nobody())
		return KSFT_FAIL;
	op = crossing_copy(mem);
	for (int i = 0; i < CALLS && time_ns() - begin < CALLS_MS * 1000000LL; i++) {
		long long start = time_ns();

		if (cpu_opv(&op, 1, cpus[1], 0))
			return KSFT_FAIL;
		times_add(times, time_ns() - start);
		sleep_ms(1);
	}
	return KSFT_PASS;
}

/* Returns NULL if it cannot be told. */
static struct times *measure_calls(void)
{
	struct times *times = mmap(NULL, sizeof(*times), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (times == MAP_FAILED || !times_new(times, CALLS) ||
	    run_child(measure, times, 2 * CALLS_MS))
		return NULL;
	return times;
}

static void show(struct __test_metadata *_metadata, const char *what, const struct times *times)
{
	TH_LOG("%s: %d calls, %.1f us, the worst %.1f us", what, times->nr,
	       times_rank(times, 500) / 1e3, times_worst(times) / 1e3);
}

TEST_F_TIMEOUT(starved, stranger_does_not_wait, 120)
{
	struct crowd *crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct times *alone, *beside;
	struct spinner spinner;
	pid_t pid;

	ASSERT_TRUE(crowd != MAP_FAILED);
	ASSERT_TRUE(pacer_start());
	ASSERT_TRUE(spinner_start(&spinner, TARGET, SCHED_OTHER));
	alone = measure_calls();
	spinner_stop(&spinner);
	ASSERT_TRUE(alone != NULL);
	ASSERT_TRUE(start_crowd(crowd, &pid));
	beside = measure_calls();
	EXPECT_TRUE(kill_child(pid, 60000));
	pacer_stop();
	ASSERT_TRUE(beside != NULL);
	show(_metadata, "alone", alone);
	show(_metadata, "beside threads that call", beside);
	TH_LOG("these made %ld calls", crowd->calls);
	EXPECT_GT(crowd->calls, 0);
	EXPECT_EQ(beside->nr, CALLS);
	EXPECT_LE(times_worst(beside), MAX_FACTOR * times_worst(alone));
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
