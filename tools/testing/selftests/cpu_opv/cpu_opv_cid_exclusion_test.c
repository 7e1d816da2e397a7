// SPDX-License-Identifier: GPL-2.0
/*
 * cpu_opv(2) and restartable sequences exclude each other by concurrency ID: threads change the
 * data of the ID that they have by sequences, at the same time as others change those of all IDs by
 * cpu_opv. If a sequence were not aborted, or a vector run while a thread has the ID, then an
 * update would be lost.
 *
 * Threads come and go like the tide: IDs belong to CPUs while there are many, and to threads after
 * there were few. The more so while something else happens to the address space or the CPUs.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu_opv_control.h"
#include "percpu-op.h"
#include "percpu_data.h"

#include "../kselftest_harness.h"

#define MAX_THREADS	64
#define MIN_TIDES	2
#define MIN_VECTORS	100
#define DELAY		20000	/* most of the time sequences are in the middle */
#define STACK		65536

static struct percpu_data *data;
static int nr_ids;
static unsigned int seed = 1;

/* What was done by all threads. */
static struct {
	long tides, threads, events;
	long flips;			/* of the owners of IDs, from threads to CPUs or back */
	long tries, aborts;		/* of sequences */
	long vectors;
} sums;

/* Also if libc has done it, or this very thread. */
static bool is_registered(void)
{
	return rseq_current_cpu_raw() >= 0 || !rseq_register_current_thread();
}

/* ---- changes ---- */

static int any_id(struct percpu_worker *w)
{
	return rand_r(&w->seed) % nr_ids;
}

static bool change(struct percpu_worker *w)
{
	static const enum percpu_what kinds[] = { PERCPU_COUNTER, PERCPU_LIST, PERCPU_RING };

	return percpu_round(w, kinds[w->sums.rounds % NR_ELEMS(kinds)]);
}

/* The control: no exclusion, as these vectors are for another ID. */
static int wrong_addv(enum rseq_percpu_mode mode, intptr_t *v, intptr_t count, int index)
{
	return percpu_by_cpu_opv.addv(mode, v, count, (index + 1) % nr_ids);
}

static int wrong_cmpeqv_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
			       intptr_t newv, int index)
{
	return percpu_by_cpu_opv.cmpeqv_storev(mode, v, expect, newv, (index + 1) % nr_ids);
}

static int wrong_pop(enum rseq_percpu_mode mode, struct percpu_node **head,
		     struct percpu_node **node, int index)
{
	return percpu_by_cpu_opv.pop(mode, head, node, (index + 1) % nr_ids);
}

static int wrong_cmpeqv_memcpy_storev(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
				      void *dst, void *src, size_t len, intptr_t newv, int index)
{
	return percpu_by_cpu_opv.cmpeqv_memcpy_storev(mode, v, expect, dst, src, len, newv,
						      (index + 1) % nr_ids);
}

static const struct percpu_ops wrong_ops = {
	wrong_addv, wrong_cmpeqv_storev, wrong_pop, wrong_cmpeqv_memcpy_storev,
};

static const struct percpu_ops *vectors = &percpu_by_cpu_opv;

static void account(const struct percpu_worker *w)
{
	const struct percpu_used *used = &percpu_used;
	long vectors_used = w->ops == vectors ? w->sums.rounds :
			    w->ops == &percpu_by_either ? used->ops - used->tries + used->aborts : 0;

	percpu_account(w);
	__atomic_fetch_add(&sums.tries, used->tries, __ATOMIC_RELAXED);
	__atomic_fetch_add(&sums.aborts, used->aborts, __ATOMIC_RELAXED);
	__atomic_fetch_add(&sums.vectors, vectors_used, __ATOMIC_RELAXED);
}

/* ---- threads ---- */

static struct thread {
	pthread_t id;
	bool is_process, stop;
	struct percpu_worker w;
} threads[MAX_THREADS];

/* Threads from @oldest to @newest - 1 exist. */
static unsigned int oldest, newest;

static int work(void *arg)
{
	struct thread *self = arg;

	if (self->is_process && rseq_current_cpu_raw() >= 0) {
		/* It is the thread that libc has registered, and not this process. */
		self->w.ops = vectors;
		self->w.where = any_id;
	} else if (!is_registered()) {
		data->error = errno;
	}
	/* Whoever starts and ends threads goes first. */
	nice(10);
	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED) && change(&self->w))
		;
	account(&self->w);
	return 0;
}

/* In a process of the same address space, which borrows the TLS of this thread meanwhile. */
static void work_in_process(struct thread *self)
{
	char *stack = malloc(STACK);
	pid_t pid = clone(work, stack + STACK, CLONE_VM | SIGCHLD, self);
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		data->error = ECHILD;
	free(stack);
}

static void *run(void *arg)
{
	struct thread *self = arg;

	if (self->is_process)
		work_in_process(self);
	else
		work(self);
	return NULL;
}

static void start_thread(bool is_process)
{
	const struct percpu_worker ways[] = {
		{ .ops = &percpu_by_rseq },
		{ .ops = vectors, .where = any_id },
		{ .ops = &percpu_by_either },
	};
	struct thread *thread = &threads[newest % MAX_THREADS];	/* more than there are at a time */

	*thread = (struct thread) { .is_process = is_process, .w = ways[newest % NR_ELEMS(ways)] };
	thread->w.data = data;
	thread->w.seed = ++sums.threads;
	if (pthread_create(&thread->id, NULL, run, thread))
		data->error = EAGAIN;
	else
		newest++;
}

static void end_thread(void)
{
	struct thread *thread = &threads[oldest++ % MAX_THREADS];

	__atomic_store_n(&thread->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread->id, NULL);
}

/* ---- a program of one thread ---- */

static struct percpu_worker by_handler;

static void on_timer(int sig)
{
	int saved = errno;

	change(&by_handler);
	errno = saved;
}

/* Sequences, and vectors for all IDs by a signal handler that interrupts them. */
static int work_alone(void)
{
	const struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
	struct percpu_data *own = percpu_create(RSEQ_PERCPU_MM_CID, 0, nr_ids - 1);
	struct percpu_worker w = { .ops = &percpu_by_rseq, .data = own };
	struct sigaction sa = { .sa_handler = on_timer };

	if (!own || !is_registered())
		return KSFT_FAIL;
	by_handler = (struct percpu_worker) { .ops = vectors, .data = own, .where = any_id };
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	while (w.sums.rounds < 20 || by_handler.sums.rounds < 5) {
		if (!change(&w))
			break;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	percpu_account(&w);
	percpu_account(&by_handler);
	return *percpu_check(own) ? KSFT_FAIL : KSFT_PASS;
}

/* ---- what else happens, now and then ---- */

static void change_affinity(void)
{
	cpu_set_t set;

	if (oldest == newest)
		return;
	CPU_ZERO(&set);
	for (int i = 0, one = rand_r(&seed) % (2 * nr_cpus); i < nr_cpus; i++) {
		if (i == one || one >= nr_cpus)
			CPU_SET(cpus[i], &set);
	}
	sums.events += !pthread_setaffinity_np(threads[oldest % MAX_THREADS].id, sizeof(set), &set);
}

static void start_processes(void)
{
	int status;
	pid_t pid;

	if (rand_r(&seed) % 4)
		return;
	if (sums.events % 2) {
		pid = fork();
		if (!pid)
			_exit(work_alone());
	} else {
		pid = vfork();
		if (!pid) {
			execl("/proc/self/exe", "cpu_opv_cid_exclusion_test", "--alone", NULL);
			_exit(KSFT_FAIL);
		}
	}
	if (waitpid(pid, &status, 0) != pid || status)
		data->error = ECHILD;
	sums.events++;
}

static void start_clone(void)
{
	if (newest == oldest)
		return;
	start_thread(true);
	end_thread();
	sums.events++;
}

static void change_online(void)
{
	static bool online = true;

	if (rand_r(&seed) % 4)
		return;
	online = !online;
	if (set_online(cpus[0], online))
		data->error = EPERM;
	sums.events++;
}

/* ---- the tide ---- */

/* A thread gets another ID with each CPU, or keeps its own. */
static bool cpus_own_ids(void)
{
	int changes = 0;

	for (int i = 0; i < 4; i++) {
		int before = percpu_current_index(RSEQ_PERCPU_MM_CID);

		pin(0, cpus[nr_cpus - 1 - i % 2]);
		changes += percpu_current_index(RSEQ_PERCPU_MM_CID) != before;
	}
	start_on(cpus[nr_cpus - 1]);
	return changes > 1;
}

static void look(void)
{
	static bool before;
	bool now = cpus_own_ids();

	sums.flips += now != before;
	before = now;
}

/*
 * From one thread to more than there are IDs, or to four for each CPU, and back. This thread works,
 * too, and is alone in the end.
 */
static void tide(struct percpu_worker *self, void (*event)(void))
{
	unsigned int high = sums.tides++ % 2 ? 4 * nr_cpus - 1 : nr_ids;

	for (; newest - oldest < high && !data->error; change(self)) {
		start_thread(false);
		event();
	}
	look();
	for (; newest != oldest; change(self)) {
		end_thread();
		event();
	}
	for (int i = 0; i < nr_ids && !data->error; i++)
		change(self);
	look();
}

static void nothing(void)
{
}

static const char *run_tides(void (*event)(void))
{
	struct percpu_worker self = { .ops = &percpu_by_either, .where = any_id };
	const char *wrong;

	data = percpu_create(RSEQ_PERCPU_MM_CID, 0, nr_ids - 1);
	if (!data)
		return "no memory";
	self.data = data;
	percpu_delay = DELAY;
	percpu_start(data);
	while (!data->error && (sums.tides < MIN_TIDES || percpu_go_on(data, true)))
		tide(&self, event);
	account(&self);
	wrong = percpu_check(data);
	ksft_print_msg("%ld changes by %ld threads, %ld events, owners of IDs flipped %ld times\n",
		       data->sums.rounds, sums.threads, sums.events, sums.flips);
	ksft_print_msg("%ld sequences, %ld of them aborted; %ld vectors; %s\n", sums.tries,
		       sums.aborts, sums.vectors, *wrong ? wrong : "all exact");
	return wrong;
}

FIXTURE(cid) {
};

FIXTURE_VARIANT(cid) {
	void (*event)(void);
};

FIXTURE_VARIANT_ADD(cid, threads) { nothing };
FIXTURE_VARIANT_ADD(cid, affinity) { change_affinity };
FIXTURE_VARIANT_ADD(cid, processes) { start_processes };
FIXTURE_VARIANT_ADD(cid, clones) { start_clone };
FIXTURE_VARIANT_ADD(cid, hotplug) { change_online };

/* Returns why the tests cannot run, or NULL. */
static const char *set_up_test(void)
{
	const char *why = check_settings(3);

	if (why)
		return why;
	if (!cpu_op_mm_cid_available())
		return "the kernel has no such cpu_opv";
	if (!is_registered())
		return "the kernel has no rseq";
	/* There is no way back from CPUs to threads. */
	if (nr_ids < 4)
		return "fewer than four possible CPUs";
	if (nr_ids >= 4 * nr_cpus || 4 * nr_cpus > MAX_THREADS)
		return "too many possible CPUs";
	return NULL;
}

FIXTURE_SETUP(cid)
{
	const char *why = set_up_test();

	if (why)
		SKIP(return, "%s", why);
	if (variant->event == change_online) {
		if (set_online(cpus[0], false))
			SKIP(return, "CPU %d cannot be set offline", cpus[0]);
		set_online(cpus[0], true);
	}
}

FIXTURE_TEARDOWN_PARENT(cid)
{
	restore_settings();
}

TEST_F_TIMEOUT(cid, exclusion, 60)
{
	EXPECT_STREQ(run_tides(variant->event), "");
	EXPECT_EQ(sums.flips, 2 * sums.tides);
	EXPECT_GT(sums.aborts, 0);
	EXPECT_GT(sums.tries, sums.aborts);
	EXPECT_GT(sums.vectors, MIN_VECTORS);
	EXPECT_EQ(data->sums.refusals, 0);
	if (variant->event != nothing)
		EXPECT_GT(sums.events, 0);
}

TEST(control)
{
	const char *why = set_up_test();

	if (why)
		SKIP(return, "%s", why);
	vectors = &wrong_ops;
	EXPECT_STRNE(run_tides(nothing), "");
	EXPECT_EQ(data->error, 0);
}

TEST(alone)
{
	const char *why = set_up_test();

	if (why)
		SKIP(return, "%s", why);
	EXPECT_EQ(work_alone(), KSFT_PASS);
}

int main(int argc, char **argv)
{
	nr_ids = possible_cpus();
	if (argc == 2 && !strcmp(argv[1], "--alone"))
		return work_alone();
	save_settings();
	return test_harness_run(argc, argv);
}
