// SPDX-License-Identifier: GPL-2.0
/* Keeping a CPU busy, in user mode. */
#include "cpu_opv_bench.h"
#include <sys/wait.h>

/* Shared with the process. */
static struct {
	unsigned long rounds;
	bool stop;
} *shared;

static pthread_t thread;
static pid_t process;

/*
 * QEMU executes the CPUs in turn, each until it idles, its share of the time to the next timer is
 * over, or it executes a pause. Without pauses, a caller on another CPU that waits would wait until
 * a spinner has used up its share, half a millisecond.
 */
static void *spin(void *arg)
{
	bench_pin(AWAY);
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		__atomic_add_fetch(&shared->rounds, 1, __ATOMIC_RELAXED);
		bench_loop(200);
		bench_relax();
	}
	return NULL;
}

static void prepare(void)
{
	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	shared->rounds = 0;
	shared->stop = false;
}

static void wait_for_start(void)
{
	while (!__atomic_load_n(&shared->rounds, __ATOMIC_RELAXED))
		bench_rest();
}

static void tell_to_stop(void)
{
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
}

void start_thread(void)
{
	prepare();
	thread = bench_thread(spin, NULL);
	wait_for_start();
}

void stop_thread(void)
{
	tell_to_stop();
	pthread_join(thread, NULL);
}

void start_process(void)
{
	prepare();
	process = fork();
	if (process < 0)
		err(1, "fork");
	if (!process) {
		spin(NULL);
		_exit(0);
	}
	wait_for_start();
}

void stop_process(void)
{
	tell_to_stop();
	if (waitpid(process, NULL, 0) != process)
		err(1, "waitpid");
}
