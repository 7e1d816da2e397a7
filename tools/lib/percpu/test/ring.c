// SPDX-License-Identifier: GPL-2.0
/*
 * The ring of examples/ring.h: a process with a writer on each CPU, and a consumer in another one,
 * which stays on CPU 0. Each record arrives once, in order; those of a CPU that is idle then, and
 * of one that has gone offline, too.
 *
 * Without cpu_opv(2) the consumer has to go to the CPU, and cannot to one that is offline.
 */
#define _GNU_SOURCE
#include "../examples/ring.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define MANY		20000	/* records of each writer while the consumer takes them */
#define REST		100	/* and when it does not: less than a buffer has */
#define LIMIT		60	/* seconds */

static struct ring_cpu *ring;
static struct { int done; } *shared;
static uint64_t *next;		/* record, by writer */
static long wrong;

static bool go_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static void write_all(int cpu, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; ) {
		struct ring_record record = { cpu, i };

		if (!ring_write(ring, &record))
			i++;
		else if (errno == ENOSPC || errno == EAGAIN)
			usleep(100);
		else
			_exit(3);
	}
}

static void *writer(void *arg)
{
	int cpu = (int)(intptr_t)arg;

	if (go_to(cpu))
		write_all(cpu, 0, MANY);
	__atomic_fetch_add(&shared->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* A process, with a thread for each CPU that it can use; or with one, if @only is a CPU. */
static pid_t start_writers(int cpus, int only)
{
	pthread_t thread;
	pid_t child = fork();

	if (child)
		return child;
	alarm(LIMIT);
	if (only >= 0) {
		if (!go_to(only))
			_exit(2);
		write_all(only, MANY, MANY + REST);
		_exit(0);
	}
	for (int cpu = 0; cpu < cpus; cpu++)
		pthread_create(&thread, NULL, writer, (void *)(intptr_t)cpu);
	while (__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE) < cpus)
		usleep(1000);
	_exit(0);
}

/* Returns -1 if the records of @cpu cannot be had. */
static int consume(int cpu)
{
	struct ring_record *records;
	int n = ring_take(ring, cpu, &records);

	if (n < 0 && errno == ENXIO && go_to(cpu))
		n = ring_take(ring, cpu, &records);
	for (int i = 0; i < n; i++) {
		if (records[i].writer != (uint64_t)cpu || records[i].number != next[cpu])
			wrong++;
		next[cpu] = records[i].number + 1;
	}
	return n;
}

static bool ended(pid_t child, int *status)
{
	return waitpid(child, status, WNOHANG) == child;
}

static void busy(int cpus)
{
	time_t end = time(NULL) + LIMIT;
	int status = -1, errors = 0, complete = 0;
	pid_t child = start_writers(cpus, -1);

	while (!ended(child, &status) && time(NULL) < end) {
		for (int cpu = 0; cpu < cpus; cpu++)
			errors += consume(cpu) < 0;
	}
	ok(!status, "writers ended");
	for (int cpu = 0; cpu < cpus; cpu++) {
		errors += consume(cpu) < 0;
		complete += next[cpu] == MANY;
	}
	ok(complete == cpus && !wrong && !errors,
	   "%d of %d writers' records arrived, %ld wrong, %d errors", complete, cpus, wrong, errors);
}

/* What the last CPU has, while it has nothing to do, or is offline. */
static void rest(int cpu, const char *what)
{
	ok(consume(cpu) == REST && next[cpu] == MANY + REST && !wrong, "%d records of %s", REST,
	   what);
	next[cpu] = MANY;
}

static bool online(int cpu, bool on)
{
	char path[64];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY);
	done = fd >= 0 && write(fd, on ? "1" : "0", 1) == 1;
	if (fd >= 0)
		close(fd);
	return done;
}

static bool write_rest(int cpu)
{
	int status;

	next[cpu] = MANY;
	return waitpid(start_writers(0, cpu), &status, 0) > 0 && !status;
}

int main(void)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), last = cpus - 1;

	ring = ring_create();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	next = calloc(percpu_nr_indices(), sizeof(*next));
	if (!ring || shared == MAP_FAILED || !next || !percpu_available(RSEQ_PERCPU_CPU_ID) ||
	    !go_to(last) || !go_to(0))
		return TAP_SKIP;
	busy(cpus);
	ok(write_rest(last), "the last CPU's writer ended");
	rest(last, "an idle CPU");
	if (last && percpu_remote_available(RSEQ_PERCPU_CPU_ID) && write_rest(last) &&
	    online(last, false)) {
		rest(last, "an offline CPU");
		ok(online(last, true), "it is online again");
	} else {
		ok(true, "an offline CPU # SKIP no cpu_opv(2), or no right to take a CPU offline");
	}
	return tap_end();
}
