// SPDX-License-Identifier: GPL-2.0
/* Many threads that change per-CPU data by percpu-op.h: see percpu_op_run.h. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "percpu-op.h"
#include "percpu_data.h"
#include "percpu_op_run.h"

#include "../kselftest.h"

#define NR_THREADS	8
#define NR_ROUNDS	500

#define TIMER_NS	3000000
#define MOVE_NS		500000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id	_sigev_un._tid
#endif

struct thread {
	pthread_t id;
	pid_t tid;
	struct percpu_worker own, by_handler;
	struct percpu_used used;
};

static struct thread threads[NR_THREADS];
static __thread struct thread *self;
static pthread_barrier_t all_here;
static enum percpu_what what;
static enum rseq_percpu_mode mode;
static bool unregistered;
static volatile bool done;
static bool failed;

static void __attribute__((format(printf, 2, 3))) check(bool holds, const char *why, ...)
{
	va_list args;

	if (holds)
		return;
	failed = true;
	va_start(args, why);
	printf("# ");
	vprintf(why, args);
	printf("\n");
	va_end(args);
}

/* Interrupts operations, and has one of its own. */
static void on_timer(int sig)
{
	int saved = errno;

	percpu_round(&self->by_handler, PERCPU_COUNTER);
	errno = saved;
}

static bool start_timer(timer_t *timer)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec every = {
		.it_interval.tv_nsec = TIMER_NS,
		.it_value.tv_nsec = TIMER_NS,
	};

	ev.sigev_notify_thread_id = self->tid;
	return !timer_create(CLOCK_MONOTONIC, &ev, timer) &&
	       !timer_settime(*timer, 0, &every, NULL);
}

static void *work(void *arg)
{
	sigset_t signals;
	timer_t timer;

	self = arg;
	pthread_barrier_wait(&all_here);
	if (unregistered ? rseq_current_cpu_raw() >= 0 :
			   (rseq_register_current_thread() || rseq_current_cpu_raw() < 0)) {
		check(false, "a thread is not registered as it should");
		return NULL;
	}
	/* Two threads in turn, for "random" to be both. */
	percpu_op_choose();
	self->own.seed = syscall(__NR_gettid);
	__atomic_store_n(&self->tid, (pid_t)self->own.seed, __ATOMIC_RELEASE);
	if (!start_timer(&timer)) {
		self->own.data->error = errno;
		return NULL;
	}
	for (int i = 0; percpu_go_on(self->own.data, i >= NR_ROUNDS); i++) {
		if (!percpu_round(&self->own, what))
			break;
	}
	timer_delete(timer);
	/* One may be on its way. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	percpu_account(&self->own);
	percpu_account(&self->by_handler);
	self->used = percpu_used;
	return NULL;
}

/* Gives threads other affinity masks all the time: one CPU, or all. */
static void *move(void *arg)
{
	const cpu_set_t *allowed = arg;
	unsigned int seed = 1;

	while (!done) {
		struct timespec ts = { 0, MOVE_NS };
		struct thread *thread = &threads[rand_r(&seed) % NR_THREADS];
		pid_t tid = __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE);
		int nth = rand_r(&seed) % CPU_COUNT(allowed), cpu = 0;
		cpu_set_t one;

		for (; !CPU_ISSET(cpu, allowed) || nth--; cpu++)
			;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (tid)
			sched_setaffinity(tid, sizeof(one), rand_r(&seed) % 4 ? &one : allowed);
		nanosleep(&ts, NULL);
	}
	return NULL;
}

/*
 * Whether each thread did what RSEQ_DISABLE says. Sequences are counted where they are, so that
 * every operation can be seen to try one exactly once or not at all.
 */
static void check_use(const char *disable)
{
	/* By percpu_op_fast(). */
	bool refused = unregistered && mode == RSEQ_PERCPU_MM_CID;
	bool random = !strcmp(disable, "random") && !refused;
	bool never = !strcmp(disable, "1") || refused;
	long ops = 0, aborts = 0, tries = 0, fast_threads = 0;

	for (int i = 0; i < NR_THREADS; i++) {
		const struct percpu_used *used = &threads[i].used;

		check(used->ops > 0, "thread %d did nothing", i);
		check(!used->tries || used->tries == used->ops,
		      "thread %d: %ld operations, but %ld sequences", i, used->ops, used->tries);
		ops += used->ops;
		tries += used->tries;
		aborts += used->aborts;
		fast_threads += used->tries > 0;
	}
	printf("# %d threads, %ld of them try sequences: ", NR_THREADS, fast_threads);
	printf("%ld operations, fast path %ld, fallback %ld\n", ops, tries - aborts,
	       ops - tries + aborts);

	if (random)
		check(fast_threads > 0 && fast_threads < NR_THREADS, "not both kinds of threads");
	else
		check(fast_threads == (never ? 0 : NR_THREADS), "not what all threads should do");
	if (unregistered) {
		check(aborts == tries, "sequences worked in a thread that is not registered");
	} else if (!never) {
		check(aborts * 2 < tries, "not mostly the fast path");
		check(aborts > 0, "no sequence was aborted: nothing was tested");
	}
}

static bool run(struct percpu_data *data, const cpu_set_t *allowed)
{
	struct sigaction sa = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	pthread_t mover;

	percpu_start(data);
	pthread_barrier_init(&all_here, NULL, NR_THREADS);
	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < NR_THREADS; i++) {
		threads[i].own = (struct percpu_worker) {
			.ops = &percpu_by_either, .data = data,
		};
		threads[i].by_handler = threads[i].own;
		if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
			return false;
	}
	if (pthread_create(&mover, NULL, move, (void *)allowed))
		return false;
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i].id, NULL);
	done = true;
	return !pthread_join(mover, NULL);
}

int percpu_op_run(const char *index, const char *name, const char *registration)
{
	const char *disable = getenv("RSEQ_DISABLE") ?: "0", *wrong;
	bool libc = !strcmp(registration, "libc");
	struct percpu_data *data;
	cpu_set_t allowed;
	long signals = 0;
	int last = 0;

	what = !strcmp(name, "list") ? PERCPU_LIST :
	       !strcmp(name, "ring") ? PERCPU_RING : PERCPU_COUNTER;
	mode = strcmp(index, "mm_cid") ? RSEQ_PERCPU_CPU_ID : RSEQ_PERCPU_MM_CID;
	unregistered = !strcmp(registration, "none");
	printf("# RSEQ_DISABLE=%s, %s by %s, registered by %s\n", disable, name, index,
	       registration);
	if (!unregistered) {
		int ret = __rseq_register_current_thread(true, false);

		/* -EBUSY: by libc. */
		if (libc != (ret == -EBUSY) || (!libc && ret))
			return KSFT_SKIP;
	}
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return KSFT_FAIL;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		last = CPU_ISSET(cpu, &allowed) ? cpu : last;
	data = percpu_create(mode, 0, last);
	if (!data || !run(data, &allowed))
		return KSFT_FAIL;

	wrong = percpu_check(data);
	check(!*wrong, "%s", wrong);
	for (int i = 0; i < NR_THREADS; i++)
		signals += threads[i].by_handler.sums.rounds;
	printf("# %ld rounds, %ld of them in signal handlers; EAGAIN %ld, ENXIO %ld\n",
	       data->sums.rounds, signals, data->sums.retries, data->sums.refusals);
	check(signals > 0, "no signals: nothing was tested");
	check_use(disable);
	return failed ? KSFT_FAIL : KSFT_PASS;
}
