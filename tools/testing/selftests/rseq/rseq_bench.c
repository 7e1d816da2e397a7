// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions that the kernel executes per event that concerns restartable sequences, for tasks
 * without and with each kind of registration. See bench.h for how and where to run it.
 *
 * Runs the events that need as many CPUs as are online: one (exact: nothing else can run) or two
 * (migration; what the other CPU does on the way into and out of idle counts too).
 */
#include "rseq_bench.h"
#include <sys/auxv.h>
#include <sys/rseq.h>

/* Samples of each event for each kind of task. */
#define ROUNDS				10
#define ROUND				30

#define RSEQ_V1_LEN			32

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE		27
#endif
#ifndef RSEQ_FLAG_SLICE_EXT_DEFAULT_ON
#define RSEQ_FLAG_SLICE_EXT_DEFAULT_ON	(1 << 1)
#endif

#define ALL_MODES	((1 << NR_MODES) - 1)
#define REGISTERED	(ALL_MODES & ~(1 << UNREGISTERED))
#define SLICE_MODES	(1 << UNREGISTERED | 1 << V2_SLICE)

static const char * const mode_names[NR_MODES] = { "unregistered", "v1", "v2", "v2-slice" };

static const struct event events[] = {
	/* A system call and an interrupt: leaving the kernel with nothing to do. */
	{ "syscall", 1, ALL_MODES, 1, NO_SECTION,
	  NULL, sample_syscall, NULL },
	{ "interrupt", 1, ALL_MODES, 1, NO_SECTION,
	  setup_interrupt, sample_interrupt, teardown_interrupt },

	/* One switch of sched_yield() between two tasks of the same kind. */
	{ "yield", 1, ALL_MODES, 2, NO_SECTION,
	  setup_yield, sample_yield, teardown_yield },

	/* A timer wakes a task of higher priority, which waits for the timer again. */
	{ "preemption", 1, ALL_MODES, 1, NO_SECTION,
	  setup_preemption, sample_preemption, teardown_preemption },
	{ "preemption-stale", 1, ALL_MODES, 1, STALE,
	  setup_preemption, sample_preemption, teardown_preemption },
	{ "preemption-abort", 1, ALL_MODES, 1, INSIDE,
	  setup_preemption, sample_preemption, teardown_preemption },

	/* Delivery of a signal and return from its handler. */
	{ "signal-self", 1, ALL_MODES, 1, NO_SECTION,
	  setup_signal, sample_signal, NULL },
	{ "signal-timer", 1, ALL_MODES, 1, NO_SECTION,
	  setup_signal_timer, sample_signal_timer, teardown_signal_timer },
	{ "signal-abort", 1, ALL_MODES, 1, INSIDE,
	  setup_signal_timer, sample_signal_timer, teardown_signal_timer },

	/* Preemption put off by a slice extension, which is given back or used up. */
	{ "slice-yield", 1, SLICE_MODES, 1, NO_SECTION,
	  setup_slice, sample_slice_yield, teardown_preemption },
	{ "slice-expiry", 1, SLICE_MODES, 1, NO_SECTION,
	  setup_slice, sample_slice_expiry, teardown_preemption },

	/* rseq() twice: registration and unregistration. */
	{ "registration", 1, REGISTERED, 1, NO_SECTION,
	  NULL, sample_registration, NULL },

	/* By sched_setaffinity() of the task itself, and of one that has preempted it. */
	{ "migration", 2, ALL_MODES, 1, NO_SECTION,
	  NULL, sample_migration, NULL },
	{ "migration-forced", 2, ALL_MODES, 1, NO_SECTION,
	  setup_forced_migration, sample_forced_migration, teardown_forced_migration },
	{ "migration-abort", 2, ALL_MODES, 1, INSIDE,
	  setup_forced_migration, sample_forced_migration, teardown_forced_migration },
};

enum mode mode;
struct rseq_abi area;

static unsigned int area_len;

static void set_mode(enum mode new)
{
	mode = new;
	area_len = mode == V1 ? RSEQ_V1_LEN : getauxval(AT_RSEQ_FEATURE_SIZE);
}

static void call_rseq(struct rseq_abi *area, int flags)
{
	long ret = bench_syscall(__NR_rseq, (long)area, area_len, flags, RSEQ_BENCH_SIG);

	if (ret)
		errx(1, "rseq() for %s, flags %d: %s", mode_names[mode], flags, strerror(-ret));
}

void rseq_register(struct rseq_abi *area)
{
	if (mode != UNREGISTERED)
		call_rseq(area, mode == V2_SLICE ? RSEQ_FLAG_SLICE_EXT_DEFAULT_ON : 0);
}

void rseq_unregister(struct rseq_abi *area)
{
	if (mode != UNREGISTERED)
		call_rseq(area, RSEQ_ABI_FLAG_UNREGISTER);
}

/* Fills @samples, as one kind of task. */
static void take_samples(const struct event *event, uint64_t *samples, size_t n)
{
	size_t i = 0, tries;

	if (event->setup)
		event->setup();
	rseq_register(&area);
	for (tries = 0; i < n && tries < 4 * n; tries++) {
		samples[i] = event->sample(event);
		if (samples[i])
			i++;
	}
	if (i < n)
		errx(1, "%s/%s: only %zu of %zu tries succeeded", event->name, mode_names[mode], i,
		     tries);
	rseq_unregister(&area);
	if (event->teardown)
		event->teardown();
}

/* Kinds of tasks take turns, so that what changes in the kernel meanwhile concerns all of them. */
static void measure(const struct event *event)
{
	static uint64_t samples[NR_MODES][ROUNDS * ROUND];
	unsigned int round, m;
	char name[64];

	for (round = 0; round < ROUNDS; round++) {
		for (m = 0; m < NR_MODES; m++) {
			if (event->modes & 1 << m) {
				set_mode(m);
				take_samples(event, &samples[m][round * ROUND], ROUND);
			}
		}
	}
	for (m = 0; m < NR_MODES; m++) {
		if (event->modes & 1 << m) {
			snprintf(name, sizeof(name), "%s/%s", event->name, mode_names[m]);
			bench_report(name, samples[m], ROUNDS * ROUND, event->per_sample);
		}
	}
}

/* The C library must not register an area of its own: ask it not to, in a new process image. */
static void forgo_libc_rseq(char **argv)
{
	if (!__rseq_size)
		return;
	if (setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1) || execv("/proc/self/exe", argv))
		err(1, "cannot start again without the C library's rseq");
}

int main(int argc __attribute__((unused)), char **argv)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
	const struct event *event;

	forgo_libc_rseq(argv);
	bench_pin(0);
	bench_realtime(1);
	bench_init();
	init_irq();

	for (event = events; event < events + sizeof(events) / sizeof(*events); event++) {
		if (event->cpus == cpus)
			measure(event);
	}
	return 0;
}
