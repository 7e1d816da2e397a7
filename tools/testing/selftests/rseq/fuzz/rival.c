// SPDX-License-Identifier: GPL-2.0
/*
 * The rival: a task of higher priority on the child's CPU, which sleeps. The child sets
 * the timer that it waits for, without a task switch, and is preempted a little later at
 * whatever instruction it is then.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fuzz.h"

int rival_fd = -1;

static void do_deed(void)
{
	struct rng r = { fuzz->deed_seed };

	switch (fuzz->deed) {
	case DEED_WRITE:
		write_something(&r);
		break;
	case DEED_MIGRATE:
		set_cpu(fuzz->pid, facts.cpu_b);
		break;
	case DEED_SIGNAL:
		syscall(__NR_tgkill, fuzz->pid, fuzz->pid, SIGUSR1);
		break;
	default:
		break;
	}
}

/* Is the child where it wants to be interrupted? */
static bool welcome(void)
{
	return fuzz->inside && (fuzz->anywhere || !fuzz->outside);
}

static void rival(void)
{
	uint64_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_fifo(0, PRIO_RIVAL);
	fuzz->came = 1;
	while (read(rival_fd, &n, sizeof(n)) == sizeof(n)) {
		if (welcome()) {
			fuzz->switches++;
			do_deed();
		} else {
			fuzz->missed = 1;
		}
		fuzz->came = 1;
	}
	_exit(0);
}

/* Returns 0, or -1. */
int rival_start(void)
{
	pid_t pid;

	rival_fd = timerfd_create(CLOCK_MONOTONIC, 0);
	if (rival_fd < 0)
		return -1;
	pid = fork();
	if (!pid)
		rival();
	return pid > 0 && wait_for(&fuzz->came, 5000) ? 0 : -1;
}

static void set_timer(long us)
{
	struct itimerspec when = { .it_value.tv_nsec = us * 1000 };

	timerfd_settime(rival_fd, 0, &when, NULL);
}

/* The last thing to do before what the rival is to interrupt. */
void rival_wish(enum deed deed, uint64_t seed)
{
	fuzz->deed = deed;
	fuzz->deed_seed = seed;
	fuzz->came = 0;
	fuzz->wished = 1;
	set_timer(fuzz->delay);
}

/* The rival that was wished for must not come at any other time. */
void rival_cancel(void)
{
	if (!fuzz->wished)
		return;
	fuzz->wished = 0;
	if (!fuzz->came)
		set_timer(0);
	if (fuzz->missed || (fuzz->inside && !fuzz->came))
		fuzz->late = 1;
}

/* Whoever wished for it is dead, and died before or while it came. */
void rival_dismiss(void)
{
	set_timer(0);
	if (fuzz->missed)
		fuzz->uncounted = 1;
}
