// SPDX-License-Identifier: GPL-2.0
/*
 * cpu_opv(2) and restartable sequences exclude each other: threads on one CPU change its data by
 * sequences, at the same time as threads on all others do by cpu_opv, in one process and in two
 * that share memory. If a sequence were not aborted, or a vector not run on that CPU, then an
 * update would be lost.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "percpu-op.h"
#include "percpu_data.h"

#include "../kselftest_harness.h"

#define NR_ROUNDS	125	/* of each remote thread, by cpu_opv */
#define MAX_REMOTE	3	/* threads of a process */
#define MAX_THREADS	(MAX_REMOTE + 3)

struct thread {
	pthread_t id;
	bool created;
	int home;			/* the CPU where it calls from, unless that is the target */
	struct percpu_worker w;
	struct percpu_used used;
	long remote_calls;
};

static struct percpu_data *data;
static enum percpu_what what;
static cpu_set_t allowed;
static int target;
static __thread struct thread *self;

static void set_cpus(int a, int b)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(a, &cpus);
	CPU_SET(b, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		data->error = errno;
}

static int at_target(struct percpu_worker *w)
{
	return target;
}

/*
 * A thread that has the target in its mask, as it must, can be moved there at any time, and by
 * cpu_opv(2) itself: then it leaves.
 */
static int remote(struct percpu_worker *w)
{
	if (rseq_fallback_current_cpu() == target) {
		set_cpus(self->home, self->home);
		set_cpus(self->home, target);
	}
	self->remote_calls += rseq_fallback_current_cpu() != target;
	return target;
}

/* Is now there, now elsewhere. */
static int roaming(struct percpu_worker *w)
{
	unsigned int random = rand_r(&w->seed);

	if (random % 8 == 0) {
		int cpu = random & 8 ? target : self->home;

		set_cpus(cpu, cpu);
		set_cpus(cpu, target);
	}
	return target;
}

static void *work(void *arg)
{
	bool counts;

	self = arg;
	counts = self->w.where == remote;
	set_cpus(self->home, target);
	if (rseq_register_current_thread())
		data->error = errno;
	self->w.seed = syscall(__NR_gettid);
	for (int i = 0; percpu_go_on(data, counts ? i >= NR_ROUNDS :
				     !__atomic_load_n(&data->working, __ATOMIC_ACQUIRE)); i++) {
		if (!percpu_round(&self->w, what))
			break;
	}
	if (counts)
		__atomic_fetch_sub(&data->working, 1, __ATOMIC_RELEASE);
	percpu_account(&self->w);
	self->used = percpu_used;
	return NULL;
}

/* The nth CPU that is not the target, in turn. */
static int other_cpu(int n)
{
	int cpu = 0;

	for (n %= CPU_COUNT(&allowed) - 1; ; cpu++) {
		if (CPU_ISSET(cpu, &allowed) && cpu != target && !n--)
			return cpu;
	}
}

static int nr_remote(void)
{
	int others = CPU_COUNT(&allowed) - 1;

	/* Some interference between them, too, if there are few CPUs. */
	return others < 2 ? 2 : others < MAX_REMOTE ? others : MAX_REMOTE;
}

static int add_thread(struct thread *thread, int home, const struct percpu_ops *ops,
		      int (*where)(struct percpu_worker *w))
{
	thread->home = home;
	thread->w = (struct percpu_worker) { .ops = ops, .data = data, .where = where };
	thread->created = !pthread_create(&thread->id, NULL, work, thread);
	return thread->created;
}

/* What one process does. Returns whether it was a test, and says what happened. */
static bool run_threads(const char *name)
{
	struct thread threads[MAX_THREADS] = { 0 };
	long local = 0, aborts = 0, calls = 0, roamed = 0, fast = 0;
	int n = 0;

	/* Two of them: the scheduler switches between them, too. */
	for (int i = 0; i < 2; i++)
		n += add_thread(&threads[n], target, &percpu_by_rseq, at_target);
	n += add_thread(&threads[n], other_cpu(0), &percpu_by_either, roaming);
	for (int i = 0; i < nr_remote(); i++)
		n += add_thread(&threads[n], other_cpu(i), &percpu_by_cpu_opv, remote);

	for (int i = 0; i < n; i++) {
		struct thread *thread = &threads[i];

		pthread_join(thread->id, NULL);
		calls += thread->remote_calls;
		if (thread->w.where == at_target) {
			local += thread->w.sums.rounds;
			aborts += thread->used.aborts;
		} else if (thread->w.where == roaming) {
			roamed += thread->used.ops;
			fast += thread->used.tries - thread->used.aborts;
		}
	}
	ksft_print_msg("%s: %ld rounds by sequences, %ld aborts; %ld remote calls; ", name, local,
		       aborts, calls);
	printf("roaming: %ld operations, %ld by sequences\n", roamed, fast);
	return n == nr_remote() + 3 && local > 0 && aborts > 0 && calls > 0 && roamed > 0;
}

FIXTURE(exclusion) {
};

FIXTURE_VARIANT(exclusion) {
	enum percpu_what what;
};

FIXTURE_VARIANT_ADD(exclusion, counter) { PERCPU_COUNTER };
FIXTURE_VARIANT_ADD(exclusion, list) { PERCPU_LIST };
FIXTURE_VARIANT_ADD(exclusion, ring) { PERCPU_RING };

FIXTURE_SETUP(exclusion)
{
	if (!cpu_op_available())
		SKIP(return, "the kernel has no cpu_opv");
	ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	if (CPU_COUNT(&allowed) < 2)
		SKIP(return, "only one CPU");
	if (rseq_register_current_thread())
		SKIP(return, "the kernel has no rseq");
	for (target = CPU_SETSIZE - 1; !CPU_ISSET(target, &allowed); target--)
		;
	what = variant->what;
	/* One list, so that all threads use it. */
	data = percpu_create(RSEQ_PERCPU_CPU_ID, target, target);
	ASSERT_TRUE(data != NULL);
	percpu_start(data);
}

FIXTURE_TEARDOWN(exclusion)
{
}

TEST_F_TIMEOUT(exclusion, threads, 60)
{
	data->working = nr_remote();
	EXPECT_TRUE(run_threads("process"));
	EXPECT_STREQ(percpu_check(data), "");
	EXPECT_EQ(data->sums.refusals, 0);
}

TEST_F_TIMEOUT(exclusion, processes, 60)
{
	int status;
	pid_t pid;

	data->working = 2 * nr_remote();
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(run_threads("child") ? KSFT_PASS : KSFT_FAIL);
	}
	EXPECT_TRUE(run_threads("parent"));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_STREQ(percpu_check(data), "");
	EXPECT_EQ(data->sums.refusals, 0);
}

TEST_HARNESS_MAIN
