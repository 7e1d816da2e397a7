// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): callers that are killed, wherever they are, die at once and
 * leave nothing behind; callers that are stuck in a page fault hold up nobody.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define DEATH_MS	2000	/* at once, on a busy machine */
#define OTHERS_MS	10000	/* for what has to work meanwhile */
#define CROWD		16
#define ROUNDS		20

/* ---- in a page fault that nobody handles ---- */

enum missing { WORD, SECOND_PAGE, LAST_OPERAND, VECTOR };

struct victim {
	enum missing missing;
	int cpu;
	int uffd;		/* of the victim */
};

FIXTURE(fault) {
	struct victim *victim;
	pid_t pid;
	int uffd;		/* the same, of this process */
};

FIXTURE_VARIANT(fault) {
	enum missing missing;
	bool remote;
};

FIXTURE_VARIANT_ADD(fault, word) { WORD, false };
FIXTURE_VARIANT_ADD(fault, word_remote) { WORD, true };
FIXTURE_VARIANT_ADD(fault, second_page) { SECOND_PAGE, false };
FIXTURE_VARIANT_ADD(fault, last_operand) { LAST_OPERAND, false };
FIXTURE_VARIANT_ADD(fault, last_operand_remote) { LAST_OPERAND, true };
FIXTURE_VARIANT_ADD(fault, vector) { VECTOR, false };

/* Calls with memory of which the second page is never there. */
static int stuck_call(void *arg)
{
	struct victim *victim = arg;
	char *mem = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cpu_op ops[CPU_OP_VEC_LEN_MAX], *vec = ops;
	char *missing = mem + page_size;
	int cnt = 0, fd;

	if (mem == MAP_FAILED)
		return KSFT_FAIL;
	memset(mem, 0, page_size);
	fd = missing_memory(missing, page_size);
	if (fd < 0)
		return KSFT_FAIL;
	switch (victim->missing) {
	case WORD:
		ops[cnt++] = cpu_op_plus(missing, 1, 8);
		break;
	case SECOND_PAGE:
		ops[cnt++] = cpu_op_memcpy(missing - 32, mem, 64);
		break;
	case LAST_OPERAND:
		for (; cnt < CPU_OP_VEC_LEN_MAX - 1; cnt++)
			ops[cnt] = cpu_op_plus(mem + 8 * cnt, 1, 8);
		ops[cnt++] = cpu_op_eq(mem, missing, 8);
		break;
	case VECTOR:
		vec = (struct cpu_op *)missing;
		cnt = 1;
		break;
	}
	__atomic_store_n(&victim->uffd, fd, __ATOMIC_RELEASE);
	cpu_opv(vec, cnt, victim->cpu, 0);
	return KSFT_FAIL;
}

FIXTURE_SETUP(fault)
{
	const char *why = check_settings(2);
	int fd, pidfd, *number;
	struct pollfd pfd;

	if (why)
		SKIP(return, "%s", why);
	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no userfaultfd(2): errno %d", errno);
	close(fd);

	self->victim = mmap(NULL, sizeof(*self->victim), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->victim != MAP_FAILED);
	*self->victim = (struct victim) {
		.missing = variant->missing,
		.cpu = cpus[variant->remote],
		.uffd = -1,
	};
	start_on(cpus[0]);
	self->pid = start_child(stuck_call, self->victim);
	ASSERT_GT(self->pid, 0);
	number = &self->victim->uffd;
	for (int i = 0; __atomic_load_n(number, __ATOMIC_ACQUIRE) < 0 && i < OTHERS_MS; i++)
		sleep_ms(1);
	ASSERT_GE(*number, 0);
	/* It must not be this descriptor's end that wakes the victim. */
	pidfd = syscall(SYS_pidfd_open, self->pid, 0);
	ASSERT_GE(pidfd, 0);
	self->uffd = syscall(SYS_pidfd_getfd, pidfd, *number, 0);
	ASSERT_GE(self->uffd, 0);
	close(pidfd);
	/* There is an event: it is in the page fault. */
	pfd = (struct pollfd) { .fd = self->uffd, .events = POLLIN };
	ASSERT_EQ(poll(&pfd, 1, OTHERS_MS), 1);
	ASSERT_EQ(pfd.revents, POLLIN);
}

FIXTURE_TEARDOWN_PARENT(fault)
{
	restore_settings();
}

TEST_F_TIMEOUT(fault, killed, 60)
{
	EXPECT_TRUE(kill_child(self->pid, DEATH_MS));
	EXPECT_TRUE(nothing_held());
	EXPECT_EQ(run_child(use_every_cpu, NULL, OTHERS_MS), KSFT_PASS);
	EXPECT_TRUE(nothing_held());
	/* Whatever is left of it ends now. */
	close(self->uffd);
}

static int change_settings(void *arg)
{
	return write_setting(REMOTE, "interrupt") || write_setting(REMOTE, "migrate");
}

static int change_cpus(void *arg)
{
	if (set_online(cpus[0], false))
		return KSFT_SKIP;
	return set_online(cpus[0], true) ? KSFT_FAIL : KSFT_PASS;
}

TEST_F_TIMEOUT(fault, others_go_on, 60)
{
	int ret;

	EXPECT_EQ(run_child(use_every_cpu, NULL, OTHERS_MS), KSFT_PASS);
	EXPECT_EQ(run_child(change_settings, NULL, OTHERS_MS), 0);
	ret = run_child(change_cpus, NULL, OTHERS_MS);
	EXPECT_TRUE(ret == KSFT_PASS || ret == KSFT_SKIP);
	EXPECT_EQ(run_child(use_every_cpu, NULL, OTHERS_MS), KSFT_PASS);
	EXPECT_TRUE(kill_child(self->pid, DEATH_MS));
	close(self->uffd);
	EXPECT_TRUE(nothing_held());
}

/* ---- on the way to a busy CPU, or with pages pinned ---- */

FIXTURE(busy) {
	struct spinner spinner;
	int a, b;
};

FIXTURE_VARIANT(busy) {
	const char *remote;
};

FIXTURE_VARIANT_ADD(busy, migrate) { "migrate" };
FIXTURE_VARIANT_ADD(busy, interrupt) { "interrupt" };

FIXTURE_SETUP(busy)
{
	const char *why = check_settings(2);

	if (why)
		SKIP(return, "%s", why);
	self->a = cpus[0];
	self->b = cpus[1];
	ASSERT_EQ(write_setting(REMOTE, variant->remote), 0);
	ASSERT_TRUE(spinner_start(&self->spinner, self->b, SCHED_OTHER));
}

FIXTURE_TEARDOWN_PARENT(busy)
{
	restore_settings();
}

/* Every CPU is to be had again. */
static void expect_nothing_kept(struct __test_metadata *_metadata)
{
	EXPECT_TRUE(nothing_held());
	EXPECT_EQ(run_child(use_every_cpu, NULL, OTHERS_MS), KSFT_PASS);
	EXPECT_TRUE(nothing_held());
}

TEST_F_TIMEOUT(busy, crowd_killed, 60)
{
	long calls = read_stat("calls");
	pid_t pids[CROWD];

	for (int i = 0; i < CROWD; i++) {
		pids[i] = start_child(maximal_calls, &self->b);
		ASSERT_GT(pids[i], 0);
	}
	if (calls >= 0) {
		EXPECT_TRUE(wait_for_stat("calls", calls + 2 * CROWD, 20000));
	} else {
		sleep_ms(1000);
	}
	for (int i = 0; i < CROWD; i++) {
		EXPECT_TRUE(kill_child(pids[i], DEATH_MS));
		sleep_ms(random_below(4));
	}
	expect_nothing_kept(_metadata);
	spinner_stop(&self->spinner);
}

/* At any point of a call, by itself. */
TEST_F_TIMEOUT(busy, one_killed, 60)
{
	for (int i = 0; i < ROUNDS; i++) {
		long calls = read_stat("calls");
		pid_t pid = start_child(maximal_calls, &self->b);

		ASSERT_GT(pid, 0);
		if (calls >= 0) {
			EXPECT_TRUE(wait_for_stat("calls", calls + 1, OTHERS_MS));
		}
		sleep_ms(random_below(10));
		EXPECT_TRUE(kill_child(pid, DEATH_MS));
		EXPECT_TRUE(nothing_held());
	}
	expect_nothing_kept(_metadata);
	spinner_stop(&self->spinner);
}

static int run_load(void *arg)
{
	struct load *load = arg;

	load_start(load);
	load_stop(load);
	return KSFT_FAIL;
}

/* All threads of a process, in short vectors for every CPU. */
TEST_F_TIMEOUT(busy, threads_killed, 60)
{
	for (int i = 0; i < ROUNDS / 2; i++) {
		struct load *load = load_new(LOAD_THREADS, cpus, nr_cpus);
		pid_t pid;

		ASSERT_TRUE(load != NULL);
		load->wanted = 1000000000;
		pid = start_child(run_load, load);
		ASSERT_GT(pid, 0);
		EXPECT_TRUE(load_rounds(load, LOAD_THREADS - 1, 1));
		sleep_ms(random_below(10));
		EXPECT_TRUE(kill_child(pid, DEATH_MS));
		EXPECT_TRUE(nothing_held());
		EXPECT_EQ(load_result(load).error, 0);
		munmap(load, sizeof(*load));
	}
	expect_nothing_kept(_metadata);
	spinner_stop(&self->spinner);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
