// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): bystanders: see cpu_opv_bystander.h. */
#define _GNU_SOURCE
#include <grp.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest.h"

#define PACE_NS	35000	/* of each CPU */

static struct spinner fillers[MAX_CPUS];
static pid_t pacer;

long long time_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

bool times_new(struct times *times, int max)
{
	size_t size = max * sizeof(*times->ns);

	times->nr = 0;
	times->max = max;
	times->ns = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return times->ns != MAP_FAILED;
}

void times_add(struct times *times, long ns)
{
	if (times->nr < times->max)
		times->ns[times->nr++] = ns;
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

long times_rank(const struct times *times, int permille)
{
	long *sorted = malloc(times->nr * sizeof(*sorted)), ns = -1;

	if (sorted && times->nr) {
		memcpy(sorted, times->ns, times->nr * sizeof(*sorted));
		qsort(sorted, times->nr, sizeof(*sorted), compare);
		ns = sorted[(long)(times->nr - 1) * permille / 1000];
	}
	free(sorted);
	return ns;
}

long times_worst(const struct times *times)
{
	return times_rank(times, 1000);
}

long median(long *values, int nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[nr / 2];
}

void supervise(void)
{
	struct sched_param param = { .sched_priority = 90 };

	pin(0, cpus[nr_cpus - 1]);
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

long interrupts(const char *name, int cpu)
{
	FILE *f = fopen("/proc/interrupts", "re");
	char line[8192], *word, *save;
	int column = -1;
	long count = -1;

	/* There are columns for CPUs that are online only. */
	if (f && fgets(line, sizeof(line), f)) {
		int i = 0;

		for (word = strtok_r(line, "\n ", &save); word;
		     word = strtok_r(NULL, "\n ", &save), i++) {
			if (!strncmp(word, "CPU", 3) && atoi(word + 3) == cpu)
				column = i;
		}
	}
	while (f && column >= 0 && count < 0 && fgets(line, sizeof(line), f)) {
		word = strtok_r(line, "\n: ", &save);
		if (!word || strcmp(word, name))
			continue;
		for (int i = 0; i <= column; i++)
			word = strtok_r(NULL, "\n ", &save);
		count = word ? atol(word) : -1;
	}
	if (f)
		fclose(f);
	return count;
}

void gate_wait(struct gate *gate)
{
	while (!__atomic_load_n(&gate->open, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &gate->open, FUTEX_WAIT, 0, NULL, NULL, 0);
}

void gate_open(struct gate *gate)
{
	__atomic_store_n(&gate->open, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &gate->open, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

bool children_start(struct children *children, int nr, int (*fn)(void *), void *arg)
{
	children->pids = calloc(nr, sizeof(*children->pids));
	if (!children->pids)
		return false;
	for (children->nr = 0; children->nr < nr; children->nr++) {
		pid_t pid = start_child(fn, arg);

		if (pid < 0)
			return false;
		children->pids[children->nr] = pid;
	}
	return true;
}

int children_end(struct children *children)
{
	int passed = 0, status;

	for (int i = 0; i < children->nr; i++) {
		if (wait_child(children->pids[i], &status, 10000))
			passed += status == 0;
		else
			kill_child(children->pids[i], 10000);
	}
	free(children->pids);
	return passed;
}

int become_nobody(void)
{
	pid_t parent = getppid();

	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return errno;
	/* That was cleared. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == parent ? 0 : ESRCH;
}

int make_vec(enum vector kind, struct cpu_op *vec, char *mem)
{
	switch (kind) {
	case NO_OPS:
		return 0;
	case ONE_ADD:
		vec[0] = cpu_op_plus(mem, 1, 8);
		return 1;
	case LONG:
		for (int i = 0; i < CPU_OP_VEC_LEN_MAX - 1; i++)
			vec[i] = cpu_op_plus(mem + 8 * i, 1, 8);
		vec[CPU_OP_VEC_LEN_MAX - 1] = cpu_op_memcpy(mem, mem + page_size,
							    CPU_OP_DATA_LEN_MAX);
		return CPU_OP_VEC_LEN_MAX;
	case MAXIMAL:
		maximal_vec(vec, mem);
		return CPU_OP_VEC_LEN_MAX;
	}
	return 0;
}

struct thread {
	struct callers *callers;
	int nr;
	pthread_t thread;
};

/* Returns the CPU to call for. */
static int aim(const struct callers *callers, int target, int start)
{
	cpu_set_t set;

	pin(0, start);
	if (target == OWN_CPU)
		return start;
	if (!callers->pinned) {
		CPU_ZERO(&set);
		CPU_SET(start, &set);
		CPU_SET(target, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	return target;
}

/* A CPU that takes turns lets the next one execute. */
static void end_turn(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/*
 * Not on the last of cpus[] either, where the test itself runs, if there are
 * enough.
 */
static int caller_cpu(int nr)
{
	return nr_cpus < 4 ? cpus[2] : cpus[2 + nr % (nr_cpus - 3)];
}

static void *call_often(void *arg)
{
	struct thread *thread = arg;
	struct callers *callers = thread->callers;
	struct caller *c = &callers->callers[thread->nr];
	int start = caller_cpu(thread->nr);
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	char *mem = maximal_memory(MAP_PRIVATE);
	int cnt, target, cpu;

	if (!mem) {
		c->error = ENOMEM;
		return NULL;
	}
	cnt = make_vec(callers->vector, vec, mem);
	target = callers->target;
	cpu = aim(callers, target, start);
	__atomic_add_fetch(&callers->ready, 1, __ATOMIC_RELEASE);
	for (; !__atomic_load_n(&callers->stop, __ATOMIC_RELAXED); end_turn()) {
		int now = __atomic_load_n(&callers->target, __ATOMIC_RELAXED);

		if (now != target) {
			target = now;
			cpu = aim(callers, target, start);
		}
		/* There it would have a right to time like any other. */
		if (target != OWN_CPU && current_cpu() == target)
			aim(callers, target, start);
		if (!cpu_opv(vec, cnt, cpu, 0)) {
			c->done[target != OWN_CPU]++;
		} else if (errno == EBUSY) {
			c->busy++;
		} else if (errno == EAGAIN) {
			c->again++;
		} else {
			c->error = errno;
			break;
		}
	}
	return NULL;
}

static int run_callers(void *arg)
{
	struct thread threads[MAX_CALLERS];
	struct callers *callers = arg;

	if (become_nobody())
		callers->callers[0].error = errno;
	for (int i = 0; i < callers->nr; i++) {
		threads[i] = (struct thread) { .callers = callers, .nr = i };
		if (pthread_create(&threads[i].thread, NULL, call_often, &threads[i]))
			callers->callers[0].error = EAGAIN;
	}
	for (;;)
		pause();
	return 0;
}

void callers_aim(struct callers *callers, int target)
{
	__atomic_store_n(&callers->target, target, __ATOMIC_RELAXED);
}

/* Returns when all of them call, or NULL. */
struct callers *callers_start(const struct callers *like)
{
	struct callers *callers = mmap(NULL, sizeof(*callers), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (callers == MAP_FAILED)
		return NULL;
	*callers = *like;
	callers->pid = start_child(run_callers, callers);
	if (callers->pid < 0 || !wait_until(&callers->ready, callers->nr))
		return NULL;
	if (callers->cgroup) {
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", callers->pid);
		if (!write_text(callers->cgroup, pid))
			return NULL;
	}
	return callers;
}

/* What became of them can be read later. */
void callers_stop(struct callers *callers)
{
	__atomic_store_n(&callers->stop, true, __ATOMIC_RELAXED);
	kill_child(callers->pid, 20000);
	callers->pid = 0;
}

long callers_done(const struct callers *callers)
{
	long done = 0;

	for (int i = 0; i < callers->nr; i++)
		done += callers->callers[i].done[1];
	return done;
}

long callers_refused(const struct callers *callers)
{
	long refused = 0;

	for (int i = 0; i < callers->nr; i++)
		refused += callers->callers[i].busy;
	return refused;
}

int callers_error(const struct callers *callers)
{
	for (int i = 0; i < callers->nr; i++) {
		if (callers->callers[i].error)
			return callers->callers[i].error;
	}
	return 0;
}

long long callers_spent_ns(const struct callers *callers)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(callers->pid, &clock) || clock_gettime(clock, &ts))
		return -1;
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static struct spinner there, control;

bool observers_start(int policy)
{
	for (int i = 2; i < nr_cpus; i++) {
		if (!spinner_start(&fillers[i], cpus[i], SCHED_IDLE))
			return false;
	}
	return spinner_start(&control, cpus[1], policy) &&
	       spinner_start(&there, TARGET, policy);
}

void observers_stop(void)
{
	for (int i = 2; i < nr_cpus; i++)
		spinner_stop(&fillers[i]);
	spinner_stop(&control);
	spinner_stop(&there);
}

struct progress progress_now(void)
{
	return (struct progress) {
		.ns = time_ns(),
		.there = there.pid > 0 ? *there.rounds : 0,
		.control = control.pid > 0 ? *control.rounds : 0,
	};
}

struct progress progress_since(const struct progress *start)
{
	struct progress now = progress_now();

	now.ns -= start->ns;
	now.there -= start->there;
	now.control -= start->control;
	return now;
}

double progress_lost(const struct progress *without, const struct progress *with)
{
	return 1 - (double)with->there / with->control * without->control / without->there;
}

/* Sleeps for a moment, again and again. */
static int keep_pace(void *arg)
{
	struct sched_param param = { .sched_priority = 80 };
	long long next = time_ns(), pace = PACE_NS * nr_cpus;

	pin(0, cpus[nr_cpus - 1]);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		return KSFT_FAIL;
	for (;;) {
		struct timespec ts;

		next += pace;
		if (next < time_ns())
			next = time_ns() + pace;
		ts.tv_sec = next / 1000000000;
		ts.tv_nsec = next % 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
	return KSFT_FAIL;
}

bool pacer_start(void)
{
	pacer = start_child(keep_pace, NULL);
	return pacer > 0;
}

void pacer_stop(void)
{
	if (pacer > 0)
		kill_child(pacer, 5000);
	pacer = 0;
}
