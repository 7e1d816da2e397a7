// SPDX-License-Identifier: GPL-2.0
/*
 * Events that interrupt the task in user mode: it arms a timer and spins. What is executed during
 * the spin, except the spin itself, is the event.
 */
#include "rseq_bench.h"
#include "rseq_bench-x86.h"
#include <signal.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef __NR_rseq_slice_yield
#define __NR_rseq_slice_yield	471
#endif

/* Instructions until the timer expires, and of the whole spin. */
#define TIMER_DELAY		20000
#define SPIN			30000
/* The longest slice extension, and a spin that outlasts it (1 ns is 1 instruction). */
#define SLICE_EXTENSION		50000
#define SLICE_SPIN		(SPIN + 2 * SLICE_EXTENSION)

static const struct itimerspec timer_delay = { .it_value.tv_nsec = TIMER_DELAY };

/* One for each CPU: a timer, and a thread of higher priority that waits for it. */
static struct preempter {
	int timerfd;
	int cpu;
	pthread_t thread;
	unsigned long wakeups;
} preempters[2] = { { .cpu = 0 }, { .cpu = 1 } };

static timer_t signal_timer;
static uint64_t spin_overhead;

/* What preempters do when they wake up. */
static bool stop;
static pid_t move;	/* thread to send to the other CPU, or 0 */

void init_irq(void)
{
	bool aborted;

	/* A tick makes it longer. */
	spin_overhead = UINT64_MAX;
	for (int i = 0; i < 20; i++) {
		uint64_t overhead = spin(&area, 0, 1000, &aborted);

		if (overhead < spin_overhead)
			spin_overhead = overhead;
	}
}

static uint64_t spin_interrupted(const struct event *event, uint64_t n)
{
	static const struct rseq_abi_cs stale = {
		.start_ip = 1, .post_commit_offset = 1, .abort_ip = 4,
	};
	bool aborted, expected = event->section == INSIDE && mode != UNREGISTERED;
	uint64_t others, cs = 0;

	if (event->section == STALE)
		cs = (uintptr_t)&stale;
	else if (event->section == INSIDE)
		cs = SPIN_SECTION;
	others = spin(&area, cs, n, &aborted);
	if (aborted && !expected)
		errx(1, "%s: aborted outside a section", event->name);
	/* The timer may have expired before the spin. */
	return aborted == expected ? others - spin_overhead : 0;
}

static void arm(struct preempter *preempter)
{
	if (timerfd_settime(preempter->timerfd, 0, &timer_delay, NULL))
		err(1, "timerfd_settime");
}

static void create_timerfd(struct preempter *preempter)
{
	preempter->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (preempter->timerfd < 0)
		err(1, "timerfd_create");
}

void setup_interrupt(void)
{
	create_timerfd(&preempters[0]);
}

uint64_t sample_interrupt(const struct event *event)
{
	arm(&preempters[0]);
	return spin_interrupted(event, SPIN);
}

void teardown_interrupt(void)
{
	close(preempters[0].timerfd);
}

void setup_signal_timer(void)
{
	struct sigevent sev = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = gettid(),
	};

	setup_signal();
	if (timer_create(CLOCK_MONOTONIC, &sev, &signal_timer))
		err(1, "timer_create");
}

uint64_t sample_signal_timer(const struct event *event)
{
	if (timer_settime(signal_timer, 0, &timer_delay, NULL))
		err(1, "timer_settime");
	return spin_interrupted(event, SPIN);
}

void teardown_signal_timer(void)
{
	timer_delete(signal_timer);
}

static void *preempt(void *arg)
{
	struct preempter *self = arg;
	uint64_t expirations;
	cpu_set_t other;

	CPU_ZERO(&other);
	CPU_SET(!self->cpu, &other);
	bench_pin(self->cpu);
	bench_realtime(2);
	for (;;) {
		if (read(self->timerfd, &expirations, sizeof(expirations)) < 0)
			err(1, "read from timerfd");
		if (__atomic_load_n(&stop, __ATOMIC_RELAXED))
			return NULL;
		if (move)
			bench_syscall(__NR_sched_setaffinity, move, sizeof(other), (long)&other, 0);
		__atomic_add_fetch(&self->wakeups, 1, __ATOMIC_RELAXED);
	}
}

static void start(struct preempter *preempter)
{
	stop = false;
	create_timerfd(preempter);
	preempter->thread = bench_thread(preempt, preempter);
	usleep(1000);	/* it begins to wait for the timer */
}

static void finish(struct preempter *preempter)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	arm(preempter);
	pthread_join(preempter->thread, NULL);
	close(preempter->timerfd);
}

static unsigned long wakeups(const struct preempter *preempter)
{
	return __atomic_load_n(&preempter->wakeups, __ATOMIC_RELAXED);
}

void setup_preemption(void)
{
	move = 0;
	start(&preempters[0]);
}

void teardown_preemption(void)
{
	finish(&preempters[0]);
}

/* Lets the preempter's timer interrupt a spin. */
static uint64_t spin_preempted(const struct event *event, struct preempter *preempter, uint64_t n)
{
	unsigned long before = wakeups(preempter);
	uint64_t others;

	arm(preempter);
	others = spin_interrupted(event, n);
	return wakeups(preempter) == before + 1 ? others : 0;
}

uint64_t sample_preemption(const struct event *event)
{
	return spin_preempted(event, &preempters[0], SPIN);
}

void setup_slice(void)
{
	const char *path = "/sys/kernel/debug/rseq/slice_ext_nsec";
	char text[16];

	snprintf(text, sizeof(text), "%d", SLICE_EXTENSION);
	if (!bench_write(path, text))
		err(1, "%s", path);
	setup_preemption();
}

/* The grant is given back: the preemption comes during rseq_slice_yield(). */
uint64_t sample_slice_yield(const struct event *event)
{
	struct preempter *preempter = &preempters[0];
	unsigned long before = wakeups(preempter);
	uint64_t others, start;
	long yielded;

	area.slice_ctrl.request = 1;
	arm(preempter);
	others = spin_interrupted(event, SPIN);
	start = bench_count();
	yielded = bench_syscall(__NR_rseq_slice_yield, 0, 0, 0, 0);
	start = bench_since(start);
	if (!others || wakeups(preempter) != before + 1 || yielded != (mode == V2_SLICE))
		return 0;
	return others + start;
}

/* The grant is used up: the preemption comes when it expires. */
uint64_t sample_slice_expiry(const struct event *event)
{
	area.slice_ctrl.request = 1;
	return spin_preempted(event, &preempters[0], SLICE_SPIN);
}

void setup_forced_migration(void)
{
	move = gettid();
	start(&preempters[0]);
	start(&preempters[1]);
}

uint64_t sample_forced_migration(const struct event *event)
{
	int cpu = sched_getcpu();
	uint64_t others = spin_preempted(event, &preempters[cpu], SPIN);

	if (sched_getcpu() == cpu)
		errx(1, "%s: not migrated", event->name);
	bench_rest();
	return others;
}

void teardown_forced_migration(void)
{
	finish(&preempters[0]);
	finish(&preempters[1]);
}
