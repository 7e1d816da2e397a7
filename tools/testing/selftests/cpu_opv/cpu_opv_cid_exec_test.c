// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of concurrency IDs, and of cpu_opv(2) by them, after an execve(2) that failed: the task has
 * given up its ID by then, and goes on in the same address space.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rseq.h"

#include "cpu_opv_cid.h"

#include "../kselftest_harness.h"

#define FLAG		CPU_OP_MM_CID_FLAG
#define CHILD_MS	10000

static void *tell_cid(void *arg)
{
	if (!rseq_register_current_thread())
		*(int *)arg = own_cid();
	return NULL;
}

/* Of a thread that begins now, and ends; or -1. */
static int cid_of_new_thread(void)
{
	pthread_t thread;
	int cid = -1;

	if (!pthread_create(&thread, NULL, tell_cid, &cid))
		pthread_join(thread, NULL);
	return cid;
}

/* Returns whether it failed as meant. */
static bool exec_fails(void)
{
	static const char no_format[] = "\1\2\3\4\5\6\7\10";
	char *args[] = { "no_format", NULL };
	int fd = memfd_create("no_format", MFD_CLOEXEC);

	if (fd < 0 || write(fd, no_format, sizeof(no_format)) != sizeof(no_format))
		return false;
	syscall(SYS_execveat, fd, "", args, args, AT_EMPTY_PATH);
	return errno == ENOEXEC;
}

/*
 * The only task of an address space whose IDs belong to CPUs, as its mask had one when it began.
 * All CPUs but one have an ID when execve(2) fails.
 */
static int last_task(void *arg)
{
	if (cid_of_new_thread() < 0)
		return KSFT_FAIL;
	for (int i = 0; i < nr_cpus - 1; i++)
		pin(0, cpus[i]);
	if (!exec_fails())
		return KSFT_FAIL;
	return ((int (*)(void))arg)();
}

FIXTURE(exec) {
};

FIXTURE_SETUP(exec)
{
	const char *why = check_cids(3);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN_PARENT(exec)
{
	restore_settings();
}

static int ids_are_free(void)
{
	int own = own_cid(), other = cid_of_new_thread();

	printf("# the task has ID %d, a new thread gets %d\n", own, other);
	return own + other == 1 ? KSFT_PASS : KSFT_FAIL;
}

TEST_F(exec, gives_up_all_ids)
{
	pin(0, cpus[0]);
	EXPECT_EQ(run_child(last_task, ids_are_free, CHILD_MS), KSFT_PASS);
}

static int ids_can_be_named(void)
{
	long word = 0;
	struct cpu_op op = cpu_op_plus((char *)&word, 1, sizeof(word));

	for (int cid = 0; cid < nr_ids; cid++) {
		if (cpu_opv(&op, 1, cid, FLAG))
			return KSFT_FAIL;
	}
	return word == nr_ids ? KSFT_PASS : KSFT_FAIL;
}

TEST_F(exec, ids_can_be_named)
{
	pin(0, cpus[0]);
	EXPECT_EQ(run_child(last_task, ids_can_be_named, CHILD_MS), KSFT_PASS);
}

TEST_F(exec, leaves_an_id)
{
	int cid;

	ASSERT_TRUE(sleepers_start(2 * nr_ids));
	ASSERT_TRUE(cpus_own_cids());
	ASSERT_TRUE(exec_fails());
	cid = own_cid();
	TH_LOG("the task has ID %#x", cid);
	EXPECT_LE(0, cid);
	EXPECT_LT(cid, nr_ids);
	EXPECT_EQ(ids_can_be_named(), KSFT_PASS);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
