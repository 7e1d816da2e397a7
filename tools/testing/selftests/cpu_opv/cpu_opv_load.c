// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): other tasks: see cpu_opv_control.h. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest.h"

#define LOAD_BYTES	CPU_OP_DATA_LEN_MAX
#define SMALL_STACK	65536

int start_small_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SMALL_STACK);
	err = pthread_create(thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return err;
}

/* Returns its pid, or -1. Its exit status is what @fn returns. */
pid_t start_child(int (*fn)(void *), void *arg)
{
	pid_t pid = fork_child();

	if (!pid)
		_exit(fn(arg));
	return pid;
}

bool wait_child(pid_t pid, int *status, long ms)
{
	long long end = time_us() + ms * 1000;

	while (waitpid(pid, status, WNOHANG) != pid) {
		if (time_us() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

/* Returns whether it was still alive and then died in time. */
bool kill_child(pid_t pid, long ms)
{
	int status;

	kill(pid, SIGKILL);
	if (!wait_child(pid, &status, ms)) {
		fail("a child is not dead %ld ms after it was killed", ms);
		return false;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	fail("a child ended before it was killed: status %#x", status);
	return false;
}

/* Returns its exit status, or -1 if it did not end in time, or not by itself. */
int run_child(int (*fn)(void *), void *arg, long ms)
{
	pid_t pid = start_child(fn, arg);
	int status;

	if (pid < 0)
		return -1;
	if (wait_child(pid, &status, ms))
		return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	kill_child(pid, 1000);
	return -1;
}

static void *shared_memory(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* The way to the CPU was lost too often: to be called again. */
static int call_again(struct cpu_op *vec, int cnt, int cpu)
{
	int ret;

	do {
		ret = cpu_opv(vec, cnt, cpu, 0);
	} while (ret < 0 && errno == EAGAIN);
	return ret;
}

int maximal_calls(void *arg)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	char *mem = maximal_memory(MAP_PRIVATE);

	if (!mem)
		return KSFT_FAIL;
	maximal_vec(vec, mem);
	while (!call_again(vec, NR_ELEMS(vec), *(int *)arg))
		;
	return KSFT_FAIL;
}

int use_every_cpu(void *arg)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX], add;
	char *mem = maximal_memory(MAP_PRIVATE);
	int counter = 0;

	if (!mem)
		return KSFT_FAIL;
	maximal_vec(vec, mem);
	add = cpu_op_plus(&counter, 1, sizeof(counter));
	for (int i = 0; i < nr_cpus; i++) {
		if (call_again(&add, 1, cpus[i]) || call_again(vec, NR_ELEMS(vec), cpus[i]))
			return KSFT_FAIL;
	}
	return counter == nr_cpus ? KSFT_PASS : KSFT_FAIL;
}

/* Returns false if it cannot be. */
bool spinner_start(struct spinner *spinner, int cpu, int policy)
{
	struct sched_param param = { .sched_priority = sched_get_priority_min(policy) };
	volatile unsigned long *rounds = shared_memory(sizeof(*rounds));

	spinner->rounds = rounds;
	if (!rounds)
		return false;
	spinner->pid = fork_child();
	if (!spinner->pid) {
		pin(0, cpu);
		if (sched_setscheduler(0, policy, &param) || current_cpu() != cpu)
			_exit(1);
		for (;;)
			++*rounds;
	}
	return spinner->pid > 0 && spinner_runs(spinner);
}

/* Waits until it did something. */
bool spinner_runs(const struct spinner *spinner)
{
	unsigned long before = *spinner->rounds;
	long long end = time_us() + 5000000;

	while (*spinner->rounds == before) {
		if (time_us() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

void spinner_stop(struct spinner *spinner)
{
	if (spinner->pid > 0)
		kill_child(spinner->pid, 5000);
	spinner->pid = 0;
}

/* ---- load ---- */

struct load *load_new(int nr_threads, const int *targets, int nr_targets)
{
	struct load *load = shared_memory(sizeof(*load));

	if (!load)
		return NULL;
	load->nr_threads = nr_threads;
	load->nr_cpus = nr_targets;
	memcpy(load->cpus, targets, nr_targets * sizeof(*targets));
	return load;
}

static void increment(struct worker *w, int i)
{
	struct load *load = w->load;
	intptr_t *counter = &load->counters[i];
	intptr_t old = *(volatile intptr_t *)counter;
	int ret, err;

	/* The copy takes time, between the comparison and the store. */
	ret = cpu_op_cmpeqv_memcpy_storev(counter, old, w->dst, w->src, LOAD_BYTES, old + 1,
					  load->cpus[i]);
	err = ret < 0 ? errno : 0;

	__atomic_store_n(&w->last[i], err, __ATOMIC_RELAXED);
	if (!ret)
		w->done[i]++;
	else if (ret == 1)
		w->changed++;
	else if (err == EAGAIN)
		w->again++;
	else if (err == ENXIO && load->may_refuse)
		w->refused++;
	else
		w->error = err ?: ret;
}

static bool enough(const struct worker *w)
{
	long done = 0;

	if (w->error || __atomic_load_n(&w->load->stop, __ATOMIC_RELAXED))
		return true;
	for (int i = 0; i < w->load->nr_cpus; i++)
		done += w->done[i];
	return w->load->wanted && done >= w->load->wanted;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	int nr = w->load->nr_cpus, first = w - w->load->workers;
	char *mem = mmap(NULL, 4 * page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (mem == MAP_FAILED) {
		w->error = ENOMEM;
		return NULL;
	}
	/* One of them with operands that cross pages. */
	w->src = mem + (first ? 0 : page_size / 2);
	w->dst = w->src + 2 * page_size;
	__atomic_store_n(&w->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!enough(w)) {
		for (int i = 0; i < nr && !enough(w); i++)
			increment(w, (first + i) % nr);
		__atomic_store_n(&w->cpu, current_cpu(), __ATOMIC_RELAXED);
		__atomic_store_n(&w->rounds, w->rounds + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

void load_start(struct load *load)
{
	for (int i = 0; i < load->nr_threads; i++) {
		struct worker *w = &load->workers[i];

		w->load = load;
		if (pthread_create(&w->thread, NULL, work, w)) {
			w->error = EAGAIN;
			load->nr_threads = i;
			load->stop = true;
		}
	}
}

void load_stop(struct load *load)
{
	if (!load->wanted)
		__atomic_store_n(&load->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < load->nr_threads; i++)
		pthread_join(load->workers[i].thread, NULL);
}

bool load_rounds(struct load *load, int worker, long rounds)
{
	struct worker *w = &load->workers[worker];
	long long end = time_us() + 10000000;

	rounds += __atomic_load_n(&w->rounds, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&w->rounds, __ATOMIC_ACQUIRE) < rounds) {
		if (time_us() > end || w->error)
			return false;
		sleep_ms(1);
	}
	return true;
}

struct load_result load_result(const struct load *load)
{
	struct load_result res = { 0 };

	for (int i = 0; i < load->nr_cpus; i++) {
		long done = 0;

		for (int t = 0; t < LOAD_THREADS; t++)
			done += load->workers[t].done[i];
		res.done += done;
		res.lost += labs(done - (long)load->counters[i]);
	}
	for (int t = 0; t < LOAD_THREADS; t++) {
		const struct worker *w = &load->workers[t];

		res.refused += w->refused;
		res.again += w->again;
		res.changed += w->changed;
		if (w->error)
			res.error = w->error;
	}
	return res;
}
