// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a background thread that is pinned to one CPU takes what is on the lists of
 * all others: those that are online, whose threads go on, those that went offline, and those that
 * never were online (a kernel with maxcpus=). It does not move, and does not bring them online.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define NR_NODES	200	/* of each CPU */
#define CHILD_MS	30000

struct node {
	struct node *next;
	int taken;
};

/* The data of a CPU. */
struct list {
	struct node *first;
	int cpu;
	struct node nodes[NR_NODES];
	bool online;
	int pushed, error;
	pthread_t thread;
};

struct lists {
	int nr;
	struct list list[MAX_CPUS];
};

static bool is_online(int cpu)
{
	char path[64], buf[8];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	/* CPU 0 may have no such file. */
	return !read_text(path, buf, sizeof(buf)) || *buf == '1';
}

static bool exists(int cpu)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d", cpu);
	return !access(path, F_OK);
}

static int push(struct list *list, struct node *node)
{
	int ret;

	do {
		node->next = *(struct node *volatile *)&list->first;
		ret = cpu_op_cmpeqv_storev((intptr_t *)&list->first, (intptr_t)node->next,
					   (intptr_t)node, list->cpu);
	} while (ret == 1 || (ret < 0 && errno == EAGAIN));
	return ret ? errno : 0;
}

/* Returns an errno. */
static int drain(struct list *list)
{
	intptr_t node;
	int ret;

	for (;;) {
		ret = cpu_op_cmpnev_storeoffp_load((intptr_t *)&list->first, 0,
						   offsetof(struct node, next), &node, list->cpu);
		if (ret == 1)
			return 0;
		if (ret < 0 && errno != EAGAIN)
			return errno;
		if (!ret)
			((struct node *)node)->taken++;
	}
}

/* A thread of that CPU. */
static void *fill(void *arg)
{
	struct list *list = arg;

	pin(0, list->cpu);
	for (int i = 0; i < NR_NODES && !list->error; i++) {
		list->error = push(list, &list->nodes[i]);
		__atomic_store_n(&list->pushed, i + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static bool all_pushed(struct lists *lists)
{
	for (int i = 0; i < lists->nr; i++) {
		if (__atomic_load_n(&lists->list[i].pushed, __ATOMIC_ACQUIRE) < NR_NODES)
			return false;
	}
	return true;
}

FIXTURE(drain) {
	struct cpuset cpuset;
	struct lists *lists;
	int home;		/* where the thread is */
	struct exclusions before, since;
};

FIXTURE_VARIANT(drain) {
	const char *remote;
};

FIXTURE_VARIANT_ADD(drain, interrupt) { "interrupt" };
FIXTURE_VARIANT_ADD(drain, migrate) { "migrate" };

FIXTURE_SETUP(drain)
{
	const char *why = check_settings(2);
	long possible = possible_cpus();

	if (why)
		SKIP(return, "%s", why);
	if (write_setting(REMOTE, variant->remote))
		SKIP(return, "cannot set the sysctl kernel.cpu_opv_remote");
	self->home = cpus[nr_cpus - 1];
	self->lists = mmap(NULL, sizeof(*self->lists), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->lists != MAP_FAILED);
	for (int cpu = 0; cpu < possible && self->lists->nr < MAX_CPUS; cpu++) {
		struct list *list = &self->lists->list[self->lists->nr];

		if (cpu == self->home || !exists(cpu))
			continue;
		*list = (struct list) { .cpu = cpu, .online = is_online(cpu) };
		self->lists->nr++;
	}
}

FIXTURE_TEARDOWN_PARENT(drain)
{
	cpuset_remove(&self->cpuset);
	restore_settings();
}

/* CPUs that are offline get their nodes from whoever comes. */
static void start_filling(struct __test_metadata *_metadata, struct lists *lists)
{
	for (int i = 0; i < lists->nr; i++) {
		struct list *list = &lists->list[i];

		if (list->online)
			ASSERT_EQ(pthread_create(&list->thread, NULL, fill, list), 0);
		for (int k = 0; k < NR_NODES && !list->online; k++) {
			ASSERT_EQ(push(list, &list->nodes[k]), 0)
				TH_LOG("CPU %d", list->cpu);
			list->pushed++;
		}
	}
}

static void drain_all(struct __test_metadata *_metadata, struct lists *lists, int home)
{
	bool last;

	do {
		last = all_pushed(lists);
		for (int i = 0; i < lists->nr; i++) {
			EXPECT_EQ(drain(&lists->list[i]), 0)
				TH_LOG("CPU %d", lists->list[i].cpu);
			EXPECT_EQ(current_cpu(), home);
		}
	} while (!last);
	for (int i = 0; i < lists->nr; i++) {
		struct list *list = &lists->list[i];
		int bad = 0;

		if (list->online)
			pthread_join(list->thread, NULL);
		EXPECT_EQ(list->error, 0);
		for (int k = 0; k < NR_NODES; k++)
			bad += list->nodes[k].taken != 1;
		EXPECT_EQ(bad, 0)
			TH_LOG("CPU %d", list->cpu);
		EXPECT_EQ(is_online(list->cpu), list->online);
	}
}

TEST_F_TIMEOUT(drain, online, 60)
{
	pin(0, self->home);
	start_filling(_metadata, self->lists);
	drain_all(_metadata, self->lists, self->home);
	EXPECT_TRUE(nothing_held());
}

TEST_F_TIMEOUT(drain, offline, 60)
{
	struct lists *lists = self->lists;
	struct list *list = NULL;

	for (int i = 0; i < lists->nr; i++) {
		if (lists->list[i].online && !set_online(lists->list[i].cpu, false)) {
			list = &lists->list[i];
			break;
		}
	}
	if (!list)
		SKIP(return, "no CPU can be set offline");
	list->online = false;
	pin(0, self->home);
	start_filling(_metadata, lists);
	drain_all(_metadata, lists, self->home);
	EXPECT_TRUE(nothing_held());
}

/* In the variant that comes first; the other one brings it online at the end. */
TEST_F_TIMEOUT(drain, never_booted, 60)
{
	struct lists *lists = self->lists;
	struct list *list = NULL;
	long nodes = 0;

	for (int i = 0; i < lists->nr; i++) {
		if (!lists->list[i].online)
			list = &lists->list[i];
	}
	if (!list)
		SKIP(return, "all CPUs were online");
	lists->list[0] = *list;
	lists->nr = 1;
	list = &lists->list[0];
	pin(0, self->home);
	exclusions_now(&self->before);
	start_filling(_metadata, lists);
	drain_all(_metadata, lists, self->home);
	nodes = 2 * NR_NODES;
	if (exclusions_since(&self->before, &self->since)) {
		EXPECT_EQ(self->since.locked, nodes);
		EXPECT_EQ(self->since.local + self->since.interrupted + self->since.migrated, 0);
	}
	EXPECT_TRUE(nothing_held());
	if (strcmp(variant->remote, "migrate"))
		return;
	/* Nothing was done to it that it minds when it comes. */
	ASSERT_EQ(set_online(list->cpu, true), 0);
	list->online = true;
	list->pushed = 0;
	memset(list->nodes, 0, sizeof(list->nodes));
	start_filling(_metadata, lists);
	drain_all(_metadata, lists, self->home);
	EXPECT_EQ(set_online(list->cpu, false), 0);
}

/* ---- in a cpuset ---- */

struct part {
	struct lists *lists;
	int home, other;	/* all of the cpuset */
};

/* Returns KSFT_FAIL unless all is as it has to be. */
static int call_from_cpuset(void *arg)
{
	struct part *part = arg;
	intptr_t counter = 0;
	int ret = KSFT_PASS, done = 0;

	if (cpuset_enter())
		return KSFT_SKIP;
	pin(0, part->home);
	for (int i = 0; i < part->lists->nr; i++) {
		struct list *list = &part->lists->list[i];
		int err = 0;

		do {
			err = cpu_op_addv(&counter, 1, list->cpu) ? errno : 0;
		} while (err == EAGAIN);
		done += !err;
		if (err == (list->online && list->cpu != part->other ? ENXIO : 0))
			continue;
		fail("CPU %d, which is %s: errno %d", list->cpu, list->online ? "online" :
		     "offline", err);
		ret = KSFT_FAIL;
	}
	if (counter != done || current_cpu() != part->home)
		ret = KSFT_FAIL;
	return ret;
}

/* Where the cpuset does not let it go, it cannot work, unless nothing can go there. */
TEST_F_TIMEOUT(drain, cpuset, 60)
{
	struct part part = { .lists = self->lists, .home = self->home, .other = self->home };
	const char *why = cpuset_create(&self->cpuset);
	int ret;

	if (why)
		SKIP(return, "%s", why);
	if (nr_cpus > 2)
		part.other = cpus[0];
	ASSERT_EQ(cpuset_set((int []){ part.home, part.other }, 2), 0);
	ret = run_child(call_from_cpuset, &part, CHILD_MS);
	EXPECT_EQ(ret, KSFT_PASS);
	/* Once more with one of the CPUs outside of it offline. */
	for (int i = 0; i < part.lists->nr; i++) {
		struct list *away = &part.lists->list[i];

		if (!away->online || away->cpu == part.other || set_online(away->cpu, false))
			continue;
		away->online = false;
		break;
	}
	ret = run_child(call_from_cpuset, &part, CHILD_MS);
	EXPECT_EQ(ret, KSFT_PASS);
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
