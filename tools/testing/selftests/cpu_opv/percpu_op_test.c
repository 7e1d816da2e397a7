// SPDX-License-Identifier: GPL-2.0
/*
 * percpu-op.h: what each operation does, and data indexed by CPU or by concurrency ID that more
 * threads than CPUs change by it under preemption, timer signals and migration: a counter, a list
 * and a ring buffer, in threads that libc registered for rseq, that rseq.c registered, and that
 * nobody registered.
 *
 * To be run with RSEQ_DISABLE unset, 1 and random.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "percpu-op.h"
#include "percpu_op_run.h"

#include "../kselftest_harness.h"

/* ---- each operation, on the index that the thread has ---- */

FIXTURE(operation) {
	int index;
	unsigned int flags;
	intptr_t v, v2, load;
};

FIXTURE_VARIANT(operation) {
	enum rseq_percpu_mode mode;
	bool fallback;			/* always */
	bool release;			/* where there is such an operation */
};

FIXTURE_VARIANT_ADD(operation, cpu) { RSEQ_PERCPU_CPU_ID, false, false };
FIXTURE_VARIANT_ADD(operation, cpu_release) { RSEQ_PERCPU_CPU_ID, false, true };
FIXTURE_VARIANT_ADD(operation, cpu_fallback) { RSEQ_PERCPU_CPU_ID, true, false };
FIXTURE_VARIANT_ADD(operation, cpu_fallback_release) { RSEQ_PERCPU_CPU_ID, true, true };
FIXTURE_VARIANT_ADD(operation, mm_cid) { RSEQ_PERCPU_MM_CID, false, false };
FIXTURE_VARIANT_ADD(operation, mm_cid_release) { RSEQ_PERCPU_MM_CID, false, true };
FIXTURE_VARIANT_ADD(operation, mm_cid_fallback) { RSEQ_PERCPU_MM_CID, true, false };
FIXTURE_VARIANT_ADD(operation, mm_cid_fallback_release) { RSEQ_PERCPU_MM_CID, true, true };

FIXTURE_SETUP(operation)
{
	if (!percpu_op_available(variant->mode))
		SKIP(return, "the kernel has no such cpu_opv");
	if (variant->fallback)
		percpu_op_choice = -1;
	self->index = percpu_current_index(variant->mode);
	self->flags = percpu_op_flags(variant->mode);
	self->v = 5;
	self->v2 = 7;
	self->load = 9;
}

FIXTURE_TEARDOWN(operation)
{
}

TEST_F(operation, addv)
{
	EXPECT_EQ(percpu_addv(variant->mode, &self->v, -2, self->index), 0);
	EXPECT_EQ(self->v, 3);
	EXPECT_EQ(cpu_op_add_flags(&self->v, 256 + 6, 1, self->index, self->flags), 0);
	EXPECT_EQ(self->v, 9);
	EXPECT_EQ(percpu_addv(variant->mode, &self->v, -10, self->index), 0);
	EXPECT_EQ(self->v, -1);
}

TEST_F(operation, cmpxchg)
{
	intptr_t expect = 6, new = 10;

	EXPECT_EQ(cpu_op_cmpxchg_flags(&self->v, &expect, &self->load, &new, sizeof(new),
				       self->index, self->flags), 2);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(self->load, 5);
	expect = 5;
	self->load = 0;
	EXPECT_EQ(cpu_op_cmpxchg_flags(&self->v, &expect, &self->load, &new, sizeof(new),
				       self->index, self->flags), 0);
	EXPECT_EQ(self->v, 10);
	EXPECT_EQ(self->load, 5);
}

TEST_F(operation, cmpeqv_storev)
{
	EXPECT_EQ(percpu_cmpeqv_storev(variant->mode, &self->v, 4, 6, self->index), 1);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(percpu_cmpeqv_storev(variant->mode, &self->v, 5, 6, self->index), 0);
	EXPECT_EQ(self->v, 6);
}

TEST_F(operation, cmpnev_storeoffp_load)
{
	intptr_t node[2] = { 11, 12 };

	self->v = (intptr_t)node;
	EXPECT_EQ(percpu_cmpnev_storeoffp_load(variant->mode, &self->v, (intptr_t)node,
					       sizeof(*node), &self->load, self->index), 1);
	EXPECT_EQ(self->v, (intptr_t)node);
	EXPECT_EQ(self->load, 9);
	EXPECT_EQ(percpu_cmpnev_storeoffp_load(variant->mode, &self->v, 0, sizeof(*node),
					       &self->load, self->index), 0);
	EXPECT_EQ(self->v, 12);
	EXPECT_EQ(self->load, (intptr_t)node);
}

TEST_F(operation, cmpnev_storeoffp_load_unmapped)
{
	/* A sequence would end in a page fault that kills. */
	self->v = 8;
	EXPECT_EQ(cpu_op_cmpnev_storeoffp_load_flags(&self->v, 0, 0, &self->load, self->index,
						     self->flags), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(self->v, 8);
	EXPECT_EQ(self->load, 9);
}

TEST_F(operation, cmpeqv_storev_storev)
{
	int (*storev_storev)(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect,
			     intptr_t *v2, intptr_t newv2, intptr_t newv, int index) =
		variant->release ? percpu_cmpeqv_storev_storev_release :
				   percpu_cmpeqv_storev_storev;

	EXPECT_EQ(storev_storev(variant->mode, &self->v, 4, &self->v2, 8, 6, self->index), 1);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(self->v2, 7);
	EXPECT_EQ(storev_storev(variant->mode, &self->v, 5, &self->v2, 8, 6, self->index), 0);
	EXPECT_EQ(self->v, 6);
	EXPECT_EQ(self->v2, 8);
}

TEST_F(operation, cmpeqv_cmpeqv_storev)
{
	EXPECT_EQ(percpu_cmpeqv_cmpeqv_storev(variant->mode, &self->v, 4, &self->v2, 7, 6,
					      self->index), 1);
	/* Which one it was, only cpu_opv tells. */
	EXPECT_GT(percpu_cmpeqv_cmpeqv_storev(variant->mode, &self->v, 5, &self->v2, 8, 6,
					      self->index), 0);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev_flags(&self->v, 5, &self->v2, 8, 6, self->index,
						    self->flags), 2);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(percpu_cmpeqv_cmpeqv_storev(variant->mode, &self->v, 5, &self->v2, 7, 6,
					      self->index), 0);
	EXPECT_EQ(self->v, 6);
	EXPECT_EQ(self->v2, 7);
}

TEST_F(operation, cmpeqv_memcpy_storev)
{
	int (*memcpy_storev)(enum rseq_percpu_mode mode, intptr_t *v, intptr_t expect, void *dst,
			     void *src, size_t len, intptr_t newv, int index) =
		variant->release ? percpu_cmpeqv_memcpy_storev_release :
				   percpu_cmpeqv_memcpy_storev;
	char from[] = "from here", to[] = "to there!";

	EXPECT_EQ(memcpy_storev(variant->mode, &self->v, 4, to, from, sizeof(to), 6,
				self->index), 1);
	EXPECT_EQ(self->v, 5);
	EXPECT_STREQ(to, "to there!");
	EXPECT_EQ(memcpy_storev(variant->mode, &self->v, 5, to, from, sizeof(to), 6,
				self->index), 0);
	EXPECT_EQ(self->v, 6);
	EXPECT_STREQ(to, "from here");
}

/* The helpers without flags. */
TEST(cpu_op_by_cpu)
{
	intptr_t v = 5, expect = 3, load, new = 10, node[2] = { 11, 12 };
	int cpu = rseq_fallback_current_cpu();
	char to;

	if (!cpu_op_available())
		SKIP(return, "the kernel has no cpu_opv");
	EXPECT_EQ(cpu_op_addv(&v, -2, cpu), 0);
	EXPECT_EQ(cpu_op_add(&v, 256, 1, cpu), 0);
	EXPECT_EQ(cpu_op_cmpxchg(&v, &expect, &load, &new, sizeof(v), cpu), 0);
	EXPECT_EQ(cpu_op_cmpeqv_storev(&v, 10, 11, cpu), 0);
	EXPECT_EQ(cpu_op_cmpeqv_storev_storev(&v, 11, &load, 1, 12, cpu), 0);
	EXPECT_EQ(cpu_op_cmpeqv_storev_mb_storev(&v, 12, &load, 2, 13, cpu), 0);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&v, 13, &load, 2, 14, cpu), 0);
	EXPECT_EQ(cpu_op_cmpeqv_memcpy_storev(&v, 14, &to, "a", 1, 15, cpu), 0);
	EXPECT_EQ(cpu_op_cmpeqv_memcpy_mb_storev(&v, 15, &to, "b", 1, (intptr_t)node, cpu), 0);
	EXPECT_EQ(to, 'b');
	EXPECT_EQ(cpu_op_cmpnev_storeoffp_load(&v, 0, sizeof(v), &load, cpu), 0);
	EXPECT_EQ(load, (intptr_t)node);
	EXPECT_EQ(v, 12);
}

/* ---- many threads ---- */

FIXTURE(threads) {
};

FIXTURE_VARIANT(threads) {
	const char *index, *registration;
};

FIXTURE_VARIANT_ADD(threads, by_libc) { "cpu", "libc" };
FIXTURE_VARIANT_ADD(threads, by_rseq_c) { "cpu", "rseq.c" };
FIXTURE_VARIANT_ADD(threads, unregistered) { "cpu", "none" };
FIXTURE_VARIANT_ADD(threads, mm_cid_by_libc) { "mm_cid", "libc" };
FIXTURE_VARIANT_ADD(threads, mm_cid_by_rseq_c) { "mm_cid", "rseq.c" };
FIXTURE_VARIANT_ADD(threads, mm_cid_unregistered) { "mm_cid", "none" };

FIXTURE_SETUP(threads)
{
	if (!percpu_op_available(strcmp(variant->index, "cpu") ? RSEQ_PERCPU_MM_CID :
				 RSEQ_PERCPU_CPU_ID))
		SKIP(return, "the kernel has no such cpu_opv");
}

FIXTURE_TEARDOWN(threads)
{
}

/* Whether libc registers threads is decided when a program starts. */
static int run_in_new_program(const char *index, const char *what, const char *registration)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("GLIBC_TUNABLES", strcmp(registration, "libc") ? "glibc.pthread.rseq=0" :
		       "glibc.pthread.rseq=1", 1);
		execl("/proc/self/exe", "percpu_op_test", "--run", index, what, registration, NULL);
		_exit(KSFT_FAIL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return KSFT_FAIL;
	return WEXITSTATUS(status);
}

static void test_threads(struct __test_metadata *_metadata, const char *index, const char *what,
			 const char *registration)
{
	int ret = run_in_new_program(index, what, registration);

	if (ret == KSFT_SKIP)
		SKIP(return, "threads cannot be registered by %s here", registration);
	EXPECT_EQ(ret, KSFT_PASS);
}

TEST_F_TIMEOUT(threads, counter, 60)
{
	test_threads(_metadata, variant->index, "counter", variant->registration);
}

TEST_F_TIMEOUT(threads, list, 60)
{
	test_threads(_metadata, variant->index, "list", variant->registration);
}

TEST_F_TIMEOUT(threads, ring, 60)
{
	test_threads(_metadata, variant->index, "ring", variant->registration);
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "--run"))
		return percpu_op_run(argv[2], argv[3], argv[4]);
	return test_harness_run(argc, argv);
}
