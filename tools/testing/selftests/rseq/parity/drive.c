// SPDX-License-Identifier: GPL-2.0
/*
 * What the parent does to the child of a parity test, from another CPU.
 *
 * The rival is a sleeping task of higher priority on the child's CPU. When it
 * is woken up, it preempts the child exactly once.
 */
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parity.h"
#include "run.h"

static int rival_fd = -1;	/* eventfd that wakes the rival */
static int moved_fd = -1;	/* eventfd by which it answers */
static int chld_fd = -1;	/* signalfd of SIGCHLD */

static void write_event(int fd)
{
	uint64_t n = 1;

	if (write(fd, &n, sizeof(n)) != sizeof(n))
		perror("# eventfd");
}

/*
 * What was done to the child is done when it is back in user mode: its handler
 * ran, or the kernel counts a return (@fastp: the count before).
 */
static bool settled(long fastp)
{
	return run->seen || run->outside || stat_of("fastp") != fastp;
}

/*
 * If the section does not end by itself, end it. Should the signal come too late
 * for that, its handler tells.
 */
static void release(struct child *c, long fastp)
{
	for (int i = 0; i < 5000 && !settled(fastp); i++) {
		if (reap(c, 0))
			return;
		sleep_us(200);
	}
	if (!reap(c, 10) && !run->outside)
		kill(c->pid, SIGUSR2);
}

/* Wait until the child is in its section, or ends before it. */
static bool inside(struct child *c)
{
	for (long us = 0; !run->inside && us < CHILD_MS * 1000; us += 100) {
		if (reap(c, 0))
			return false;
		sleep_us(100);
	}
	return run->inside;
}

static void rival(void)
{
	uint64_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_cpu(0, facts.cpu_a);
	while (read(rival_fd, &n, sizeof(n)) == sizeof(n)) {
		if (run->move) {
			set_cpu(run->move, facts.cpu_b);
			write_event(moved_fd);
		}
		run->preempted = 1;
	}
	_exit(0);
}

/* Returns 0, or -1. */
int start_rival(void)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	rival_fd = eventfd(0, EFD_CLOEXEC);
	moved_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	chld_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (rival_fd < 0 || moved_fd < 0 || chld_fd < 0) {
		perror("# rival");
		return -1;
	}
	if (!fork())
		rival();
	return 0;
}

static void preempt(struct child *c)
{
	run->preempted = 0;
	write_event(rival_fd);
	while (!run->preempted && !reap(c, 0))
		sleep_us(100);
	c->preemptions += run->preempted;
}

/*
 * Have the rival move the child to the other CPU while it waits for its own.
 * Nothing else may disturb it there: the parent goes out of its way first, and
 * leaves it to the watcher to see when the child is in its section.
 */
static pid_t start_watcher(pid_t child)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!run->inside)
		sleep_us(100);
	run->fastp = stat_of("fastp");
	run->move = child;
	write_event(rival_fd);
	for (;;)
		pause();
}

static void migrate(struct child *c)
{
	pid_t watcher;
	struct pollfd fds[] = { { moved_fd, POLLIN }, { chld_fd, POLLIN } };
	struct signalfd_siginfo info;
	bool moved = false;
	uint64_t n;

	/* An answer that was not waited for, because the child had ended. */
	while (read(moved_fd, &n, sizeof(n)) > 0)
		;
	watcher = start_watcher(c->pid);
	set_cpu(0, facts.cpu_a);
	run->go = 1;
	while (!reap(c, 0) && poll(fds, ARRAY_LEN(fds), CHILD_MS) > 0) {
		if (fds[1].revents && read(chld_fd, &info, sizeof(info)) < 0)
			break;
		if (fds[0].revents) {
			moved = read(moved_fd, &n, sizeof(n)) == sizeof(n);
			break;
		}
	}
	/* If it was not the rival, it was the parent, when the child ended beside it. */
	c->preemptions++;
	if (moved)
		release(c, run->fastp);
	reap(c, CHILD_MS);
	kill(watcher, SIGKILL);
	waitpid(watcher, NULL, 0);
}

/* The child calls for it by a breakpoint in front of its section. */
static void single_step(struct child *c)
{
	bool inside = false;

	while (waitpid(c->pid, &c->status, __WALL) == c->pid) {
		unsigned long ip;

		if (!WIFSTOPPED(c->status)) {
			c->done = true;
			return;
		}
		if (WSTOPSIG(c->status) != SIGTRAP) {
			ptrace(PTRACE_CONT, c->pid, NULL, (void *)(long)WSTOPSIG(c->status));
			continue;
		}
		ip = traced_ip(c->pid);
		if (ip == (unsigned long)parity_cs_start)
			inside = true;
		if (inside)
			note("step", "ip:%s", ip_name(ip));
		if (run->outside || (c->status >> 16))
			ptrace(PTRACE_CONT, c->pid, NULL, NULL);
		else
			ptrace(PTRACE_SINGLESTEP, c->pid, NULL, NULL);
	}
}

void drive(const struct test_case *tc, struct child *c)
{
	long fastp;

	switch (tc->drive) {
	case DRIVE_WAIT:
		break;
	case DRIVE_STEP:
		single_step(c);
		break;
	case DRIVE_TICK:
		while (!reap(c, 0)) {
			preempt(c);
			sleep_us(500);
		}
		break;
	case DRIVE_PREEMPT:
		if (!inside(c))
			break;
		fastp = stat_of("fastp");
		preempt(c);
		release(c, fastp);
		break;
	case DRIVE_SIGNAL:
		if (!inside(c))
			break;
		kill(c->pid, SIGUSR1);
		release(c, stat_of("fastp"));
		break;
	case DRIVE_MIGRATE:
		migrate(c);
		break;
	}
}
