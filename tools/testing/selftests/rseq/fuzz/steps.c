// SPDX-License-Identifier: GPL-2.0
/* The steps that a case consists of: each with its own random numbers. */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define LIMIT_US	30000	/* for a case; few take a tenth, and some never end */
#define SPINS		200000	/* longer than the rival takes, and a slice extension */
#define REQUEST		0x00000001u	/* slice_ctrl, little endian */
#define GRANTED		0x00000100u

/* ---- rseq(2) ---- */

static uint32_t draw_sig(struct rng *r)
{
	static const uint32_t sigs[] = { 0, RSEQ_SIG + 1, UINT32_MAX };

	return chance(r, 7, 8) ? RSEQ_SIG : pick(r, sigs);
}

static uint32_t draw_len(struct rng *r)
{
	static const uint32_t good[] = { V1_LEN, V1_LEN, V2_LEN, V2_LEN, 64, 4096 };
	static const uint32_t other[] = { 0, 1, 20, 31, 34, 63, 65, 0x10000, INT32_MAX, UINT32_MAX };

	return chance(r, 7, 8) ? pick(r, good) : pick(r, other);
}

static int draw_flags(struct rng *r)
{
	static const int flags[] = { 2, 4, 6, 8, 16, INT32_MIN, -2 };

	if (chance(r, 1, 12))
		return pick(r, flags);
	return chance(r, 1, 2) ? FLAG_SLICE_EXT_DEFAULT_ON : 0;
}

static uint64_t draw_area(struct rng *r)
{
	static const int offsets[] = { 0, 64, 128, 1024, 4096 - 64 };
	static const int others[] = { 32, 96, 4096 - 32, 1, 8, 16, 63 };

	if (chance(r, 1, 12))
		return draw_address(r);
	return (unsigned long)slot_page[draw(r, SLOT_CS)] +
	       (chance(r, 5, 6) ? pick(r, offsets) : pick(r, others));
}

static void do_register(struct rng *r)
{
	uint64_t at = draw_area(r);
	uint32_t len = draw_len(r), sig = draw_sig(r);
	int flags = draw_flags(r), ret;

	ret = result(syscall(__NR_rseq, (void *)(unsigned long)at, len, flags, sig));
	note("register", "%d area:%lx len:%u flags:%x sig:%x", ret, (unsigned long)at, len, flags,
	     sig);
	if (ret)
		return;
	fuzz->area = (unsigned long)at;
	fuzz->len = len;
	fuzz->sig = sig;
}

static void do_unregister(struct rng *r)
{
	uint64_t at = chance(r, 1, 12) ? draw_area(r) : fuzz->area;
	uint32_t len = chance(r, 1, 12) ? draw_len(r) : fuzz->len;
	uint32_t sig = chance(r, 1, 12) ? draw_sig(r) : fuzz->sig;
	int flags = chance(r, 1, 12) ? draw_flags(r) : 0, ret;

	ret = result(syscall(__NR_rseq, (void *)(unsigned long)at, len, flags | FLAG_UNREGISTER,
			     sig));
	note("unregister", "%d area:%lx len:%u flags:%x sig:%x", ret, (unsigned long)at, len,
	     flags | FLAG_UNREGISTER, sig);
}

static void do_prctl(struct rng *r)
{
	unsigned long arg[4] = { draw(r, 2) + 1, 0, 0, 0 };

	if (arg[0] == PR_RSEQ_SLICE_EXTENSION_SET)
		arg[1] = draw(r, 2);
	if (chance(r, 1, 8))
		arg[draw(r, 4)] = draw_word(r);
	note("prctl", "%d %lx %lx %lx %lx", result(prctl(PR_RSEQ_SLICE_EXTENSION, arg[0], arg[1],
							arg[2], arg[3])),
	     arg[0], arg[1], arg[2], arg[3]);
}

/* ---- memory ---- */

static void do_write(struct rng *r)
{
	write_something(r);
}

static void do_protect(struct rng *r)
{
	static const char *const names[] = {
		"read", "none", "read-write", "key", "not present", "unmapped", "new",
	};
	unsigned int how = draw(r, slot_pkey < 0 ? 3 : 4);
	int slot = chance(r, 1, 4) ? SLOT_CS : -1, ret = 0;
	unsigned char *page = slot_page[slot < 0 ? 0 : slot];

	if (chance(r, 1, 3))
		how = 4 + draw(r, 3);
	for (int i = 0; slot < 0 && i < NR_SLOTS; i++) {
		if ((unsigned long)last_area() - (unsigned long)slot_page[i] < 4096) {
			page = slot_page[i];
			slot = i;
		}
	}
	if (slot < 0)
		slot = SLOT_SHARED;
	switch (how) {
	case 0:
		ret = mprotect(page, 4096, PROT_READ);
		break;
	case 1:
		ret = mprotect(page, 4096, PROT_NONE);
		break;
	case 2:
		ret = mprotect(page, 4096, PROT_READ | PROT_WRITE);
		break;
	case 3:
		ret = pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, slot_pkey);
		break;
	case 4:
		ret = madvise(page, 4096, MADV_DONTNEED);
		break;
	case 5:
		ret = munmap(page, 4096);
		break;
	case 6:
		ret = memory_restore(slot);
		break;
	}
	note("protect", "%d slot:%d %s", result(ret), slot, names[how]);
}

/* ---- events ---- */

static void send_signal(int sig)
{
	int ret = result(syscall(__NR_tgkill, getpid(), syscall(__NR_gettid), sig));

	note("tgkill", "%d %d", ret, sig);
}

static void migrate_and_return(void)
{
	fuzz->uncounted = 1;
	set_cpu(0, facts.cpu_b);
	note_last_area("there");
	set_cpu(0, facts.cpu_a);
}

static void do_membarrier(void)
{
	static const int register_cmd = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;
	int ret = result(syscall(__NR_membarrier, register_cmd, 0, 0));

	note("membarrier", "%d %d", ret,
	     result(syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0)));
}

static void do_event(struct rng *r)
{
	static const int sigs[] = { SIGUSR1, SIGUSR1, SIGUSR1, SIGWINCH, SIGURG };
	static const char *const names[] = {
		"signal", "getpid", "sched_yield", "membarrier", "sleep", "migrate", "int3",
		"slice_yield", "blocked signal",
	};
	unsigned int what = draw(r, ARRAY_LEN(names));
	sigset_t set, old;

	note("event", "%s", names[what]);
	switch (what) {
	case 0:
		send_signal(pick(r, sigs));
		break;
	case 1:
		syscall(__NR_getpid);
		break;
	case 2:
		sched_yield();
		break;
	case 3:
		do_membarrier();
		break;
	case 4:
		sleep_us(1);
		break;
	case 5:
		migrate_and_return();
		break;
	case 6:
		asm volatile("int3");
		break;
	case 7:
		note("yield", "%d", result(syscall(__NR_rseq_slice_yield)));
		break;
	default:
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, &old);
		send_signal(SIGUSR1);
		sigprocmask(SIG_SETMASK, &old, NULL);
	}
}

/* ---- sections ---- */

static const char *const trigger_names[NR_TRIGGERS] = {
	"none", "ud2", "int3", "syscall", "load", "spin",
};

static void enter(int trigger, uint64_t ptr)
{
	static const char *const results[] = {
		"commit", "abort", "abort_low", "abort_inside", "abort_zero",
	};
	int ret;

	ret = fuzz_enter(alias_of(last_area()), ptr, trigger, fuzz);
	note("result", "%s", results[ret]);
}

static void prepare_section(struct rng *r)
{
	static const int nrs[] = { __NR_getpid, __NR_sched_yield, __NR_rseq_slice_yield, 100000 };

	fuzz->anywhere = 0;
	fuzz->inside = 0;
	fuzz->outside = 0;
	fuzz->spins = SPINS;
	fuzz->nr = pick(r, nrs);
	fuzz->load = chance(r, 1, 2) ? 8 : (unsigned long)pick(r, slot_page);
}

static void do_section(struct rng *r)
{
	static const enum deed deeds[] = {
		DEED_NONE, DEED_NONE, DEED_WRITE, DEED_WRITE, DEED_SIGNAL, DEED_MIGRATE,
	};
	uint64_t ptr = chance(r, 7, 8) ? draw_pointer(r) : 0;
	int trigger = draw(r, NR_TRIGGERS);
	enum deed deed = pick(r, deeds);

	if (chance(r, 1, 4))
		trigger = FUZZ_SPIN;
	prepare_section(r);
	note("section", "%s deed:%d rseq_cs:%llx nr:%u load:%llx", trigger_names[trigger],
	     trigger == FUZZ_SPIN ? deed : DEED_NONE, (unsigned long long)ptr, fuzz->nr,
	     (unsigned long long)fuzz->load);
	if (chance(r, 5, 6))
		write_descriptor(r);
	if (trigger == FUZZ_SPIN) {
		/* If there is nothing to write to, it shows before the rival is on its way. */
		*(volatile uint32_t *)alias_of(last_area()) += 0;
		rival_wish(deed, draw64(r));
	}
	enter(trigger, ptr);
}

/* A tracer does something at the stop. */
static void do_traced(struct rng *r)
{
	static const int triggers[] = { FUZZ_UD2, FUZZ_INT3 };
	static const enum deed deeds[] = { DEED_WRITE, DEED_JUMP, DEED_SWALLOW };
	int trigger = pick(r, triggers);

	if (fuzz->copied)
		return;
	note("traced", "%d", result(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
	prepare_section(r);
	run->cs = (unsigned long)slot_page[SLOT_CS];
	write_descriptor(r);
	fuzz->deed = pick(r, deeds);
	fuzz->deed_seed = draw64(r);
	fuzz->armed = 1;
	enter(trigger, run->cs);
}

/*
 * Asks for a longer time slice when the rival comes, and does something with it: at once,
 * since it does not last.
 */
static void do_slice(struct rng *r)
{
	struct rseq_abi *a = alias_of(last_area());
	volatile uint32_t *ctrl = (volatile uint32_t *)a + 7;
	unsigned int what = draw(r, 4);
	uint32_t answer;

	prepare_section(r);
	note("slice", "%u", what);
	*ctrl = REQUEST;
	fuzz->anywhere = 1;
	fuzz->put_off++;
	rival_wish(DEED_NONE, 0);
	fuzz->inside = 1;
	for (int i = 0; *ctrl == REQUEST && !fuzz->came && i < SPINS / 4; i++)
		;
	answer = *ctrl;
	switch (what) {
	case 0:
		note("yield", "%d", result(syscall(__NR_rseq_slice_yield)));
		break;
	case 1:
		syscall(__NR_getpid);
		break;
	case 2:
		*ctrl = draw_word(r);
		syscall(__NR_getpid);
		break;
	default:
		for (int i = 0; *ctrl == GRANTED && i < SPINS / 4; i++)
			;
	}
	fuzz->outside = 1;
	note("answer", "%x then %x", answer, *ctrl);
}

/* ---- processes ---- */

static unsigned int next_step;

static int go_on_in_copy(void *unused)
{
	fuzz->pid = getpid();
	fuzz->copied = 1;
	ending = false;
	go_on(next_step);
	return 0;
}

static void wait_for_copy(pid_t pid)
{
	int status = 0;

	ending = true;
	waitpid(pid, &status, __WALL);
	fuzz->pid = getpid();
	note("copy", "%x", status);
	note_last_area("original");
	_exit(0);
}

/* A copy of the process goes on with the steps; the original waits and ends. */
static void do_fork(struct rng *r)
{
	pid_t pid;

	note("fork", "%u", next_step);
	pid = fork();
	if (!pid)
		go_on_in_copy(NULL);
	wait_for_copy(pid);
}

static void do_vfork(struct rng *r)
{
	static char stack[65536];
	pid_t pid;

	note("vfork", "%u", next_step);
	pid = clone(go_on_in_copy, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	wait_for_copy(pid);
}

static void do_exec(struct rng *r)
{
	char fd[16], rival[16], step[16];
	char *argv[] = { "rseq_fuzz", "--go-on", fd, rival, step, NULL };

	note("exec", "%u", next_step);
	/* The original of a copy is its rival from now on. */
	fuzz->uncounted |= fuzz->copied;
	snprintf(fd, sizeof(fd), "%d", fuzz_memfd);
	snprintf(rival, sizeof(rival), "%d", rival_fd);
	snprintf(step, sizeof(step), "%u", next_step);
	execv("/proc/self/exe", argv);
	note("execv", "failed");
}

static void do_failing_exec(struct rng *r)
{
	static char *argv[] = { "missing", NULL };

	note("exec of nothing", "%d", result(execv("/proc/self/missing", argv)));
}

/* ---- all of them ---- */

static const struct {
	void (*take)(struct rng *r);
	unsigned int weight;
} steps[] = {
	{ do_section, 60 },
	{ do_register, 24 },
	{ do_write, 24 },
	{ do_event, 24 },
	{ do_protect, 14 },
	{ do_unregister, 10 },
	{ do_prctl, 10 },
	{ do_slice, 10 },
	{ do_traced, 10 },
	{ do_fork, 5 },
	{ do_vfork, 3 },
	{ do_failing_exec, 1 },
	{ do_exec, 1 },
};

static void take(struct rng *r)
{
	unsigned int sum = 0, n;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		sum += steps[i].weight;
	n = draw(r, sum);
	for (size_t i = 0; ; i++) {
		if (n < steps[i].weight) {
			steps[i].take(r);
			return;
		}
		n -= steps[i].weight;
	}
}

/* Take the steps from @step on, and exit. */
void go_on(unsigned int step)
{
	const struct itimerval limit = { .it_value.tv_usec = LIMIT_US };

	setitimer(ITIMER_REAL, &limit, NULL);
	on_signals();
	signal(SIGURG, SIG_IGN);
	for (; step < NR_STEPS; step++) {
		struct rng r = rng_of(fuzz->seed, fuzz->number, step);

		if (!(fuzz->mask & (1U << step)))
			continue;
		note("step", "%u", step);
		next_step = step + 1;
		/* Most cases begin with a registration: little happens without. */
		survived(step || chance(&r, 1, 16) ? take : do_register, &r);
		rival_cancel();
		if (sched_getcpu() != facts.cpu_a) {
			fuzz->uncounted = 1;
			set_cpu(0, facts.cpu_a);
		}
		note_last_area("area");
	}
	_exit(0);
}
