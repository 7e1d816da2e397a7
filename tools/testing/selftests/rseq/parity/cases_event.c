// SPDX-License-Identifier: GPL-2.0
/* Parity cases: everything that interrupts a task, in and out of a section. */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "parity.h"

/* A process beside the child, which ends with it. */
static void partner(void (*work)(int), int arg, int cpu)
{
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_cpu(0, cpu);
	work(arg);
	_exit(0);
}

static void child_register(const struct test_case *tc)
{
	register_area();
	note_area("registered");
}

/* num[0]: trigger, num[1]: result, num[2]: without a section */
static void child_trigger(const struct test_case *tc)
{
	uint64_t cs = (unsigned long)valid_cs();

	register_area();
	expect_text("section",
		    section_name(parity_cs_enter(alias(), tc->num[2] ? 0 : cs, tc->num[0], run)),
		    section_name(tc->num[1]));
	expect("rseq_cs", alias()->rseq_cs.ptr64 && tc->num[1] != SECTION_COMMIT, 0);
}

/* The end of a time slice: SCHED_RR against a partner that never sleeps. */
static void spin_beside(int arg)
{
	while (!run->outside && !run->stop)
		;
}

static void child_tick(const struct test_case *tc)
{
	struct sched_param param = { .sched_priority = 50 };

	sched_setscheduler(0, SCHED_RR, &param);
	partner(spin_beside, 0, facts.cpu_a);
	register_area();
	expect_section(TRIGGER_SPIN, SECTION_ABORT);
}

static void yield_beside(int arg)
{
	while (!run->stop)
		sched_yield();
}

/* A switch in a system call; rseq_cs is left set, as after a section's end. */
static void child_yield(const struct test_case *tc)
{
	partner(yield_beside, 0, facts.cpu_a);
	sched_yield();
	valid_cs();
	register_area();
	alias()->rseq_cs.ptr64 = run->cs;
	expect("yield", result(sched_yield()), 0);
	note_area("after");
	/* Outside of debug mode nobody looks at it. */
	expect_text("rseq_cs", alias()->rseq_cs.ptr64 ? "set" : "cleared",
		    cfg->debug ? "cleared" : "set");
}

static void on_time(int sig, siginfo_t *info, void *uc)
{
	parity_on_signal(sig, info, uc);
	if (!run->inside) {
		run->late = 1;
		_exit(0);
	}
}

static void child_timer_signal(const struct test_case *tc)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec when = { .it_value.tv_nsec = 5000000 };
	timer_t timer;

	sa.sa_sigaction = on_time;
	sigaction(SIGUSR1, &sa, NULL);
	expect("timer_create", timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	register_area();
	timer_settime(timer, 0, &when, NULL);
	expect_section(TRIGGER_SPIN, SECTION_ABORT);
}

static void child_raise(const struct test_case *tc)
{
	valid_cs();
	register_area();
	alias()->rseq_cs.ptr64 = run->cs;
	alias()->cpu_id_start = cfg->v2 || cfg->debug ? facts.cpu_a : 0x12345;
	expect("raise", result(syscall(__NR_tgkill, getpid(), getpid(), SIGUSR1)), 0);
	expect_true("handled", run->seen & (1U << SIGUSR1));
	note_area("after");
	/* v1 looks at every signal, and updates the IDs. */
	expect_text("rseq_cs", alias()->rseq_cs.ptr64 ? "set" : "cleared",
		    cfg->v2 && !cfg->debug ? "set" : "cleared");
	expect("cpu_id_start", alias()->cpu_id_start, facts.cpu_a);
}

static void child_migrate_self(const struct test_case *tc)
{
	valid_cs();
	register_area();
	alias()->rseq_cs.ptr64 = run->cs;
	set_cpu(0, facts.cpu_b);
	note_area("there");
	expect("cpu_id", alias()->cpu_id, facts.cpu_b);
	expect("cpu_id_start", alias()->cpu_id_start, facts.cpu_b);
}

/* A fault that is resolved at once is no reason to abort. */
static void child_minor_fault(const struct test_case *tc)
{
	char *p = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	run->load = (unsigned long)p;
	register_area();
	expect_section(TRIGGER_LOAD, SECTION_COMMIT);
}

/* A fault that cannot be resolved is a signal. */
static void child_bad_fault(const struct test_case *tc)
{
	run->load = 8;
	register_area();
	expect_section(TRIGGER_LOAD, SECTION_COMMIT);
}

static void resolve_fault(int fd)
{
	struct uffd_msg msg;
	struct uffdio_zeropage zero = { 0 };

	if (read(fd, &msg, sizeof(msg)) != sizeof(msg))
		return;
	zero.range.start = msg.arg.pagefault.address & -(uint64_t)getpagesize();
	zero.range.len = getpagesize();
	ioctl(fd, UFFDIO_ZEROPAGE, &zero);
}

/* A fault that sleeps: the task is switched out at a known instruction. */
static void child_sleeping_fault(const struct test_case *tc)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *p = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	reg.range.start = (unsigned long)p;
	reg.range.len = getpagesize();
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		note("userfaultfd", "%d", -errno);
		return;
	}
	partner(resolve_fault, fd, facts.cpu_b);
	run->load = (unsigned long)p;
	register_area();
	expect_section(TRIGGER_LOAD, SECTION_ABORT);
}

static void *fence_beside(void *arg)
{
	set_cpu(0, facts.cpu_b);
	run->go = 1;
	wait_for(&run->inside, 5000);
	run->load = result(syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0));
	run->go = 2;
	return NULL;
}

static void child_membarrier(const struct test_case *tc)
{
	pthread_t thread;

	expect("register_cmd", syscall(__NR_membarrier,
				       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0), 0);
	run->go = 0;
	pthread_create(&thread, NULL, fence_beside, NULL);
	wait_for(&run->go, 5000);
	register_area();
	expect_section(TRIGGER_SPIN, SECTION_ABORT);
	/* Without a system call, which may sleep. */
	while (run->go != 2)
		;
	expect("membarrier", run->load, 0);
}

/* A handler that returns into a section, which the kernel did not see begin. */
static void into_section(int sig, siginfo_t *info, void *uc)
{
	parity_on_signal(sig, info, uc);
	set_ip(uc, parity_cs_ud2 + 2);
	alias()->rseq_cs.ptr64 = run->cs;
}

static void child_sigreturn(const struct test_case *tc)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sa.sa_sigaction = into_section;
	sigaction(SIGILL, &sa, NULL);
	valid_cs();
	register_area();
	expect_text("section", section_name(parity_cs_enter(alias(), 0, TRIGGER_UD2, run)),
		    "commit");
	note_area("after");
}

/* Single-stepping switches tasks at every instruction. */
static void child_step(const struct test_case *tc)
{
	bool active = tc->num[0];
	uint64_t cs = (unsigned long)valid_cs();
	int res;

	register_area();
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	asm volatile("int3");
	res = parity_cs_enter(alias(), active ? cs : 0, TRIGGER_NONE, run);
	expect_text("section", section_name(res), active ? "abort" : "commit");
}

static const struct {
	const char *name;
	void (*child)(const struct test_case *tc);
	enum drive drive;
	int fixups;
	int num[3];
	enum stats_mode stats;
} cases[] = {
	{ "register", child_register },
	{ "no_event", child_trigger, .num = { TRIGGER_NONE, SECTION_COMMIT } },
	{ "preempt", child_trigger, DRIVE_PREEMPT, 1, { TRIGGER_SPIN, SECTION_ABORT } },
	{ "preempt_outside", child_trigger, DRIVE_PREEMPT, 0,
	  { TRIGGER_SPIN, SECTION_COMMIT, 1 } },
	{ "signal", child_trigger, DRIVE_SIGNAL, 1, { TRIGGER_SPIN, SECTION_ABORT } },
	{ "signal_outside", child_trigger, DRIVE_SIGNAL, 0, { TRIGGER_SPIN, SECTION_COMMIT, 1 } },
	{ "exception", child_trigger, DRIVE_WAIT, 1, { TRIGGER_UD2, SECTION_ABORT } },
	{ "exception_outside", child_trigger, DRIVE_WAIT, 0,
	  { TRIGGER_UD2, SECTION_COMMIT, 1 } },
	{ "migrate", child_trigger, DRIVE_MIGRATE, 1, { TRIGGER_SPIN, SECTION_ABORT } },
	{ "migrate_outside", child_trigger, DRIVE_MIGRATE, 0,
	  { TRIGGER_SPIN, SECTION_COMMIT, 1 } },
	{ "migrate_self", child_migrate_self },
	{ "tick", child_tick, .fixups = 1, .stats = STATS_CLASS },
	{ "sched_yield", child_yield },
	{ "timer_signal", child_timer_signal, .fixups = 1 },
	{ "raise", child_raise },
	{ "minor_fault", child_minor_fault },
	{ "bad_fault", child_bad_fault },
	{ "sleeping_fault", child_sleeping_fault, .fixups = 1 },
	{ "membarrier", child_membarrier, .fixups = 1 },
	{ "sigreturn", child_sigreturn },
	{ "step", child_step, DRIVE_STEP, 1, { 1 }, STATS_NONE },
	{ "step_outside", child_step, DRIVE_STEP, 0, { 0 }, STATS_NONE },
};

static void get_event(size_t i, struct test_case *tc)
{
	snprintf(tc->name, sizeof(tc->name), "%s", cases[i].name);
	tc->child = cases[i].child;
	tc->drive = cases[i].drive;
	tc->fixups = cases[i].fixups;
	tc->stats = cases[i].stats;
	memcpy(tc->num, cases[i].num, sizeof(tc->num));
	/* sched_yield(2) counts as involuntary, and migration may. */
	tc->switches = cases[i].child == child_migrate_self ? -1 : cases[i].child == child_yield;
	tc->end = END_OK;
	if (cases[i].child == child_bad_fault) {
		tc->end = END_CAUGHT;
		tc->fixups = 1;
	}
	/* sigreturn is a system call, and must not end in a section. */
	if (cases[i].child == child_sigreturn && cfg->debug)
		tc->end = END_CAUGHT;
}

const struct test_group event_group = { "event", ARRAY_LEN(cases), get_event };
