// SPDX-License-Identifier: GPL-2.0
/*
 * Each operation is interrupted once at each of its instructions, by another thread that changes
 * the same data, or by a signal handler that does: what comes out has to be what comes out of one
 * after the other.
 *
 * A child does the operation again and again, this process traces it. It is stepped through once, to
 * find the instructions. A thread that is stepped never gets through a sequence: it is taken for
 * one that runs none, by a rseq_cs of 0. Then, for each instruction, it runs up to there, by a
 * breakpoint of the hardware, and is interrupted. Where an instruction repeats, it is stepped on
 * from there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <percpu/percpu.h>

#include "tap.h"

#define BYTES		12
#define MAX_POINTS	1000
#define MAX_STEPS	100000

struct state {
	intptr_t v, v2, load;
	char copy[BYTES];
	struct percpu_counter counter;
	struct percpu_node first, second;
	intptr_t nested;	/* what the signal handler did to other data */
	int ret, error;
};

static struct state *shared;	/* with the child */
static enum rseq_percpu_mode mode;
static int place;

struct op {
	const char *name;
	int (*run)(void);
	void (*interfere)(void);
};

static void addv_more(void)
{
	shared->v += 100;
}

/* What a comparison expects becomes what it does not, and the other way round. */
static void flip(void)
{
	shared->v = shared->v == 1 ? 2 : 1;
}

static void flip_second(void)
{
	shared->v2 = shared->v2 == 1 ? 2 : 1;
}

static void pop_first(void)
{
	if (shared->v)
		shared->v = (intptr_t)((struct percpu_node *)shared->v)->next;
}

static __attribute__((noinline)) int addv(void)
{
	return percpu_addv(mode, &shared->v, 1, place);
}

static __attribute__((noinline)) int cmpeqv_storev(void)
{
	return percpu_cmpeqv_storev(mode, &shared->v, 1, 7, place);
}

static __attribute__((noinline)) int cmpeqv_storev_differs(void)
{
	return percpu_cmpeqv_storev(mode, &shared->v, 2, 7, place);
}

static __attribute__((noinline)) int pop(void)
{
	return percpu_cmpnev_storeoffp_load(mode, &shared->v, 0, offsetof(struct percpu_node, next),
					    &shared->load, place);
}

static __attribute__((noinline)) int storev_storev(void)
{
	return percpu_cmpeqv_storev_storev(mode, &shared->v, 1, &shared->v2, 5, 7, place);
}

static __attribute__((noinline)) int storev_storev_release(void)
{
	return percpu_cmpeqv_storev_storev_release(mode, &shared->v, 1, &shared->v2, 5, 7, place);
}

static __attribute__((noinline)) int cmpeqv_cmpeqv_storev(void)
{
	return percpu_cmpeqv_cmpeqv_storev(mode, &shared->v, 1, &shared->v2, 1, 7, place);
}

static __attribute__((noinline)) int cmpeqv_cmpeqv_storev_differs(void)
{
	return percpu_cmpeqv_cmpeqv_storev(mode, &shared->v, 1, &shared->v2, 2, 7, place);
}

static __attribute__((noinline)) int memcpy_storev(void)
{
	return percpu_cmpeqv_memcpy_storev(mode, &shared->v, 1, shared->copy, "abcdefghijk", BYTES,
					   7, place);
}

static __attribute__((noinline)) int memcpy_storev_release(void)
{
	return percpu_cmpeqv_memcpy_storev_release(mode, &shared->v, 1, shared->copy,
						   "abcdefghijk", BYTES, 7, place);
}

/* Of this CPU alone, as if there were others before. */
static struct percpu_counter *counter(void)
{
	return (void *)((char *)&shared->counter - sched_getcpu() * PERCPU_STRIDE);
}

static __attribute__((noinline)) int counter_add(void)
{
	percpu_counter_add(counter(), 1);
	return 0;
}

static void counter_more(void)
{
	shared->counter.by_sequences += 100;
}

static const struct op ops[] = {
	{ "addv", addv, addv_more },
	{ "cmpeqv_storev", cmpeqv_storev, flip },
	{ "cmpeqv_storev that differs", cmpeqv_storev_differs, flip },
	{ "cmpnev_storeoffp_load", pop, pop_first },
	{ "cmpeqv_storev_storev", storev_storev, flip },
	{ "cmpeqv_storev_storev_release", storev_storev_release, flip },
	{ "cmpeqv_cmpeqv_storev, first", cmpeqv_cmpeqv_storev, flip },
	{ "cmpeqv_cmpeqv_storev, second", cmpeqv_cmpeqv_storev, flip_second },
	{ "cmpeqv_cmpeqv_storev that differs", cmpeqv_cmpeqv_storev_differs, flip_second },
	{ "cmpeqv_memcpy_storev", memcpy_storev, flip },
	{ "cmpeqv_memcpy_storev_release", memcpy_storev_release, flip },
	{ "counter_add", counter_add, counter_more },
};

static void reset(const struct op *op)
{
	memset(shared, 0, sizeof(*shared));
	shared->v = shared->v2 = 1;
	shared->first.next = &shared->second;
	if (op->run == pop)
		shared->v = (intptr_t)&shared->first;
}

/* What a store before the last one leaves when the operation is not done does not count. */
static bool same(const struct state *a, const struct state *b)
{
	return a->ret == b->ret && a->v == b->v &&
	       a->counter.by_sequences + a->counter.by_atomics ==
	       b->counter.by_sequences + b->counter.by_atomics &&
	       (a->ret || (a->v2 == b->v2 && a->load == b->load &&
			   !memcmp(a->copy, b->copy, BYTES)));
}

/* Without any interruption. */
static struct state in_order(const struct op *op, bool op_first)
{
	reset(op);
	if (!op_first)
		op->interfere();
	shared->ret = op->run();
	if (op_first)
		op->interfere();
	return *shared;
}

static const struct op *current;

static void handler(int sig)
{
	(void)sig;
	current->interfere();
	percpu_addv(mode, &shared->nested, 1, place);
}

static bool stopped_by(pid_t child, int sig)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == sig;
}

/* It stops by SIGSTOP before each time. */
static pid_t start(const struct op *op)
{
	pid_t child;

	current = op;
	child = fork();
	if (child)
		return stopped_by(child, SIGSTOP) ? child : -1;
	signal(SIGUSR1, handler);
	place = percpu_current_index(mode);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(1);
	while (!raise(SIGSTOP)) {
		shared->ret = op->run();
		shared->error = errno;
	}
	_exit(1);
}

static struct user_regs_struct regs_of(pid_t child)
{
	struct user_regs_struct regs;

	ptrace(PTRACE_GETREGS, child, NULL, &regs);
	return regs;
}

static unsigned long word_at(pid_t child, unsigned long address)
{
	return ptrace(PTRACE_PEEKDATA, child, address, NULL);
}

static bool step(pid_t child)
{
	return !ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) && stopped_by(child, SIGTRAP);
}

static unsigned long ip_of(pid_t child)
{
	return regs_of(child).rip;
}

/* The breakpoint; 0: none. */
static bool set_breakpoint(pid_t child, unsigned long address)
{
	const size_t registers = offsetof(struct user, u_debugreg);

	return !ptrace(PTRACE_POKEUSER, child, registers, address) &&
	       !ptrace(PTRACE_POKEUSER, child, registers + 7 * sizeof(long), !!address);
}

/* If it does not come there, it has stopped before the next time. */
static bool run_to(pid_t child, unsigned long address)
{
	bool there = set_breakpoint(child, address) && !ptrace(PTRACE_CONT, child, NULL, NULL) &&
		     stopped_by(child, SIGTRAP) && ip_of(child) == address;

	return set_breakpoint(child, 0) && there;
}

static bool finish(pid_t child, int sig)
{
	return !ptrace(PTRACE_CONT, child, NULL, sig) && stopped_by(child, SIGSTOP);
}

/* An instruction where the operation can be interrupted: the repeated ones follow each other. */
struct point {
	unsigned long ip;
	int repeated;
	bool inside, behind;	/* the sequence */
};

/* What a step found: whether the child is in a sequence, or was, which it then does not know. */
static struct point look(pid_t child, const struct point *before, unsigned long *descriptor)
{
	unsigned long rseq_cs = (unsigned long)&percpu_thread_area(mode)->rseq_cs;
	unsigned long entered = word_at(child, rseq_cs), start, end;
	struct point point = { .ip = ip_of(child) };

	ptrace(PTRACE_POKEDATA, child, rseq_cs, 0);
	/* What was left from before is none of this operation. */
	if (!before)
		return point;
	if (entered)
		*descriptor = entered;
	if (*descriptor) {
		start = word_at(child, *descriptor + 8);
		end = start + word_at(child, *descriptor + 16);
		point.inside = point.ip >= start && point.ip < end;
		point.behind = !point.inside && (before->inside || before->behind);
	}
	if (before->ip == point.ip)
		point.repeated = before->repeated + 1;
	return point;
}

/* All points of an operation, from its first instruction to its return; 0 if that failed. */
static int find_points(const struct op *op, pid_t child, struct point *points,
		       unsigned long *descriptor)
{
	unsigned long back;
	int n = 0;

	*descriptor = 0;
	reset(op);
	if (!run_to(child, (unsigned long)op->run))
		return 0;
	back = word_at(child, regs_of(child).rsp);
	do {
		points[n] = look(child, n ? &points[n - 1] : NULL, descriptor);
		n++;
	} while (n < MAX_POINTS && step(child) && ip_of(child) != back);
	return ip_of(child) == back && *descriptor && finish(child, 0) ? n : 0;
}

/* Brings the child to @point, as if it had run there without any interruption. */
static bool go(pid_t child, const struct point *point, unsigned long descriptor)
{
	unsigned long rseq_cs = (unsigned long)&percpu_thread_area(mode)->rseq_cs;

	if (!run_to(child, point->ip))
		return false;
	ptrace(PTRACE_POKEDATA, child, rseq_cs, 0);
	for (int i = 0; i < point->repeated; i++) {
		if (!step(child) || ip_of(child) != point->ip)
			return false;
	}
	if (point->inside)
		ptrace(PTRACE_POKEDATA, child, rseq_cs, descriptor);
	return true;
}

enum outcome { RIGHT, WRONG, BROKEN };

static enum outcome interrupt(const struct op *op, pid_t child, const struct point *point,
			      unsigned long descriptor, bool by_signal)
{
	struct state got, expected;

	reset(op);
	if (!go(child, point, descriptor))
		return BROKEN;
	if (!by_signal)
		op->interfere();
	if (!finish(child, by_signal ? SIGUSR1 : 0))
		return BROKEN;
	if (shared->nested != by_signal)
		return WRONG;
	got = *shared;
	expected = in_order(op, point->behind);
	/* A counter never mixes sequences and atomic instructions on one word. */
	if (same(&got, &expected) &&
	    (op->run != counter_add || got.counter.by_atomics >= point->inside))
		return RIGHT;
	printf("# at %#lx: %d (errno %d), v %ld, v2 %ld; expected %d, v %ld, v2 %ld\n", point->ip,
	       got.ret, got.error, (long)got.v, (long)got.v2, expected.ret, (long)expected.v,
	       (long)expected.v2);
	return WRONG;
}

static void interrupt_everywhere(const struct op *op, bool by_signal)
{
	static struct point points[MAX_POINTS];
	int outcomes[3] = { 0 }, inside = 0;
	unsigned long descriptor;
	pid_t child = start(op);
	int n = find_points(op, child, points, &descriptor);

	for (int i = 0; i < n; i++) {
		enum outcome outcome = BROKEN;

		/* Something else may interrupt it before it is there. */
		for (int tries = 0; outcome == BROKEN && tries < 5; tries++)
			outcome = interrupt(op, child, &points[i], descriptor, by_signal);
		outcomes[outcome]++;
		inside += points[i].inside;
	}
	/* At the least: two for the index, one for the change. */
	ok(outcomes[RIGHT] == n && inside >= 3,
	   "%s, by %s, %s: %d instructions, %d of them in the sequence, %d wrong, %d not reached",
	   op->name, mode == RSEQ_PERCPU_CPU_ID ? "CPU" : "mm_cid", by_signal ? "signal" : "thread",
	   n, inside, outcomes[WRONG], outcomes[BROKEN]);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

/*
 * No sequence gets through, the operation does, by cpu_opv(2) or in the case of counters by an
 * atomic instruction; without cpu_opv(2) it ends with an error.
 */
static void step_everywhere(const struct op *op)
{
	struct state got, expected;
	pid_t child = start(op);
	int status = 0, steps = 0;
	bool ended;

	reset(op);
	while (steps++ < MAX_STEPS && !ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) &&
	       waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGTRAP)
		;
	ended = WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
	got = *shared;
	reset(op);
	shared->ret = op->run();
	expected = *shared;
	if (op->run != counter_add && !percpu_remote_available(mode)) {
		reset(op);
		expected = *shared;
		expected.ret = -1;
	}
	ok(ended && same(&got, &expected) && (got.ret != -1 || got.error == EAGAIN),
	   "%s, by %s, stepped: %d steps, returns %d", op->name,
	   mode == RSEQ_PERCPU_CPU_ID ? "CPU" : "mm_cid", steps, got.ret);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || sched_setaffinity(0, sizeof(set), &set) ||
	    !percpu_thread_area(RSEQ_PERCPU_CPU_ID)) {
		printf("# no sequences\n");
		return TAP_SKIP;
	}
	for (int m = RSEQ_PERCPU_CPU_ID; m <= RSEQ_PERCPU_MM_CID; m++) {
		if (!percpu_thread_area((enum rseq_percpu_mode)m))
			continue;
		mode = m;
		place = percpu_current_index(mode);
		for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
			interrupt_everywhere(&ops[i], false);
			interrupt_everywhere(&ops[i], true);
			step_everywhere(&ops[i]);
		}
	}
	return tap_end();
}
