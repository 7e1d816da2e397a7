// SPDX-License-Identifier: GPL-2.0
/*
 * Why cpu_opv(2) exists: signals come faster than a long restartable sequence ends, which each of
 * them aborts: it never does. cpu_opv(2) is not interrupted.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RSEQ_INJECT_C(n)
#define RSEQ_INJECT_FAILED

/* Between a comparison and what depends on it. */
#if defined(__x86_64__) || defined(__i386__)
#define HAVE_DELAY
#define DELAY			\
	"movl $10000000, %%eax\n\t" \
	"444:\n\t"		\
	"decl %%eax\n\t"	\
	"jnz 444b\n\t"
#define DELAY_1
#define DELAY_2
#define DELAY_3
#define DELAY_4			DELAY
#define DELAY_5
#define DELAY_6
#define RSEQ_INJECT_ASM(n)	DELAY_##n
#define RSEQ_INJECT_CLOBBER	, "eax"
#endif

#include "cpu_opv_control.h"
#include "percpu-op.h"

#include "../kselftest_harness.h"

#define ATTEMPTS	100
#define EVERY_NS	500000		/* the sequence takes longer on any machine */
#define WAITERS		4
#define LOOP_US		3000000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id	_sigev_un._tid
#endif

static volatile long signals;

static void on_signal(int sig)
{
	signals++;
}

FIXTURE(storm) {
	intptr_t v;
	timer_t timer;
	pthread_t sender;
	bool stop;
	pid_t tid;
};

FIXTURE_VARIANT(storm) {
	bool by_timer;
	enum rseq_percpu_mode mode;
};

FIXTURE_VARIANT_ADD(storm, by_timer) { true, RSEQ_PERCPU_CPU_ID };
FIXTURE_VARIANT_ADD(storm, by_thread) { false, RSEQ_PERCPU_CPU_ID };
FIXTURE_VARIANT_ADD(storm, mm_cid) { true, RSEQ_PERCPU_MM_CID };

static void handle_signals(struct __test_metadata *_metadata)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	ASSERT_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
}

static bool start_timer(timer_t *timer)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec every = {
		.it_interval.tv_nsec = EVERY_NS,
		.it_value.tv_nsec = EVERY_NS,
	};

	ev.sigev_notify_thread_id = syscall(SYS_gettid);
	return !timer_create(CLOCK_MONOTONIC, &ev, timer) &&
	       !timer_settime(*timer, 0, &every, NULL);
}

static void *send_signals(void *arg)
{
	const struct timespec ts = { 0, EVERY_NS };
	FIXTURE_DATA(storm) *self = arg;

	pin(0, cpus[1]);
	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		syscall(SYS_tgkill, getpid(), self->tid, SIGUSR1);
		nanosleep(&ts, NULL);
	}
	return NULL;
}

FIXTURE_SETUP(storm)
{
#ifndef HAVE_DELAY
	SKIP(return, "no long sequence for this architecture");
#endif
	if (nr_cpus < 2)
		SKIP(return, "needs two CPUs");
	if (rseq_register_current_thread())
		SKIP(return, "the kernel has no rseq");
	handle_signals(_metadata);
	pin(0, cpus[0]);
	self->tid = syscall(SYS_gettid);
}

FIXTURE_TEARDOWN(storm)
{
}

static void start_storm(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self, bool by_timer)
{
	signals = 0;
	if (by_timer) {
		ASSERT_TRUE(start_timer(&self->timer));
	} else {
		ASSERT_EQ(pthread_create(&self->sender, NULL, send_signals, self), 0);
	}
}

static void end_storm(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self, bool by_timer)
{
	if (by_timer) {
		timer_delete(self->timer);
	} else {
		__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
		pthread_join(self->sender, NULL);
	}
	TH_LOG("%ld signals", signals);
	EXPECT_GE(signals, ATTEMPTS / 2);
}

static int attempt(FIXTURE_DATA(storm) *self, enum rseq_percpu_mode mode)
{
	return rseq_cmpeqv_storev(RSEQ_MO_RELAXED, mode, &self->v, self->v, self->v + 1,
				  percpu_current_index(mode));
}

TEST_F(storm, rseq_only)
{
	int i;

	/* Without signals, one of the first attempts gets through. */
	for (i = 0; i < ATTEMPTS && attempt(self, variant->mode); i++)
		;
	EXPECT_LT(i, ATTEMPTS);
	EXPECT_EQ(self->v, 1);

	start_storm(_metadata, self, variant->by_timer);
	while (!signals)
		;
	for (i = 0; i < ATTEMPTS; i++)
		EXPECT_EQ(attempt(self, variant->mode), -1);
	EXPECT_EQ(self->v, 1);
	end_storm(_metadata, self, variant->by_timer);
}

TEST_F(storm, percpu_op)
{
	if (!percpu_op_available(variant->mode))
		SKIP(return, "the kernel has no such cpu_opv");
	start_storm(_metadata, self, variant->by_timer);
	while (!signals)
		;
	for (int i = 0; i < ATTEMPTS; i++)
		EXPECT_EQ(percpu_cmpeqv_storev(variant->mode, &self->v, i, i + 1,
					       percpu_current_index(variant->mode)), 0);
	EXPECT_EQ(self->v, ATTEMPTS);
	end_storm(_metadata, self, variant->by_timer);
}

/* ---- calls that wait for others to end ---- */

FIXTURE(waiting) {
	bool stop;
	long calls[WAITERS], again[WAITERS], signals[WAITERS];
	int error;
};

static __thread long *received;

static void on_signal_of_thread(int sig)
{
	if (received)
		++*received;
}

FIXTURE_SETUP(waiting)
{
	const char *why = check_settings(2);
	struct sigaction sa = { .sa_handler = on_signal_of_thread, .sa_flags = 0 };

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
}

FIXTURE_TEARDOWN_PARENT(waiting)
{
	restore_settings();
}

struct waiter {
	FIXTURE_DATA(waiting) *self;
	int nr;
	pthread_t thread;
};

static void *call_maximal(void *arg)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	struct waiter *waiter = arg;
	FIXTURE_DATA(waiting) *self = waiter->self;
	char *mem = maximal_memory(MAP_PRIVATE);
	timer_t timer;

	received = &self->signals[waiter->nr];
	if (!mem || !start_timer(&timer)) {
		self->error = ENOMEM;
		return NULL;
	}
	maximal_vec(vec, mem);
	for (int i = 0; !__atomic_load_n(&self->stop, __ATOMIC_RELAXED); i++) {
		if (!cpu_opv(vec, NR_ELEMS(vec), cpus[i % nr_cpus], 0))
			self->calls[waiter->nr]++;
		else if (errno == EAGAIN)
			self->again[waiter->nr]++;
		else
			self->error = errno;
	}
	timer_delete(timer);
	return NULL;
}

/* Nor is it EINTR: those that wait for a CPU go on waiting. */
TEST_F_TIMEOUT(waiting, not_interrupted, 60)
{
	struct waiter waiters[WAITERS];

	for (int i = 0; i < WAITERS; i++) {
		waiters[i] = (struct waiter) { .self = self, .nr = i };
		ASSERT_EQ(pthread_create(&waiters[i].thread, NULL, call_maximal, &waiters[i]), 0);
	}
	sleep_ms(LOOP_US / 1000);
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WAITERS; i++) {
		pthread_join(waiters[i].thread, NULL);
		TH_LOG("%ld calls, %ld again, %ld signals", self->calls[i], self->again[i],
		       self->signals[i]);
		EXPECT_GT(self->calls[i], 0);
		EXPECT_GT(self->signals[i], 0);
	}
	EXPECT_EQ(self->error, 0);
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
