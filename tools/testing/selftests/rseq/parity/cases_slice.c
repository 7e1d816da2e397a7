// SPDX-License-Identifier: GPL-2.0
/*
 * Parity cases: time slice extension.
 *
 * A grant lasts for some ten microseconds. Where a machine is too slow to use
 * it in that time, it is asked for again and again.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "parity.h"

#define REQUEST		0x00000001u	/* slice_ctrl, little endian */
#define GRANTED		0x00000100u
#define ATTEMPTS	2000

static int slice_prctl(unsigned long a2, unsigned long a3, unsigned long a4, unsigned long a5)
{
	return result(prctl(PR_RSEQ_SLICE_EXTENSION, a2, a3, a4, a5));
}

static int set(unsigned long arg)
{
	return slice_prctl(PR_RSEQ_SLICE_EXTENSION_SET, arg, 0, 0);
}

static int get(void)
{
	return slice_prctl(PR_RSEQ_SLICE_EXTENSION_GET, 0, 0, 0);
}

static int yield(void)
{
	return result(syscall(__NR_rseq_slice_yield));
}

static volatile uint32_t *slice_ctrl(void)
{
	return (volatile uint32_t *)((unsigned char *)alias() + 28);
}

static volatile uint32_t *area_flags(void)
{
	return (volatile uint32_t *)((unsigned char *)alias() + 16);
}

/* ---- prctl(2) and the state it sets ---- */

static void child_bad_arguments(const struct test_case *tc)
{
	if (tc->num[0])
		register_area();
	expect("op_0", slice_prctl(0, 0, 0, 0), -EINVAL);
	expect("op_3", slice_prctl(3, 0, 0, 0), -EINVAL);
	expect("op_max", slice_prctl(-1UL, 0, 0, 0), -EINVAL);
	expect("get_arg3", slice_prctl(PR_RSEQ_SLICE_EXTENSION_GET, 1, 0, 0), -EINVAL);
	expect("get_arg4", slice_prctl(PR_RSEQ_SLICE_EXTENSION_GET, 0, 1, 0), -EINVAL);
	expect("get_arg5", slice_prctl(PR_RSEQ_SLICE_EXTENSION_GET, 0, 0, 1), -EINVAL);
	expect("set_2", set(2), -EINVAL);
	expect("set_3", set(3), -EINVAL);
	expect("set_max", set(-1UL), -EINVAL);
	expect("set_arg4", slice_prctl(PR_RSEQ_SLICE_EXTENSION_SET, 1, 1, 0), -EINVAL);
	expect("set_arg5", slice_prctl(PR_RSEQ_SLICE_EXTENSION_SET, 1, 0, 1), -EINVAL);
}

static void child_unregistered(const struct test_case *tc)
{
	int want = facts.slice_key ? -ENXIO : -ENOTSUPP;

	expect("get", get(), 0);
	expect("set_1", set(1), want);
	expect("set_0", set(0), want);
	expect("yield", yield(), 0);
	register_area();
	expect("unregister", sys_rseq(area(), cfg->len, FLAG_UNREGISTER, RSEQ_SIG), 0);
	expect("get_again", get(), 0);
	expect("set_again", set(1), want);
}

static void child_switch(const struct test_case *tc)
{
	bool can = cfg->v2 && facts.slice_key;
	int want = can ? 0 : -ENOTSUPP;

	register_area();
	expect("get", get(), can && cfg->slice);
	note_area("registered");
	expect("on", set(1), want);
	expect("get_on", get(), can);
	note_area("on");
	expect("on_again", set(1), want);
	expect("off", set(0), want);
	expect("get_off", get(), 0);
	note_area("off");
	expect("off_again", set(0), want);
	/* Bits that the kernel does not know are kept. */
	*area_flags() |= 0xffffff00u;
	expect("on_with_bits", set(1), want);
	note_area("on_with_bits");
	/* The program's own idea of the state is overwritten. */
	expect("off_with_bits", set(0), want);
	*area_flags() |= CS_FLAG_SLICE_EXT_ENABLED;
	expect("on_with_enabled", set(1), want);
	note_area("on_with_enabled");
	expect("get_end", get(), can);
	expect("yield", yield(), 0);
}

enum tamper { NOT_AVAILABLE, NOT_ENABLED, FLAGS_READ_ONLY, FLAGS_UNMAPPED, NR_TAMPERS };

static const char *const tamper_names[] = {
	"not_available", "not_enabled", "read_only", "unmapped",
};

/* A change of state checks what the area says of it. */
static void child_tampered(const struct test_case *tc)
{
	bool on;

	register_area();
	on = get();
	switch ((enum tamper)tc->num[0]) {
	case NOT_AVAILABLE:
		*area_flags() &= ~CS_FLAG_SLICE_EXT_AVAILABLE;
		break;
	case NOT_ENABLED:
		*area_flags() &= ~CS_FLAG_SLICE_EXT_ENABLED;
		break;
	case FLAGS_READ_ONLY:
		mprotect(area_page, getpagesize(), PROT_READ);
		break;
	default:
		mprotect(area_page, getpagesize(), PROT_NONE);
		break;
	}
	note("no_change", "%d", set(on));
	note("change", "%d", set(!on));
	note("get", "%d", get());
	note_area("after");
}

static const char *end_of_tampered(enum tamper tamper)
{
	if (tamper == FLAGS_UNMAPPED && cfg->debug)
		return cfg->v2 ? END_CAUGHT : END_KILLED;
	if (!cfg->v2 || !facts.slice_key)
		return END_OK;
	return tamper == NOT_ENABLED && !cfg->slice ? END_OK : END_CAUGHT;
}

static void get_prctl(size_t i, struct test_case *tc)
{
	static const char *const names[] = {
		"bad_arguments", "bad_arguments_registered", "unregistered", "switch",
	};

	tc->end = END_OK;
	tc->fixups = 0;
	switch (i) {
	case 0:
	case 1:
		tc->child = child_bad_arguments;
		tc->num[0] = i;
		break;
	case 2:
		tc->child = child_unregistered;
		break;
	case 3:
		tc->child = child_switch;
		break;
	default:
		i -= ARRAY_LEN(names);
		snprintf(tc->name, sizeof(tc->name), "tampered.%s", tamper_names[i]);
		tc->child = child_tampered;
		tc->num[0] = i;
		tc->end = end_of_tampered(i);
		return;
	}
	snprintf(tc->name, sizeof(tc->name), "%s", names[i]);
}

const struct test_group prctl_group = { "prctl", 4 + NR_TAMPERS, get_prctl };

/* ---- grants ---- */

static uint32_t handler_saw;

/* Ask, and wait until the kernel answers. What it answers is in slice_ctrl. */
static bool request(void)
{
	*slice_ctrl() = REQUEST;
	while (*slice_ctrl() == REQUEST && !run->stop)
		;
	return *slice_ctrl() == GRANTED;
}

/* Ask until @done, which is called with a grant, says that it was in time. */
static bool ask_until(bool (*done)(void))
{
	bool ok = false;

	for (int i = 0; i < ATTEMPTS && !ok; i++)
		ok = request() && done();
	*slice_ctrl() = 0;
	return ok;
}

static void prepare(void)
{
	expect("slice_ext_nsec", write_file(slice_ext_file, "50000"), 5);
	register_area();
}

static bool yield_in_time(void)
{
	return yield() == 1;
}

static void child_yield(const struct test_case *tc)
{
	prepare();
	expect_true("yielded", ask_until(yield_in_time));
	expect("again", yield(), 0);
	note_area("after");
}

static long counter;
static const char *counter_name;

static bool getpid_in_time(void)
{
	syscall(__NR_getpid);
	return stat_of(counter_name) != counter;
}

/* Any other system call ends the grant as well. */
static void child_abort(const struct test_case *tc)
{
	prepare();
	counter_name = "sabort";
	counter = stat_of(counter_name);
	expect_true("aborted", ask_until(getpid_in_time));
	expect("yield", yield(), 0);
	note_area("after");
}

static bool wait_revoked(void)
{
	while (*slice_ctrl() == GRANTED && !run->stop)
		;
	handler_saw = *slice_ctrl();
	return stat_of(counter_name) != counter;
}

/* The grant runs out. */
static void child_expire(const struct test_case *tc)
{
	prepare();
	counter_name = "sexpir";
	counter = stat_of(counter_name);
	expect_true("expired", ask_until(wait_revoked));
	expect("slice_ctrl", handler_saw, 0);
	expect("yield", yield(), 0);
	note_area("after");
}

static void on_grant_signal(int sig, siginfo_t *info, void *uc)
{
	handler_saw = *slice_ctrl();
	set_ip(uc, parity_cs_commit);
}

/*
 * A signal does not end a grant; the system call that its handler ends with
 * does. On a slow machine the grant has run out before.
 */
static void child_signal(const struct test_case *tc)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	bool right = true;

	sa.sa_sigaction = on_grant_signal;
	sigaction(SIGILL, &sa, NULL);
	prepare();
	for (int i = 0; i < 50; i++) {
		if (!request())
			continue;
		parity_cs_enter(alias(), 0, TRIGGER_UD2, run);
		right = right && (handler_saw == GRANTED || !handler_saw) && !*slice_ctrl();
	}
	expect_true("slice_ctrl", right);
	expect("yield", yield(), 0);
	note_area("after");
}

static bool abort_in_time(void)
{
	uint64_t cs = (unsigned long)valid_cs();

	return parity_cs_enter(alias(), cs, TRIGGER_SPIN, run) == SECTION_ABORT;
}

/* In a section, too, the task is only aborted when the grant has run out. */
static void child_section(const struct test_case *tc)
{
	prepare();
	expect_true("aborted", ask_until(abort_in_time));
	note_area("after");
}

static bool scribble_in_time(void)
{
	*slice_ctrl() = GRANTED | REQUEST;
	syscall(__NR_getpid);
	return *slice_ctrl() == 0;
}

/* Only debug mode looks at what the program writes to the kernel's byte. */
static void child_scribble(const struct test_case *tc)
{
	prepare();
	expect_true("cleared", ask_until(scribble_in_time));
	note_area("after");
}

/* Not enabled: the request is no more than forgotten. */
static void child_not_enabled(const struct test_case *tc)
{
	register_area();
	if (get())
		expect("off", set(0), 0);
	*slice_ctrl() = REQUEST;
	note("section", "%s", section_name(parity_cs_enter(alias(), 0, TRIGGER_SPIN, run)));
	note_area("after");
	expect("yield", yield(), 0);
}

static void leave_spin(int sig, siginfo_t *info, void *uc)
{
	if (get_ip(uc) != (unsigned long)parity_cs_spin)
		return;
	handler_saw = *slice_ctrl();
	set_ip(uc, parity_cs_commit);
}

/* A signal and a rival that both come by the interrupt at @when. */
static void expect_both(timer_t timer, struct itimerspec *when)
{
	clock_gettime(CLOCK_MONOTONIC, &when->it_value);
	when->it_value.tv_nsec += 30000000;
	if (when->it_value.tv_nsec >= 1000000000) {
		when->it_value.tv_nsec -= 1000000000;
		when->it_value.tv_sec++;
	}
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		set_fifo(0, 60);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when->it_value, NULL);
		_exit(0);
	}
	/* Let it go to sleep. */
	sleep_us(2000);
	timer_settime(timer, TIMER_ABSTIME, when, NULL);
}

/* A signal that comes by the same interrupt as the preemption: no extension. */
static void child_denied(const struct test_case *tc)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	/* It comes again, should it come too early. */
	struct itimerspec when = { .it_interval.tv_nsec = 5000000 };
	struct itimerspec never = { 0 };
	bool denied = false;
	timer_t timer;

	sa.sa_sigaction = leave_spin;
	sigaction(SIGUSR1, &sa, NULL);
	timer_create(CLOCK_MONOTONIC, &ev, &timer);
	register_area();
	for (int i = 0; i < 20 && !denied; i++) {
		long granted;

		expect_both(timer, &when);
		granted = stat_of("sgrant");
		*slice_ctrl() = REQUEST;
		parity_cs_enter(alias(), 0, TRIGGER_SPIN, run);
		timer_settime(timer, 0, &never, NULL);
		denied = handler_saw == 0 && stat_of("sgrant") == granted;
	}
	expect_true("denied", denied);
	note_area("after");
}

/* The area goes away with a request in it. */
static void child_damaged(const struct test_case *tc)
{
	register_area();
	*slice_ctrl() = REQUEST;
	mprotect(area_page, getpagesize(), tc->num[0]);
	note("section", "%s", section_name(parity_cs_enter(alias(), 0, TRIGGER_SPIN, run)));
}

static const struct {
	const char *name;
	void (*child)(const struct test_case *tc);
	enum drive drive;
	enum stats_mode stats;
	bool enabled;		/* only where the extension is */
	int num;
} cases[] = {
	{ "yield", child_yield, DRIVE_TICK, STATS_NONE, true },
	{ "abort", child_abort, DRIVE_TICK, STATS_NONE, true },
	{ "expire", child_expire, DRIVE_TICK, STATS_NONE, true },
	{ "signal", child_signal, DRIVE_TICK, STATS_NONE, true },
	{ "section", child_section, DRIVE_TICK, STATS_NONE, true },
	{ "scribble", child_scribble, DRIVE_TICK, STATS_NONE, true },
	{ "denied", child_denied, DRIVE_WAIT, STATS_NONE, true },
	{ "not_enabled", child_not_enabled, DRIVE_PREEMPT, STATS_EXACT, false },
	{ "read_only", child_damaged, DRIVE_PREEMPT, STATS_CLASS, true, PROT_READ },
	{ "prot_none", child_damaged, DRIVE_PREEMPT, STATS_CLASS, true, PROT_NONE },
};

static void get_slice(size_t i, struct test_case *tc)
{
	if (cases[i].enabled && !(cfg->slice && facts.slice_key))
		return;
	snprintf(tc->name, sizeof(tc->name), "%s", cases[i].name);
	tc->child = cases[i].child;
	tc->drive = cases[i].drive;
	tc->stats = cases[i].stats;
	tc->num[0] = cases[i].num;
	tc->end = END_OK;
	if (cases[i].child == child_damaged)
		tc->end = cfg->debug && cases[i].num == PROT_NONE ? END_CAUGHT : END_KILLED;
	if (cases[i].child == child_scribble && cfg->debug)
		tc->end = END_CAUGHT;
}

const struct test_group slice_group = { "slice", ARRAY_LEN(cases), get_slice };
