// SPDX-License-Identifier: GPL-2.0
/*
 * percpu-op.h: what each operation does, and per-CPU data that more threads than CPUs change by
 * it under preemption, timer signals and migration: a counter, a list and a ring buffer, in
 * threads that libc registered for rseq, that rseq.c registered, and that nobody registered.
 *
 * To be run with RSEQ_DISABLE unset, 1 and random.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "percpu-op.h"
#include "percpu_op_run.h"

#include "../kselftest_harness.h"

/* ---- each operation, on the CPU where the thread is ---- */

FIXTURE(operation) {
	int cpu;
	intptr_t v, v2, load;
};

FIXTURE_VARIANT(operation) {
	int (*cmpeqv_storev)(intptr_t *v, intptr_t expect, intptr_t newv, int cpu);
	int (*cmpnev_storeoffp_load)(intptr_t *v, intptr_t expectnot, long voffp, intptr_t *load,
				     int cpu);
	int (*storev_storev)(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
			     intptr_t newv, int cpu);
	int (*cmpeqv_cmpeqv_storev)(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t expect2,
				    intptr_t newv, int cpu);
	int (*memcpy_storev)(intptr_t *v, intptr_t expect, void *dst, void *src, size_t len,
			     intptr_t newv, int cpu);
};

/* Sequences need the offset as a constant. */
static int percpu_pop(intptr_t *v, intptr_t expectnot, long voffp, intptr_t *load, int cpu)
{
	return percpu_cmpnev_storeoffp_load(v, expectnot, sizeof(intptr_t), load, cpu);
}

FIXTURE_VARIANT_ADD(operation, percpu) {
	percpu_cmpeqv_storev, percpu_pop, percpu_cmpeqv_storev_storev,
	percpu_cmpeqv_cmpeqv_storev, percpu_cmpeqv_memcpy_storev,
};

FIXTURE_VARIANT_ADD(operation, percpu_release) {
	percpu_cmpeqv_storev, percpu_pop, percpu_cmpeqv_storev_storev_release,
	percpu_cmpeqv_cmpeqv_storev, percpu_cmpeqv_memcpy_storev_release,
};

FIXTURE_VARIANT_ADD(operation, cpu_op) {
	cpu_op_cmpeqv_storev, cpu_op_cmpnev_storeoffp_load, cpu_op_cmpeqv_storev_storev,
	cpu_op_cmpeqv_cmpeqv_storev, cpu_op_cmpeqv_memcpy_storev,
};

FIXTURE_VARIANT_ADD(operation, cpu_op_mb) {
	cpu_op_cmpeqv_storev, cpu_op_cmpnev_storeoffp_load, cpu_op_cmpeqv_storev_mb_storev,
	cpu_op_cmpeqv_cmpeqv_storev, cpu_op_cmpeqv_memcpy_mb_storev,
};

FIXTURE_SETUP(operation)
{
	if (!cpu_op_available())
		SKIP(return, "the kernel has no cpu_opv");
	self->cpu = percpu_current_cpu();
	self->v = 5;
	self->v2 = 7;
	self->load = 9;
}

FIXTURE_TEARDOWN(operation)
{
}

TEST_F(operation, addv)
{
	EXPECT_EQ(percpu_addv(&self->v, -2, self->cpu), 0);
	EXPECT_EQ(self->v, 3);
	EXPECT_EQ(cpu_op_addv(&self->v, -8, self->cpu), 0);
	EXPECT_EQ(self->v, -5);
	EXPECT_EQ(cpu_op_add(&self->v, 256 + 6, 1, self->cpu), 0);
	EXPECT_EQ(self->v & 0xff, 1);
	EXPECT_EQ(self->v >> 8, -1);
}

TEST_F(operation, cmpxchg)
{
	intptr_t expect = 6, new = 10;

	EXPECT_EQ(cpu_op_cmpxchg(&self->v, &expect, &self->load, &new, sizeof(new), self->cpu), 2);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(self->load, 5);
	expect = 5;
	self->load = 0;
	EXPECT_EQ(cpu_op_cmpxchg(&self->v, &expect, &self->load, &new, sizeof(new), self->cpu), 0);
	EXPECT_EQ(self->v, 10);
	EXPECT_EQ(self->load, 5);
}

TEST_F(operation, cmpeqv_storev)
{
	EXPECT_EQ(variant->cmpeqv_storev(&self->v, 4, 6, self->cpu), 1);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(variant->cmpeqv_storev(&self->v, 5, 6, self->cpu), 0);
	EXPECT_EQ(self->v, 6);
}

TEST_F(operation, cmpnev_storeoffp_load)
{
	intptr_t node[2] = { 11, 12 };

	self->v = (intptr_t)node;
	EXPECT_EQ(variant->cmpnev_storeoffp_load(&self->v, (intptr_t)node, sizeof(*node),
						 &self->load, self->cpu), 1);
	EXPECT_EQ(self->v, (intptr_t)node);
	EXPECT_EQ(self->load, 9);
	EXPECT_EQ(variant->cmpnev_storeoffp_load(&self->v, 0, sizeof(*node), &self->load,
						 self->cpu), 0);
	EXPECT_EQ(self->v, 12);
	EXPECT_EQ(self->load, (intptr_t)node);
}

TEST_F(operation, cmpnev_storeoffp_load_unmapped)
{
	/* A sequence would end in a page fault that kills. */
	self->v = 8;
	EXPECT_EQ(cpu_op_cmpnev_storeoffp_load(&self->v, 0, 0, &self->load, self->cpu), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(self->v, 8);
	EXPECT_EQ(self->load, 9);
}

TEST_F(operation, cmpeqv_storev_storev)
{
	EXPECT_EQ(variant->storev_storev(&self->v, 4, &self->v2, 8, 6, self->cpu), 1);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(self->v2, 7);
	EXPECT_EQ(variant->storev_storev(&self->v, 5, &self->v2, 8, 6, self->cpu), 0);
	EXPECT_EQ(self->v, 6);
	EXPECT_EQ(self->v2, 8);
}

TEST_F(operation, cmpeqv_cmpeqv_storev)
{
	EXPECT_EQ(variant->cmpeqv_cmpeqv_storev(&self->v, 4, &self->v2, 7, 6, self->cpu), 1);
	/* Which one it was, only cpu_opv tells. */
	EXPECT_GT(variant->cmpeqv_cmpeqv_storev(&self->v, 5, &self->v2, 8, 6, self->cpu), 0);
	EXPECT_EQ(cpu_op_cmpeqv_cmpeqv_storev(&self->v, 5, &self->v2, 8, 6, self->cpu), 2);
	EXPECT_EQ(self->v, 5);
	EXPECT_EQ(variant->cmpeqv_cmpeqv_storev(&self->v, 5, &self->v2, 7, 6, self->cpu), 0);
	EXPECT_EQ(self->v, 6);
	EXPECT_EQ(self->v2, 7);
}

TEST_F(operation, cmpeqv_memcpy_storev)
{
	char from[] = "from here", to[] = "to there!";

	EXPECT_EQ(variant->memcpy_storev(&self->v, 4, to, from, sizeof(to), 6, self->cpu), 1);
	EXPECT_EQ(self->v, 5);
	EXPECT_STREQ(to, "to there!");
	EXPECT_EQ(variant->memcpy_storev(&self->v, 5, to, from, sizeof(to), 6, self->cpu), 0);
	EXPECT_EQ(self->v, 6);
	EXPECT_STREQ(to, "from here");
}

/* ---- many threads ---- */

FIXTURE(threads) {
};

FIXTURE_VARIANT(threads) {
	const char *registration;
};

FIXTURE_VARIANT_ADD(threads, by_libc) { "libc" };
FIXTURE_VARIANT_ADD(threads, by_rseq_c) { "rseq.c" };
FIXTURE_VARIANT_ADD(threads, unregistered) { "none" };

FIXTURE_SETUP(threads)
{
	if (!cpu_op_available())
		SKIP(return, "the kernel has no cpu_opv");
}

FIXTURE_TEARDOWN(threads)
{
}

/* Whether libc registers threads is decided when a program starts. */
static int run_in_new_program(const char *what, const char *registration)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("GLIBC_TUNABLES", strcmp(registration, "libc") ? "glibc.pthread.rseq=0" :
		       "glibc.pthread.rseq=1", 1);
		execl("/proc/self/exe", "percpu_op_test", "--run", what, registration, NULL);
		_exit(KSFT_FAIL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return KSFT_FAIL;
	return WEXITSTATUS(status);
}

static void test_threads(struct __test_metadata *_metadata, const char *what,
			 const char *registration)
{
	int ret = run_in_new_program(what, registration);

	if (ret == KSFT_SKIP)
		SKIP(return, "threads cannot be registered by %s here", registration);
	EXPECT_EQ(ret, KSFT_PASS);
}

TEST_F_TIMEOUT(threads, counter, 60)
{
	test_threads(_metadata, "counter", variant->registration);
}

TEST_F_TIMEOUT(threads, list, 60)
{
	test_threads(_metadata, "list", variant->registration);
}

TEST_F_TIMEOUT(threads, ring, 60)
{
	test_threads(_metadata, "ring", variant->registration);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--run"))
		return percpu_op_run(argv[2], argv[3]);
	return test_harness_run(argc, argv);
}
