// SPDX-License-Identifier: GPL-2.0
/* Runs one case in a child process, and does to it what a tracer can do. */
#include <elf.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../parity/run.h"
#include "fuzz.h"

#define ATTEMPTS	50
#define DELAY_US	20	/* the child is in its section by then, or in up to five times that */

/* ---- the tracer ---- */

static void jump(pid_t pid, unsigned long ip)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov))
		return;
#ifdef __x86_64__
	regs.rip = ip;
#else
	regs.eip = ip;
#endif
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &iov);
}

static int tracer_deed(pid_t pid, int sig)
{
	struct rng r = { fuzz->deed_seed };
	unsigned long ip;

	switch (fuzz->deed) {
	case DEED_WRITE:
		write_something(&r);
		return sig;
	case DEED_JUMP:
		ip = chance(&r, 1, 2) ? (unsigned long)fuzz_commit : fuzz_label(&r);
		if (ip == (unsigned long)fuzz_spin)
			ip = (unsigned long)fuzz_ud2;	/* nobody told it how often */
		note("jump", "%s", fuzz_ip_name(ip));
		jump(pid, ip);
		return chance(&r, 1, 2) ? sig : 0;
	case DEED_SWALLOW:
		return 0;
	default:
		return sig;
	}
}

static void on_stop(pid_t pid, int sig)
{
	siginfo_t info = { 0 };

	ptrace(PTRACE_GETSIGINFO, pid, NULL, &info);
	note("stop", "%d code:%d ip:%s", sig, info.si_code, fuzz_ip_name(traced_ip(pid)));
	note_last_area("stop.area");
	if (sig == SIGTRAP && info.si_code == SI_USER)
		sig = 0;	/* after execve(2) */
	else if (fuzz->armed)
		sig = tracer_deed(pid, sig);
	fuzz->armed = 0;
	ptrace(PTRACE_CONT, pid, NULL, (void *)(long)sig);
}

/* ---- the driver ---- */

static void child_main(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fuzz->pid = getpid();
	go_on(0);
}

static void note_stats(const long before[NR_STATS], const long after[NR_STATS])
{
	char buf[512];
	size_t len = 0;

	for (size_t i = 0; i < NR_STATS; i++) {
		if (after[i] != before[i])
			add(buf, sizeof(buf), &len, " %s:%ld", stat_names[i], after[i] - before[i]);
	}
	note("stats", "%s", len ? buf + 1 : "none");
}

uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}

/* Where and when is left to chance. */
static bool ran_out_of_time(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
}

/*
 * Wait for the child and for what it left behind, in whatever order they end. Returns how
 * often they were preempted.
 */
static long reap_all(pid_t child, int *end)
{
	struct rusage usage;
	long switches = 0;
	int status;
	pid_t pid;

	while ((pid = wait4(-child, &status, __WALL, &usage)) > 0) {
		if (WIFSTOPPED(status)) {
			on_stop(pid, WSTOPSIG(status));
			continue;
		}
		switches += usage.ru_nivcsw;
		if (pid == child || ran_out_of_time(status))
			*end = status;
	}
	return switches;
}

/* Returns false if something disturbed it. */
static bool attempt(uint64_t seed, uint64_t number, uint32_t mask, long delay)
{
	static long before[NR_STATS], after[NR_STATS];
	long switches;
	int status = 0;
	pid_t pid;

	memory_reset();
	fuzz->seed = seed;
	fuzz->number = number;
	fuzz->mask = mask;
	fuzz->delay = delay;
	read_stats(before);
	pid = fork();
	if (pid < 0)
		return false;
	if (!pid)
		child_main();
	setpgid(pid, pid);
	switches = reap_all(pid, &status);
	rival_dismiss();
	if (ran_out_of_time(status)) {
		run->len = 0;
		note("end", "never");
		return true;
	}
	read_stats(after);
	note_last_area("end.area");
	note_stats(before, after);
	if (WIFSIGNALED(status))
		note("end", "killed:%d", WTERMSIG(status));
	else
		note("end", "exit:%d", WEXITSTATUS(status));
	snprintf(run->why, sizeof(run->why), "%ld switches, %ld meant to be%s", switches,
		 fuzz->switches, fuzz->late ? ", the rival too early or too late" : "");
	if (fuzz->late)
		return false;
	return fuzz->uncounted || (switches <= fuzz->switches &&
				   switches >= fuzz->switches - fuzz->put_off);
}

/*
 * Leaves the record in run->log. What cannot be counted has to be the same twice in a row.
 * False: no attempt was undisturbed.
 */
bool run_fuzz(uint64_t seed, uint64_t number, uint32_t mask)
{
	uint64_t last = 0, hash;

	for (int i = 0; i < ATTEMPTS; i++) {
		/* What disturbs it has to be done some time. */
		if (i)
			sleep_us(300 * i);
		if (!attempt(seed, number, mask, DELAY_US * (1 + i % 5)))
			continue;
		if (!fuzz->uncounted)
			return true;
		hash = hash_of(run->log);
		if (hash == last)
			return true;
		last = hash;
	}
	return false;
}
