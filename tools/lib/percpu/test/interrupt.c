// SPDX-License-Identifier: GPL-2.0
/*
 * Each operation is interrupted once at each of its instructions, by another thread that changes
 * the same data, or by a signal handler that does: what comes out has to be what comes out of one
 * after the other.
 *
 * A child does the operation, this process traces it. A thread that is stepped never gets through a
 * sequence: it is taken for one that runs no sequence as long as it is stepped, by a rseq_cs of 0,
 * and has its rseq_cs again at the instruction where it is interrupted.
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
#define MAX_STEPS	10000

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

static pid_t start(const struct op *op)
{
	pid_t child;

	current = op;
	reset(op);
	child = fork();
	if (child)
		return child;
	signal(SIGUSR1, handler);
	place = percpu_current_index(mode);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
		_exit(1);
	shared->ret = op->run();
	shared->error = errno;
	_exit(0);
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
	int status;

	return !ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) &&
	       waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGTRAP;
}

/* A sequence that the child is in, or was. */
struct sequence {
	unsigned long descriptor, start, end;
	bool entered, left;
};

static void look(struct sequence *s, pid_t child, unsigned long ip, unsigned long rseq_cs)
{
	unsigned long descriptor = word_at(child, rseq_cs);

	if (descriptor) {
		s->descriptor = descriptor;
		s->start = word_at(child, descriptor + 8);
		s->end = s->start + word_at(child, descriptor + 16);
		ptrace(PTRACE_POKEDATA, child, rseq_cs, 0);
	}
	if (s->descriptor && ip >= s->start && ip < s->end)
		s->entered = true;
	else if (s->entered)
		s->left = true;
}

enum outcome { RIGHT, WRONG, BROKEN, END };

/* Interrupts the child at instruction number @at of the operation. */
static enum outcome interrupt(const struct op *op, int at, bool by_signal, bool *inside)
{
	unsigned long rseq_cs = (unsigned long)&percpu_thread_area(mode)->rseq_cs;
	unsigned long back = 0;
	struct sequence s = { 0 };
	struct state got, expected;
	pid_t child = start(op);
	int status, steps = 0, number = -1;

	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return BROKEN;
	while (number < at) {
		struct user_regs_struct regs;

		if (steps++ > MAX_STEPS || !step(child)) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return BROKEN;
		}
		regs = regs_of(child);
		if (!back && regs.rip == (unsigned long)op->run)
			back = word_at(child, regs.rsp);
		if (!back)
			continue;
		if (regs.rip == back) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return s.entered ? END : BROKEN;
		}
		look(&s, child, regs.rip, rseq_cs);
		number++;
	}
	*inside = s.entered && !s.left;
	if (*inside)
		ptrace(PTRACE_POKEDATA, child, rseq_cs, s.descriptor);
	if (!by_signal)
		op->interfere();
	ptrace(PTRACE_DETACH, child, NULL, by_signal ? SIGUSR1 : 0);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status))
		return BROKEN;
	if (shared->nested != by_signal)
		return WRONG;
	got = *shared;
	expected = in_order(op, s.left);
	/* A counter never mixes sequences and atomic instructions on one word. */
	if (same(&got, &expected) && (op->run != counter_add || got.counter.by_atomics >= *inside))
		return RIGHT;
	printf("# at %d: %d (errno %d), v %ld, v2 %ld; expected %d, v %ld, v2 %ld\n", at, got.ret,
	       got.error, (long)got.v, (long)got.v2, expected.ret, (long)expected.v,
	       (long)expected.v2);
	return WRONG;
}

static void interrupt_everywhere(const struct op *op, bool by_signal)
{
	int at, inside = 0, wrong = 0;
	enum outcome outcome;

	for (at = 0; ; at++) {
		bool in = false;

		outcome = interrupt(op, at, by_signal, &in);
		if (outcome == END || outcome == BROKEN)
			break;
		inside += in;
		wrong += outcome == WRONG;
	}
	/* At the least: two for the index, one for the change. */
	ok(outcome == END && !wrong && inside >= 3,
	   "%s, by %s, %s: %d instructions, %d of them in the sequence, %d wrong", op->name,
	   mode == RSEQ_PERCPU_CPU_ID ? "CPU" : "mm_cid", by_signal ? "signal" : "thread", at,
	   inside, wrong);
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
		}
	}
	return tap_end();
}
