// SPDX-License-Identifier: GPL-2.0
/*
 * What a vector for a concurrency ID costs, by who has that.
 *
 * Two CPUs are possible, so there are two IDs: the caller's, and the other one. IDs belong to
 * threads while there are no more of those than CPUs, and to CPUs from then on.
 */
#include "cpu_opv_bench.h"
#include <stddef.h>
#include <sys/rseq.h>
#include <sys/wait.h>

#define MANY_THREADS	1000

#define MM_CID_OFFSET	24	/* of struct rseq */

static int sleeper[2];		/* a pipe: the thread at its end takes its turn for each byte */

static int own_cid(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	return *(volatile int *)(area + MM_CID_OFFSET);
}

static uint64_t sample_own(const struct place *place, const void *vector)
{
	return sample_flags(place, vector, own_cid(), CPU_OP_MM_CID_FLAG);
}

static uint64_t sample_other(const struct place *place, const void *vector)
{
	return sample_flags(place, vector, !own_cid(), CPU_OP_MM_CID_FLAG);
}

/* Before the call, the sleeper gets the other ID, and goes back to sleep on AWAY. */
static uint64_t sample_slept(const struct place *place, const void *vector)
{
	if (write(sleeper[1], "", 1) != 1)
		err(1, "write");
	bench_rest();
	return sample_other(place, vector);
}

static void *sleep_on_away(void *arg)
{
	char byte;

	bench_pin(AWAY);
	while (read(sleeper[0], &byte, 1) == 1)
		;
	return NULL;
}

static void *wait_forever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void measure_cid(const char *where, sample_fn sample)
{
	const struct place place = { where, PLACE_IDLE, AWAY, 200 };

	measure("add", &place, sample, find_vector("add"));
}

static void measure_sleeping(const char *where)
{
	pthread_t thread;

	if (pipe(sleeper))
		err(1, "pipe");
	thread = bench_thread(sleep_on_away, NULL);
	measure_cid(where, sample_slept);
	close(sleeper[1]);
	pthread_join(thread, NULL);
	close(sleeper[0]);
}

static void measure_running(const char *where)
{
	start_thread();
	measure_cid(where, sample_other);
	stop_thread();
}

static void measure_all(void)
{
	measure_cid("cid-own", sample_own);
	measure_cid("cid-nobody", sample_other);
	measure_sleeping("cid-blocked");
	measure_running("cid-running");

	for (int i = 0; i < MANY_THREADS; i++)
		bench_thread(wait_forever, NULL);
	measure_cid("cid-own-many", sample_own);
	measure_sleeping("cid-blocked-many");
	measure_running("cid-running-many");
}

/* In a process of its own, for its threads. */
void measure_cids(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		measure_all();
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "measuring by ID failed");
}
