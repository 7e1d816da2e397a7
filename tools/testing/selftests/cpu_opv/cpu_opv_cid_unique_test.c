// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2) by concurrency ID: no thread ever runs with an ID while a vector has it, and
 * no two threads have the same one. Each sequence and each vector writes its name to the place of
 * its ID, takes its time, and looks whether it is still there, while threads come and go.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rseq.h"

#include "cpu_opv_cid.h"

#include "../kselftest_harness.h"

#define FLAG		CPU_OP_MM_CID_FLAG
#define MAX_THREADS	64
#define RUN_MS		1500	/* at least */
#define LIMIT_MS	20000
#define LIFE		100	/* rounds of a thread, at most */
#define DELAY		10000	/* instructions of a sequence, about */
#define COPY		(CPU_OP_DATA_LEN_MAX / 2)
#define MIN_FLIPS	3
#define MIN_DONE	100
#define DEATH_MS	2000
#define KILLS		10

/* A place for each ID. */
static struct place {
	int name, count;
	char copy[2 * COPY];
} *places;

struct sums {
	long done;
	long disturbed;		/* somebody else wrote to the place */
};

static struct sums sequences, vectors;
static long aborted, flips;
static int failed;		/* errno of a call */

static void add(long *sum, long n)
{
	__atomic_fetch_add(sum, n, __ATOMIC_RELAXED);
}

/* ---- what they do to a place ---- */

enum result { DONE, ABORTED, DISTURBED };

#if defined(__x86_64__) || defined(__i386__)
#define HAVE_SEQUENCE	true

static enum result sequence(struct place *place, int cid, int name)
{
	__asm__ __volatile__ goto (
		RSEQ_ASM_DEFINE_TABLE(3, 1f, 2f, 4f)
		RSEQ_ASM_STORE_RSEQ_CS(1, 3b, RSEQ_ASM_TP_SEGMENT:RSEQ_CS_OFFSET(%[rseq_offset]))
		RSEQ_ASM_CMP_CPU_ID(cid, RSEQ_ASM_TP_SEGMENT:RSEQ_MM_CID_OFFSET(%[rseq_offset]), 4f)
		"movl %[name], %[place]\n\t"
		"movl %[delay], %%eax\n\t"
		"5:\n\t"
		"decl %%eax\n\t"
		"jnz 5b\n\t"
		"cmpl %[name], %[place]\n\t"
		"jnz %l[disturbed]\n\t"
		"incl %[count]\n\t"
		"2:\n\t"
		RSEQ_ASM_DEFINE_ABORT(4, "", abort)
		: /* no outputs */
		: [rseq_offset] "r" (rseq_offset), [cid] "r" (cid), [name] "r" (name),
		  [place] "m" (place->name), [count] "m" (place->count),
		  [delay] "i" (DELAY / 2)
		: "memory", "cc", "eax"
		: abort, disturbed);
	rseq_after_asm_goto();
	return DONE;
abort:
	rseq_after_asm_goto();
	return ABORTED;
disturbed:
	rseq_after_asm_goto();
	return DISTURBED;
}

#else
#define HAVE_SEQUENCE	false

static enum result sequence(struct place *place, int cid, int name)
{
	return ABORTED;
}

#endif

static enum result vector(struct place *place, int cid, int name)
{
	struct cpu_op vec[] = {
		cpu_op_memcpy(&place->name, &name, sizeof(name)),
		cpu_op_memcpy(place->copy, place->copy + COPY, COPY),
		cpu_op_eq(&place->name, &name, sizeof(name)),
		cpu_op_memcpy(place->copy, place->copy + COPY, COPY),
		cpu_op_eq(&place->name, &name, sizeof(name)),
		cpu_op_plus(&place->count, 1, sizeof(place->count)),
	};
	int ret = cpu_opv(vec, NR_ELEMS(vec), cid, FLAG);

	if (ret < 0)
		failed = errno;
	return ret < 0 ? ABORTED : ret ? DISTURBED : DONE;
}

static void account(struct sums *sums, enum result result)
{
	if (result == ABORTED)
		add(&aborted, 1);
	else
		add(result == DONE ? &sums->done : &sums->disturbed, 1);
}

/* ---- threads ---- */

static struct thread {
	pthread_t id;
	int name;
	unsigned int seed;
	int life;
} threads[MAX_THREADS];

/* Threads from @oldest to @newest - 1 exist. */
static int oldest, newest;

/* The control: vectors for the ID of another place. */
static int wrong;

static void *work(void *arg)
{
	struct thread *t = arg;

	if (rseq_register_current_thread())
		failed = errno;
	for (int i = 0; i < t->life && !failed; i++) {
		int random = rand_r(&t->seed) / 16, own = own_cid();
		int cid = random % nr_ids;

		if (t->name % 2)
			account(&sequences, sequence(&places[own], own, t->name));
		else
			account(&vectors, vector(&places[cid], (cid + wrong) % nr_ids, t->name));
		if (random / 64 % 8 == 0)
			sched_yield();
		else if (random / 64 % 8 == 1)
			usleep(100);
	}
	return NULL;
}

static void start_thread(int life)
{
	struct thread *t = &threads[newest % MAX_THREADS];

	*t = (struct thread) {
		.name = newest + 1, .seed = newest, .life = life ?: 1 + random_below(LIFE),
	};
	if (pthread_create(&t->id, NULL, work, t))
		failed = EAGAIN;
	else
		newest++;
}

static void end_thread(void)
{
	pthread_join(threads[oldest++ % MAX_THREADS].id, NULL);
}

static void look(void)
{
	static bool before;
	bool now = cpus_own_cids();

	flips += now != before;
	before = now;
	start_on(cpus[0]);
}

static bool enough(long ms)
{
	return ms > LIMIT_MS || failed ||
	       (ms > RUN_MS && flips >= MIN_FLIPS &&
		(!wrong || sequences.disturbed + vectors.disturbed > 0));
}

/* From one thread to up to four for each CPU, and back, again and again. */
static void run_tides(void)
{
	long start = now_ms();

	while (!enough(now_ms() - start)) {
		int high = 2 + random_below(4 * nr_cpus);

		while (newest - oldest < high && !failed)
			start_thread(0);
		look();
		while (newest != oldest)
			end_thread();
		look();
	}
}

FIXTURE(unique) {
};

FIXTURE_VARIANT(unique) {
	int wrong;
};

FIXTURE_VARIANT_ADD(unique, right) { 0 };
/* Or it shows nothing. */
FIXTURE_VARIANT_ADD(unique, control) { 1 };

FIXTURE_SETUP(unique)
{
	const char *why = check_cids(2);

	if (why)
		SKIP(return, "%s", why);
	if (!HAVE_SEQUENCE)
		SKIP(return, "no sequence for this architecture");
	if (4 * nr_cpus >= MAX_THREADS)
		SKIP(return, "not for so many CPUs");
	wrong = variant->wrong;
	places = calloc(nr_ids, sizeof(*places));
	ASSERT_TRUE(places != NULL);
}

FIXTURE_TEARDOWN_PARENT(unique)
{
	restore_settings();
}

TEST_F_TIMEOUT(unique, ids, 60)
{
	long counted = 0;

	run_tides();
	for (int cid = 0; cid < nr_ids; cid++)
		counted += places[cid].count;
	TH_LOG("%d threads, owners of IDs flipped %ld times; %ld sequences and %ld aborted, %ld vectors",
	       newest, flips, sequences.done, aborted, vectors.done);
	TH_LOG("%ld sequences and %ld vectors disturbed, %ld lost", sequences.disturbed,
	       vectors.disturbed, sequences.done + vectors.done - counted);
	EXPECT_EQ(failed, 0);
	EXPECT_GE(flips, MIN_FLIPS);
	EXPECT_GE(sequences.done, MIN_DONE);
	EXPECT_GE(vectors.done, MIN_DONE);
	if (wrong) {
		EXPECT_GT(sequences.disturbed + vectors.disturbed, 0);
	} else {
		EXPECT_EQ(sequences.disturbed, 0);
		EXPECT_EQ(vectors.disturbed, 0);
		EXPECT_EQ(counted, sequences.done + vectors.done);
	}
	EXPECT_TRUE(nothing_held());
}

/* ---- killed meanwhile ---- */

/* For ever. */
static int run_threads(void *arg)
{
	if (rseq_register_current_thread())
		return KSFT_FAIL;
	for (int i = 0; i < *(int *)arg; i++)
		start_thread(INT_MAX);
	for (;;)
		pause();
	return 0;
}

static void kill_some(struct __test_metadata *_metadata, int nr_threads)
{
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = start_child(run_threads, &nr_threads);

		ASSERT_GT(pid, 0);
		usleep(2000 + random_below(20000));
		EXPECT_TRUE(kill_child(pid, DEATH_MS));
	}
	EXPECT_TRUE(nothing_held());
}

TEST_F_TIMEOUT(unique, killed, 60)
{
	kill_some(_metadata, 2);
	kill_some(_metadata, 3 * nr_cpus);
	EXPECT_EQ(run_child(use_every_cpu, NULL, 10000), KSFT_PASS);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
