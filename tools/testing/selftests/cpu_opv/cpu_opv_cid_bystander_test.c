// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2) by concurrency ID: what calls take from strangers. Two real-time threads of
 * another process on one CPU, which wake up often and switch to each other: no later than twice as
 * late as beside the same processes that call getppid(2) instead.
 *
 * - A thousand processes, each of which calls for all of its IDs.
 * - A process whose threads come and go, with long vectors for all IDs, also for the one that a
 *   thread needs which is scheduled in on the CPU of the strangers.
 *
 * Wants a guest whose clock counts instructions (scripts/qemu --icount).
 */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"
#include "cpu_opv_cid.h"

#include "../kselftest_harness.h"

#define FLAG		CPU_OP_MM_CID_FLAG
#define NR_PROCESSES	1000
#define CALLERS		2	/* threads that do nothing but call */
#define PAUSE_MS	50	/* a timer of each of a thousand */
#define PAUSE_US	50
#define BURST		8	/* calls between pauses */
#define LIFE		50	/* rounds of a thread that comes and goes */

#define ROUNDS		5
#define SETTLE_MS	20
#define WAKE_UPS	500	/* in a round */
#define PERIOD_NS	200000
#define SWITCHES	6	/* for each wake-up */
#define ROUND_MS	20000	/* at most */
#define MAX_FACTOR	2.0

/* ---- strangers ---- */

struct strangers {
	long phase;		/* when they begin, in a period */
	int turn;		/* whose it is */
	long long passed;	/* when that changed */
	struct times late, switches;
};

/* Lets the other one go on, and waits until it does the same. */
static void pass(struct strangers *s, int self)
{
	int other = !self;

	s->passed = time_ns();
	__atomic_store_n(&s->turn, other, __ATOMIC_RELEASE);
	syscall(SYS_futex, &s->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) != self)
		syscall(SYS_futex, &s->turn, FUTEX_WAIT, other, NULL, NULL, 0);
	times_add(&s->switches, time_ns() - s->passed);
}

static void *be_second(void *arg)
{
	struct strangers *s = arg;

	while (__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) != 1)
		syscall(SYS_futex, &s->turn, FUTEX_WAIT, 0, NULL, NULL, 0);
	for (;;)
		pass(s, 1);
	return NULL;
}

static int be_strangers(void *arg)
{
	struct sched_param param = { .sched_priority = 10 };
	struct strangers *s = arg;
	pthread_t thread;
	long long next;

	/* Before it waits for its turn among a thousand */
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		return KSFT_FAIL;
	pin(0, TARGET);
	if (mlockall(MCL_CURRENT) || pthread_create(&thread, NULL, be_second, s))
		return KSFT_FAIL;
	next = (time_ns() / PERIOD_NS + 2) * PERIOD_NS + s->phase;
	for (int i = 0; i < WAKE_UPS; i++) {
		struct timespec ts = { next / 1000000000, next % 1000000000 };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		times_add(&s->late, time_ns() - next);
		for (int n = 0; n < SWITCHES / 2; n++)
			pass(s, 0);
		/* What is missed is missed. */
		while (next < time_ns())
			next += PERIOD_NS;
	}
	return KSFT_PASS;
}

static struct strangers *strangers_new(void)
{
	struct strangers *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED || !times_new(&s->late, ROUNDS * WAKE_UPS) ||
	    !times_new(&s->switches, ROUNDS * WAKE_UPS * SWITCHES))
		return NULL;
	return s;
}

/* ---- who calls ---- */

struct shared {
	bool by_id;		/* or getppid(2) */
	bool stop;
	char *mem;		/* of all vectors: processes stay small */
	struct gate gate;
	int ready;
	long calls[2];		/* done */
	int error;
};

static struct shared *shared;

static bool stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED) || shared->error;
}

/* All kinds of vectors, for all IDs. */
static void call_once(unsigned int i)
{
	static const enum vector kinds[] = { ONE_ADD, LONG, MAXIMAL };
	bool by_id = __atomic_load_n(&shared->by_id, __ATOMIC_RELAXED);
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int cnt = make_vec(kinds[i / nr_ids % NR_ELEMS(kinds)], vec, shared->mem);

	if (!by_id)
		syscall(SYS_getppid);
	else if (cpu_opv(vec, cnt, i % nr_ids, FLAG))
		shared->error = errno;
	__atomic_add_fetch(&shared->calls[by_id], 1, __ATOMIC_RELAXED);
}

static void *call_often(void *arg)
{
	gate_wait(&shared->gate);
	for (unsigned int i = 0; !stopped(); i++)
		call_once(i);
	return NULL;
}

/* It has no ID while it sleeps, or another thread uses it. */
static void *call_and_sleep(void *arg)
{
	gate_wait(&shared->gate);
	for (unsigned int i = 0; !stopped(); i++) {
		call_once(i);
		if (i % BURST == 0)
			sleep_ms(PAUSE_MS);
	}
	return NULL;
}

static bool start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	int err = start_small_thread(thread, fn, arg);

	if (err)
		shared->error = err;
	return !err;
}

/* Where the strangers are, too, but not where the test itself runs. */
static void go_beside(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < nr_cpus - 1; i++)
		CPU_SET(cpus[i], &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int one_of_many(void *arg)
{
	pthread_t thread;

	go_beside();
	if (become_nobody())
		return KSFT_FAIL;
	if (!start_thread(&thread, call_and_sleep, NULL))
		return KSFT_FAIL;
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_RELAXED);
	call_often(NULL);
	pthread_join(thread, NULL);
	return KSFT_PASS;
}

/* Needs an ID again and again, on the CPU of the strangers. */
static void *come_and_go(void *arg)
{
	pin(0, TARGET);
	for (int i = 0; i < LIFE; i++) {
		call_once(i);
		usleep(PAUSE_US);
	}
	return NULL;
}

static void *call_elsewhere(void *arg)
{
	pin(0, *(int *)arg);
	return call_often(NULL);
}

/* Between as few and as many threads that IDs belong to these and to CPUs, in turn. */
static int the_only_one(void *arg)
{
	const int nr_sleepers = nr_ids;
	pthread_t callers[CALLERS], threads[nr_sleepers];

	if (become_nobody())
		return KSFT_FAIL;
	for (int i = 0; i < CALLERS; i++) {
		if (!start_thread(&callers[i], call_elsewhere, &cpus[1 + i % (nr_cpus - 2)]))
			return KSFT_FAIL;
	}
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_RELAXED);
	gate_wait(&shared->gate);
	while (!stopped()) {
		for (int i = 0; i < nr_sleepers; i++) {
			if (!start_thread(&threads[i], come_and_go, NULL))
				return KSFT_FAIL;
		}
		for (int i = 0; i < nr_sleepers; i++)
			pthread_join(threads[i], NULL);
	}
	for (int i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	return KSFT_PASS;
}

/* ---- both ---- */

FIXTURE(strangers) {
	struct children children;
	struct strangers *of[2];	/* beside getppid(2), beside calls by ID */
};

FIXTURE_VARIANT(strangers) {
	int nr;
	int (*fn)(void *arg);
};

FIXTURE_VARIANT_ADD(strangers, of_a_thousand) { NR_PROCESSES, one_of_many };
FIXTURE_VARIANT_ADD(strangers, of_one) { 1, the_only_one };

FIXTURE_SETUP(strangers)
{
	const char *why = check_cids(4);

	if (why)
		SKIP(return, "%s", why);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_TRUE(shared != MAP_FAILED);
	shared->mem = maximal_memory(MAP_SHARED);
	ASSERT_TRUE(shared->mem != NULL);
	for (int i = 0; i < 2; i++) {
		self->of[i] = strangers_new();
		ASSERT_TRUE(self->of[i] != NULL);
	}
	supervise();
}

FIXTURE_TEARDOWN_PARENT(strangers)
{
	restore_settings();
}

static void check_times(struct __test_metadata *_metadata, const char *what,
			const struct times *without, const struct times *with)
{
	static const int ranks[] = { 500, 990, 999 };

	for (int i = 0; i < NR_ELEMS(ranks); i++) {
		long before = times_rank(without, ranks[i]), after = times_rank(with, ranks[i]);

		TH_LOG("%s, %d of 1000 within: %.1f us beside getppid, %.1f us beside calls: %.2f",
		       what, ranks[i], before / 1e3, after / 1e3, (double)after / before);
		EXPECT_LE(after, MAX_FACTOR * before);
	}
}

TEST_F_TIMEOUT(strangers, not_delayed, 120)
{
	ASSERT_TRUE(children_start(&self->children, variant->nr, variant->fn, NULL));
	for (int ms = 0; shared->ready < variant->nr && ms < 60000; ms++)
		sleep_ms(1);
	ASSERT_EQ(shared->ready, variant->nr);
	gate_open(&shared->gate);
	ASSERT_TRUE(pacer_start());
	for (int i = 0; i < 2 * ROUNDS; i++) {
		struct strangers *s = self->of[i % 2];

		__atomic_store_n(&shared->by_id, i % 2, __ATOMIC_RELAXED);
		sleep_ms(SETTLE_MS);
		s->phase = i / 2 * PERIOD_NS / ROUNDS;
		s->turn = 0;
		ASSERT_EQ(run_child(be_strangers, s, ROUND_MS), KSFT_PASS);
	}
	pacer_stop();
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	EXPECT_EQ(children_end(&self->children), variant->nr);
	TH_LOG("%ld calls of getppid, %ld by ID", shared->calls[0], shared->calls[1]);
	EXPECT_EQ(shared->error, 0);
	EXPECT_GT(shared->calls[1], 0);
	check_times(_metadata, "awake", &self->of[0]->late, &self->of[1]->late);
	check_times(_metadata, "switched to", &self->of[0]->switches, &self->of[1]->switches);
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
