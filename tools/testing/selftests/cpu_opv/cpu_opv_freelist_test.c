// SPDX-License-Identifier: GPL-2.0
/*
 * Why cpu_opv(2) exists: free lists, one for each CPU, as memory allocators have them. A thread,
 * wherever it runs, is to move all nodes from one of them to another, while other threads use both
 * and while one of the two CPUs goes offline. By restartable sequences a thread reaches a list only
 * where it runs, and it cannot run there any more.
 *
 *	cpu_opv_freelist_test --move rseq|cpu_opv to|from
 *
 * does that once: to or from the list of the CPU that goes offline. The exit status tells whether
 * all nodes arrived, or that it is STUCK: a program would go on trying, this one gives up.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cpu_opv_control.h"
#include "percpu_data.h"
#include "rseq.h"

#include "../kselftest_harness.h"

#define ATTEMPTS	10000	/* to move one node */
#define STUCK		9
#define LOOP_US		1500000

static struct percpu_data *data;
static bool stop;

struct user {
	pthread_t thread;
	int cpu, other;		/* where it starts, and may go */
	struct percpu_worker w;
};

static int here(struct percpu_worker *w)
{
	return (int)rseq_current_cpu();
}

static void stay_near(int a, int b)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(a, &set);
	CPU_SET(b, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Takes a node, and gives it back where it is then. */
static void *use(void *arg)
{
	struct user *user = arg;

	if (rseq_register_current_thread())
		data->error = errno;
	pin(0, user->cpu);
	stay_near(user->cpu, user->other);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && percpu_round(&user->w, PERCPU_LIST))
		;
	percpu_account(&user->w);
	return NULL;
}

static bool start_user(struct user *user, int cpu, int other)
{
	*user = (struct user) {
		.cpu = cpu,
		.other = other,
		.w = { .ops = &percpu_by_rseq, .data = data, .where = here, .seed = cpu + 1 },
	};
	return !pthread_create(&user->thread, NULL, use, user);
}

static void stop_user(struct user *user)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(user->thread, NULL);
}

/* Sequences work on the list of the CPU where the thread is: it has to go there. */
static void prepare(const struct percpu_ops *ops, int cpu)
{
	if (ops == &percpu_by_rseq && current_cpu() != cpu)
		pin(0, cpu);
}

/* Takes the first node of the list of @cpu. NULL: there is none, or it does not work. */
static struct percpu_node *pop(const struct percpu_ops *ops, int cpu, bool *empty)
{
	struct percpu_node *node;

	*empty = false;
	for (int i = 0; i < ATTEMPTS && !*empty; i++) {
		int ret;

		prepare(ops, cpu);
		ret = ops->pop(data->mode, &data->slots[cpu].head, &node, cpu);
		if (!ret)
			return node;
		*empty = ret > 0;
	}
	return NULL;
}

static bool push(const struct percpu_ops *ops, int cpu, struct percpu_node *node)
{
	intptr_t *head = (intptr_t *)&data->slots[cpu].head;

	for (int i = 0; i < ATTEMPTS; i++) {
		intptr_t first = RSEQ_READ_ONCE(*head);

		prepare(ops, cpu);
		node->next = (struct percpu_node *)first;
		if (!ops->cmpeqv_storev(data->mode, head, first, (intptr_t)node, cpu))
			return true;
	}
	return false;
}

/* Up to @max nodes. Returns whether that was possible, which includes that there were less. */
static bool move_nodes(const struct percpu_ops *ops, int from, int to, long max, long *moved)
{
	struct percpu_node *node;
	bool empty;

	for (; max; max--) {
		node = pop(ops, from, &empty);
		if (!node)
			return empty;
		if (!push(ops, to, node)) {
			/* Back, for the check to find it. */
			push(ops, from, node);
			return false;
		}
		++*moved;
	}
	return true;
}

static size_t length(int cpu)
{
	const struct percpu_node *node = data->slots[cpu].head;
	size_t n = 0;

	for (; node && n <= data->nodes; node = node->next)
		n++;
	return n;
}

static int highest(int a, int b)
{
	return a > b ? a : b;
}

static const struct percpu_ops *ops_of(const char *by)
{
	return strcmp(by, "rseq") ? &percpu_by_cpu_opv : &percpu_by_rseq;
}

/* All nodes from the list of one CPU to that of the other; @gone is one of them. */
static int move_all(const char *by, int from, int to, int gone)
{
	int stays = from == gone ? to : from;
	const struct percpu_ops *ops = ops_of(by);
	struct user users[2];
	long moved = 0;
	const char *wrong;
	bool done, began;

	stop = false;
	data = percpu_create(RSEQ_PERCPU_CPU_ID, 0, highest(from, to));
	if (!data || rseq_register_current_thread() || !start_user(&users[0], from, to) ||
	    !start_user(&users[1], to, from))
		return KSFT_FAIL;
	start_on(stays);
	/* By either, as long as both are online. */
	began = move_nodes(ops, from, to, PERCPU_NODES / 2, &moved);
	done = began;
	/* Outside the root of the cpusets, tasks lose it. */
	if (set_online(gone, false) || (ops != &percpu_by_rseq && !may_run_on(gone))) {
		set_online(gone, true);
		return KSFT_SKIP;
	}
	printf("# %s: CPU %d goes offline after %ld nodes\n", by, gone, moved);
	done = done && move_nodes(ops, from, to, PERCPU_NODES, &moved);
	/* The others have given back what they had. */
	stop_user(&users[0]);
	stop_user(&users[1]);
	done = done && move_nodes(ops, from, to, -1, &moved);
	printf("# %s: %s, %zu nodes are in list %d, %zu in list %d\n", by,
	       done ? "all moved" : "no way to move more", length(from), from, length(to), to);
	set_online(gone, true);

	if (!began || (done && length(from)))
		return KSFT_FAIL;
	wrong = percpu_check(data);
	if (*wrong)
		printf("# %s\n", wrong);
	return *wrong ? KSFT_FAIL : done ? KSFT_PASS : STUCK;
}

FIXTURE(freelist) {
};

FIXTURE_VARIANT(freelist) {
	const char *by;
	int result;
};

FIXTURE_VARIANT_ADD(freelist, rseq_only) { "rseq", STUCK };
FIXTURE_VARIANT_ADD(freelist, cpu_opv) { "cpu_opv", KSFT_PASS };

static const char *check(const char *by)
{
	if (nr_cpus < 2)
		return "needs two CPUs";
	if (!rseq_available())
		return "the kernel has no rseq";
	if (strcmp(by, "rseq") && !cpu_op_available())
		return "the kernel has no cpu_opv";
	return NULL;
}

FIXTURE_SETUP(freelist)
{
	const char *why = check(variant->by);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN_PARENT(freelist)
{
	restore_settings();
}

static void expect_result(struct __test_metadata *_metadata, int result, int want)
{
	if (result == KSFT_SKIP)
		SKIP(return, "CPU %d cannot be set offline and stay allowed", cpus[0]);
	EXPECT_EQ(result, want);
}

TEST_F_TIMEOUT(freelist, to_offline, 60)
{
	expect_result(_metadata, move_all(variant->by, cpus[1], cpus[0], cpus[0]),
		      variant->result);
}

TEST_F_TIMEOUT(freelist, from_offline, 60)
{
	expect_result(_metadata, move_all(variant->by, cpus[0], cpus[1], cpus[0]),
		      variant->result);
}

static void *toggle(void *arg)
{
	int *rounds = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		*rounds += !set_online(cpus[0], false);
		sleep_ms(5);
		set_online(cpus[0], true);
		sleep_ms(5);
	}
	return NULL;
}

FIXTURE(hotplug) {
};

FIXTURE_SETUP(hotplug)
{
	const char *why = check("cpu_opv");

	if (why)
		SKIP(return, "%s", why);
	if (set_online(cpus[0], false) || set_online(cpus[0], true))
		SKIP(return, "CPU %d cannot be set offline", cpus[0]);
}

FIXTURE_TEARDOWN_PARENT(hotplug)
{
	restore_settings();
}

/* To and fro, whether the CPU is online or not, or just changes. */
TEST_F_TIMEOUT(hotplug, to_and_fro, 60)
{
	int a = cpus[1], b = cpus[0], rounds = 0;
	long long end = time_us() + LOOP_US;
	struct user users[2];
	pthread_t toggler;
	long moved = 0;

	data = percpu_create(RSEQ_PERCPU_CPU_ID, 0, highest(a, b));
	ASSERT_TRUE(data != NULL);
	ASSERT_TRUE(start_user(&users[0], a, b));
	ASSERT_TRUE(start_user(&users[1], b, a));
	ASSERT_EQ(pthread_create(&toggler, NULL, toggle, &rounds), 0);
	while (time_us() < end) {
		ASSERT_TRUE(move_nodes(&percpu_by_cpu_opv, a, b, PERCPU_NODES, &moved));
		ASSERT_TRUE(move_nodes(&percpu_by_cpu_opv, b, a, PERCPU_NODES, &moved));
	}
	stop_user(&users[0]);
	stop_user(&users[1]);
	pthread_join(toggler, NULL);
	EXPECT_STREQ(percpu_check(data), "");
	TH_LOG("%ld nodes moved, the CPU went offline %d times", moved, rounds);
	EXPECT_GT(rounds, 0);
	EXPECT_GT(moved, 0);
}

int main(int argc, char **argv)
{
	save_settings();
	if (argc == 4 && !strcmp(argv[1], "--move")) {
		bool from = !strcmp(argv[3], "from");
		const char *why = check(argv[2]);

		if (!why)
			return move_all(argv[2], cpus[!from], cpus[from], cpus[0]);
		printf("# %s\n", why);
		return KSFT_SKIP;
	}
	return test_harness_run(argc, argv);
}
