// SPDX-License-Identifier: GPL-2.0
/*
 * What programs without cpu_opv(2) do to update the data of another CPU, or to need no CPU. Taking
 * over the list of another CPU is what allocators do: with a fence, and by one call.
 */
#include "cpu_opv_bench.h"
#include <linux/membarrier.h>

/* The data of AWAY. */
static struct {
	intptr_t word;
	void *list;
	bool stopped;		/* restartable sequences there have to leave the list alone */
} data __attribute__((aligned(64)));

/* Go there, do it, come back. */
static uint64_t sample_setaffinity(const struct place *place, const void *arg)
{
	cpu_set_t home, away;
	uint64_t start;

	CPU_ZERO(&home);
	CPU_SET(HOME, &home);
	CPU_ZERO(&away);
	CPU_SET(AWAY, &away);
	start = bench_count();
	bench_syscall(__NR_sched_setaffinity, 0, sizeof(away), (long)&away, 0);
	data.word++;
	bench_syscall(__NR_sched_setaffinity, 0, sizeof(home), (long)&home, 0);
	return bench_since(start);
}

static __always_inline long fence(void)
{
	return bench_syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
			     MEMBARRIER_CMD_FLAG_CPU, AWAY, 0);
}

static uint64_t checked(const char *what, long ret, uint64_t count)
{
	if (ret)
		errx(1, "%s: %s", what, strerror(-ret));
	return count;
}

/* Abort what runs there, then exclude it by an atomic operation, which it has to use, too. */
static uint64_t sample_membarrier(const struct place *place, const void *arg)
{
	uint64_t start = bench_count();
	long ret = fence();
	intptr_t old = data.word;

	__atomic_compare_exchange_n(&data.word, &old, old + 1, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	return checked("membarrier", ret, bench_since(start));
}

/* As TCMalloc, with one fence: who begins a sequence now sees the flag, others are aborted. */
static uint64_t sample_take_by_fence(const struct place *place, const void *arg)
{
	uint64_t start, count;
	void *list;
	long ret;

	data.list = &data;
	start = bench_count();
	__atomic_store_n(&data.stopped, true, __ATOMIC_RELAXED);
	ret = fence();
	list = data.list;
	data.list = NULL;
	__atomic_store_n(&data.stopped, false, __ATOMIC_RELEASE);
	count = bench_since(start);
	if (!list)
		errx(1, "no list");
	return checked("membarrier", ret, count);
}

static uint64_t sample_take_by_call(const struct place *place, const void *arg)
{
	void *list, *none = NULL;
	uint64_t start;
	long ret;

	data.list = &data;
	start = bench_count();
	list = __atomic_load_n(&data.list, __ATOMIC_RELAXED);
	{
		struct cpu_op ops[] = {
			cpu_op_eq(&data.list, &list, sizeof(list)),
			cpu_op_memcpy(&data.list, &none, sizeof(none)),
		};

		ret = bench_syscall(__NR_cpu_opv, (long)ops, NR_ELEMS(ops), AWAY, 0);
	}
	return checked("cpu_opv", ret, bench_since(start));
}

/* Nobody else wants the lock. */
static uint64_t sample_mutex(const struct place *place, const void *arg)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	uint64_t start = bench_count();

	pthread_mutex_lock(&mutex);
	data.word++;
	pthread_mutex_unlock(&mutex);
	return bench_since(start);
}

static const struct {
	const char *name;
	int kinds;		/* of places */
	sample_fn sample;
} others[] = {
	{ "mutex", PLACE_LOCAL, sample_mutex },
	{ "sched_setaffinity", PLACE_IDLE | PLACE_BUSY, sample_setaffinity },
	{ "membarrier-cas", PLACE_IDLE | PLACE_BUSY, sample_membarrier },
	{ "take-list-fence", PLACE_IDLE | PLACE_BUSY | PLACE_OFFLINE, sample_take_by_fence },
	{ "take-list-cpu_opv", PLACE_IDLE | PLACE_BUSY | PLACE_OFFLINE, sample_take_by_call },
};

void init_others(void)
{
	checked("cannot register for membarrier",
		bench_syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
			      0, 0, 0), 0);
}

void measure_others(const struct place *place)
{
	for (size_t i = 0; i < NR_ELEMS(others); i++) {
		if (others[i].kinds & place->kind)
			measure(others[i].name, place, others[i].sample, NULL);
	}
}
