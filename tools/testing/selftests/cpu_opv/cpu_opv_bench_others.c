// SPDX-License-Identifier: GPL-2.0
/* What programs without cpu_opv(2) do to update the data of another CPU, or to need no CPU. */
#include "cpu_opv_bench.h"
#include <linux/membarrier.h>

#define ROUND	200

static volatile intptr_t word;

/* Go there, do it, come back. */
static uint64_t sample_setaffinity(void)
{
	cpu_set_t home, away;
	uint64_t start;

	CPU_ZERO(&home);
	CPU_SET(HOME, &home);
	CPU_ZERO(&away);
	CPU_SET(AWAY, &away);
	start = bench_count();
	bench_syscall(__NR_sched_setaffinity, 0, sizeof(away), (long)&away, 0);
	word++;
	bench_syscall(__NR_sched_setaffinity, 0, sizeof(home), (long)&home, 0);
	return bench_since(start);
}

/* Abort what runs there, then exclude it by an atomic operation, which it has to use, too. */
static uint64_t sample_membarrier(void)
{
	uint64_t start = bench_count();
	intptr_t old;
	long ret;

	ret = bench_syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
			    MEMBARRIER_CMD_FLAG_CPU, AWAY, 0);
	old = word;
	__atomic_compare_exchange_n(&word, &old, old + 1, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	start = bench_since(start);
	if (ret)
		errx(1, "membarrier: %s", strerror(-ret));
	return start;
}

/* Nobody else wants the lock. */
static uint64_t sample_mutex(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	uint64_t start = bench_count();

	pthread_mutex_lock(&mutex);
	word++;
	pthread_mutex_unlock(&mutex);
	return bench_since(start);
}

static void measure(const char *name, uint64_t (*sample)(void))
{
	uint64_t samples[ROUND];

	for (size_t i = 0; i < ROUND; i++) {
		go_home();
		bench_rest();
		samples[i] = sample();
	}
	bench_report(name, samples, ROUND, 1);
}

void measure_others(void)
{
	long ret = bench_syscall(__NR_membarrier,
				 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0, 0);

	if (ret)
		errx(1, "cannot register for membarrier: %s", strerror(-ret));
	measure("mutex/local", sample_mutex);
	measure("sched_setaffinity/remote-idle", sample_setaffinity);
	measure("membarrier/remote-idle", sample_membarrier);
	start_spinner();
	measure("sched_setaffinity/remote-busy", sample_setaffinity);
	measure("membarrier/remote-busy", sample_membarrier);
	stop_spinner();
	go_home();
}
