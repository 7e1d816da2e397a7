// SPDX-License-Identifier: GPL-2.0
/*
 * Runs one case of the parity tests in a child process and observes it.
 *
 * The child is a real-time task on a CPU of its own. Where a slow machine spoils
 * the order of events, the attempt is thrown away and repeated.
 */
#include <elf.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "parity.h"
#include "run.h"

#define ATTEMPTS	20

/* ---- the child ---- */

unsigned long get_ip(const ucontext_t *uc)
{
#ifdef __x86_64__
	return uc->uc_mcontext.gregs[REG_RIP];
#else
	return uc->uc_mcontext.gregs[REG_EIP];
#endif
}

void set_ip(ucontext_t *uc, const char *ip)
{
#ifdef __x86_64__
	uc->uc_mcontext.gregs[REG_RIP] = (unsigned long)ip;
#else
	uc->uc_mcontext.gregs[REG_EIP] = (unsigned long)ip;
#endif
}

/* Entered through parity_handler. */
void parity_on_signal(int sig, siginfo_t *info, ucontext_t *uc)
{
	unsigned long ip = get_ip(uc);

	run->seen |= 1U << sig;
	note("handler", "signal:%d code:%d ip:%s", sig, info->si_code, ip_name(ip));
	note_area("handler.area");
	if (sig == SIGSEGV)
		_exit(EXIT_CAUGHT);
	/* What did not abort goes on behind the instruction that waits. */
	if (sig == SIGILL && ip == (unsigned long)parity_cs_ud2)
		set_ip(uc, parity_cs_commit);
	if (sig == SIGUSR2 && ip == (unsigned long)parity_cs_spin)
		set_ip(uc, parity_cs_commit);
	else if (sig == SIGUSR2)
		run->late = 1;
}

static void on_signals(void)
{
	static const int sigs[] = { SIGSEGV, SIGILL, SIGUSR1, SIGUSR2, SIGTRAP };
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_sp = run + 1, .ss_size = 4 * getpagesize() };

	sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))parity_handler;
	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		sigfillset(&sa.sa_mask);
		/* SIGSEGV on top of another signal is part of what is observed. */
		if (sigs[i] != SIGSEGV)
			sigdelset(&sa.sa_mask, SIGSEGV);
		sigaction(sigs[i], &sa, NULL);
	}
}

static void child_main(const struct test_case *tc, bool gate)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	while (gate && !run->go)
		sleep_us(100);
	set_cpu(0, facts.cpu_a);
	set_fifo(0, PRIO_CHILD);
	on_signals();
	tc->child(tc);
	_exit(0);
}

/* ---- the parent ---- */

/* Instruction pointer of a stopped tracee. */
unsigned long traced_ip(pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov))
		return 0;
#ifdef __x86_64__
	return regs.rip;
#else
	return regs.eip;
#endif
}

/* A traced child stopped: record where, and let it go on. */
static void on_stop(struct child *c)
{
	int sig = WSTOPSIG(c->status), event = c->status >> 16;
	siginfo_t info = { 0 };

	if (event == PTRACE_EVENT_EXIT) {
		note("traced.exit", "ip:%s", ip_name(traced_ip(c->pid)));
		sig = 0;
	} else if (event) {
		sig = 0;
	} else {
		ptrace(PTRACE_GETSIGINFO, c->pid, NULL, &info);
		note("traced.stop", "signal:%d code:%d ip:%s", sig, info.si_code,
		     ip_name(traced_ip(c->pid)));
	}
	ptrace(PTRACE_CONT, c->pid, NULL, (void *)(long)sig);
}

/* Wait at most @ms for the child's end. */
bool reap(struct child *c, long ms)
{
	struct timespec now, end, left;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000;
	while (!c->done) {
		struct rusage usage;
		long ns;

		while (wait4(c->pid, &c->status, WNOHANG | __WALL, &usage) == c->pid) {
			if (!WIFSTOPPED(c->status)) {
				c->switches = usage.ru_nivcsw;
				c->done = true;
				return true;
			}
			on_stop(c);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = (end.tv_sec - now.tv_sec) * 1000000000L + end.tv_nsec - now.tv_nsec;
		if (ns <= 0)
			break;
		left.tv_sec = ns / 1000000000;
		left.tv_nsec = ns % 1000000000;
		sigtimedwait(&chld, NULL, &left);
	}
	return c->done;
}

/*
 * What the child left behind is the parent's, and nobody else's: the task that
 * gets orphans otherwise may use rseq itself.
 */
static void reap_partners(const struct child *c)
{
	kill(-c->pid, SIGKILL);
	while (waitpid(-c->pid, NULL, __WALL) > 0)
		;
}

/* Any context switch shows in the statistics: were there only those wanted? */
static bool undisturbed(const struct test_case *tc, const struct child *c)
{
	if (tc->switches < 0 || tc->stats != STATS_EXACT || !run->started)
		return true;
	return c->switches - run->switches == c->preemptions + tc->switches;
}

/* Returns false if it does not count. */
static bool attempt(const struct test_case *tc, struct child *c, bool traced)
{
	bool gate = traced || tc->drive == DRIVE_MIGRATE;

	memset(run, 0, sizeof(*run));
	poison_area();
	memset(cs_page, POISON, getpagesize());
	*c = (struct child){ 0 };
	set_cpu(0, facts.cpu_b);
	c->pid = fork();
	if (c->pid < 0)
		return false;
	if (!c->pid)
		child_main(tc, gate);
	if (traced)
		ptrace(PTRACE_SEIZE, c->pid, NULL,
		       (void *)(long)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL));
	if (tc->drive != DRIVE_MIGRATE)
		run->go = 1;
	drive(tc, c);
	if (!reap(c, CHILD_MS)) {
		kill(c->pid, SIGKILL);
		reap(c, CHILD_MS);
	}
	run->stop = 1;
	reap_partners(c);
	return !run->late && (traced || undisturbed(tc, c));
}

static void name_end(char *buf, size_t size, int status)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "killed:%d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == EXIT_CAUGHT)
		snprintf(buf, size, END_CAUGHT);
	else if (WEXITSTATUS(status))
		snprintf(buf, size, "exit:%d", WEXITSTATUS(status));
	else
		snprintf(buf, size, END_OK);
}

static void note_stats(const struct test_case *tc, const long before[NR_STATS],
		       const long after[NR_STATS])
{
	char buf[512];
	size_t len = 0;

	for (size_t i = 0; i < NR_STATS; i++) {
		long delta = after[i] - before[i];

		if (after[i] < 0)
			continue;
		if (tc->stats == STATS_EXACT)
			add(buf, sizeof(buf), &len, " %s:%ld", stat_names[i], delta);
		else
			add(buf, sizeof(buf), &len, " %s:%s", stat_names[i], delta ? "some" : "0");
		if (!strcmp(stat_names[i], "fixup") && tc->fixups >= 0 && delta != tc->fixups) {
			char got[24], want[24];

			snprintf(got, sizeof(got), "%ld", delta);
			snprintf(want, sizeof(want), "%d", tc->fixups);
			differs("stats.fixup", got, want);
		}
	}
	note("stats", "%s", buf + 1);
}

/* One more run of a case that kills its process: where does it die? */
static void trace_death(const struct test_case *tc, struct outcome *out, size_t *len)
{
	struct child c;

	for (int i = 0; i < ATTEMPTS && !attempt(tc, &c, true); i++)
		;
	for (char *line = strtok(run->log, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strncmp(line, "traced.", 7))
			add(out->text, sizeof(out->text), len, "%s\n", line);
		if (strstr(line, "traced.exit=ip:abort")) {
			out->failed = true;
			snprintf(out->why + strlen(out->why),
				 sizeof(out->why) - strlen(out->why),
				 "%s: it went to the abort target and died there\n", line);
		}
	}
}

void run_case(const struct test_case *tc, struct outcome *out)
{
	long before[NR_STATS], after[NR_STATS];
	char end[24], buf[256];
	bool stats = false;
	struct child c;
	size_t len = 0;
	int i;

	*out = (struct outcome){ 0 };
	for (i = 0; i < ATTEMPTS; i++) {
		stats = tc->stats != STATS_NONE && read_stats(before);
		if (attempt(tc, &c, false))
			break;
	}
	if (i == ATTEMPTS)
		differs("attempts", "none in the right order", "one");
	if (stats && read_stats(after))
		note_stats(tc, before, after);
	name_end(end, sizeof(end), c.status);
	if (tc->end)
		expect_text("end", end, tc->end);
	else
		note("end", "%s", end);
	format_area(buf, sizeof(buf), alias());
	note("area", "%s", buf);
	add(out->text, sizeof(out->text), &len, "%s", run->log);
	out->failed = run->failed;
	snprintf(out->why, sizeof(out->why), "%s", run->why);
	if (WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGSEGV)
		trace_death(tc, out, &len);
}
