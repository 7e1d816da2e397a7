// SPDX-License-Identifier: GPL-2.0
/*
 * Why cpu_opv(2) exists: memory is so short that whatever is not in use at the moment is swapped
 * out. A restartable sequence then has to wait for the disk when it touches its data, and whoever
 * waits is not on the CPU: the sequence is aborted. When it is tried again, the data are swapped
 * out again. cpu_opv(2) has the pages stay in memory before it starts.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "cpu_opv_control.h"
#include "cpu_opv_pageout.h"
#include "percpu-op.h"

#include "../kselftest_harness.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define ATTEMPTS	30
#define BYTES		2000
#define LOOP_US		3000000

/* Each on a page of its own, or across two. */
struct shelf {
	intptr_t v __attribute__((aligned(4096)));
	char src[BYTES] __attribute__((aligned(4096)));
	char dst_page[8192] __attribute__((aligned(4096)));
};

FIXTURE(thrash) {
	struct shelf *shelf;
	char *dst;
	volatile bool stop;
	long pageouts;
};

FIXTURE_VARIANT(thrash) {
	enum rseq_percpu_mode mode;
};

FIXTURE_VARIANT_ADD(thrash, cpu) { RSEQ_PERCPU_CPU_ID };
FIXTURE_VARIANT_ADD(thrash, mm_cid) { RSEQ_PERCPU_MM_CID };

FIXTURE_SETUP(thrash)
{
	const char *why;

	if (rseq_register_current_thread())
		SKIP(return, "the kernel has no rseq");
	why = pageout_begin();
	if (why)
		SKIP(return, "%s", why);
	self->shelf = mmap(NULL, sizeof(*self->shelf), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->shelf != MAP_FAILED);
	madvise(self->shelf, sizeof(*self->shelf), MADV_NOHUGEPAGE);
	memset(self->shelf, 1, sizeof(*self->shelf));
	self->shelf->v = 0;
	self->dst = self->shelf->dst_page + 4096 - BYTES / 2;
	if (!pageout(self->shelf, sizeof(*self->shelf)) ||
	    resident_pages(self->shelf, sizeof(*self->shelf))) {
		pageout_end();
		SKIP(return, "memory is not swapped out, or not soon");
	}
}

FIXTURE_TEARDOWN(thrash)
{
	if (self->dst)
		pageout_end();
}

/* One attempt to publish the next record; as percpu-op.h returns. */
static int attempt(FIXTURE_DATA(thrash) *self, enum rseq_percpu_mode mode, intptr_t old,
		   bool rseq_only)
{
	struct shelf *shelf = self->shelf;
	int index = percpu_current_index(mode);

	if (rseq_only)
		return rseq_cmpeqv_trymemcpy_storev(RSEQ_MO_RELAXED, mode, &shelf->v, old,
						    self->dst, shelf->src, BYTES, old + 1, index);
	return percpu_cmpeqv_memcpy_storev(mode, &shelf->v, old, self->dst, shelf->src, BYTES,
					   old + 1, index);
}

static long major_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) ? -1 : usage.ru_majflt;
}

static long all_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) ? -1 : usage.ru_majflt + usage.ru_minflt;
}

static void swap_out(struct __test_metadata *_metadata, FIXTURE_DATA(thrash) *self)
{
	ASSERT_TRUE(pageout(self->shelf, sizeof(*self->shelf)));
	ASSERT_EQ(resident_pages(self->shelf, sizeof(*self->shelf)), 0);
}

/* As long as there is memory, the first attempt or one of the next ones gets through. */
TEST_F(thrash, enough_memory)
{
	int i;

	for (i = 0; i < ATTEMPTS && attempt(self, variant->mode, 0, true); i++)
		;
	EXPECT_LT(i, ATTEMPTS);
	EXPECT_EQ(self->shelf->v, 1);
}

TEST_F_TIMEOUT(thrash, rseq_only, 60)
{
	long before = major_faults(), faults;

	for (int i = 0; i < ATTEMPTS; i++) {
		swap_out(_metadata, self);
		EXPECT_EQ(attempt(self, variant->mode, 0, true), -1);
	}
	faults = major_faults() - before;
	TH_LOG("%d attempts, %ld major faults, no progress", ATTEMPTS, faults);
	EXPECT_GE(faults, ATTEMPTS);
	EXPECT_EQ(self->shelf->v, 0);
}

TEST_F_TIMEOUT(thrash, percpu_op, 60)
{
	if (!percpu_op_available(variant->mode))
		SKIP(return, "the kernel has no such cpu_opv");
	for (int i = 0; i < ATTEMPTS; i++) {
		swap_out(_metadata, self);
		EXPECT_EQ(attempt(self, variant->mode, i, false), 0);
		EXPECT_EQ(self->shelf->v, i + 1);
		EXPECT_EQ(memcmp(self->dst, self->shelf->src, BYTES), 0);
		memset(self->shelf->src, i, BYTES);
	}
	EXPECT_TRUE(nothing_held());
}

static void *swap_out_always(void *arg)
{
	FIXTURE_DATA(thrash) *self = arg;

	for (; !self->stop; self->pageouts++) {
		madvise(self->shelf, sizeof(*self->shelf), MADV_PAGEOUT);
		sleep_ms(1);
	}
	return NULL;
}

/* At the same time, at any point of the call. */
TEST_F_TIMEOUT(thrash, under_pageout, 60)
{
	long long end = time_us() + LOOP_US;
	long before = all_faults();
	pthread_t thread;
	intptr_t done = 0;

	if (!percpu_op_available(variant->mode))
		SKIP(return, "the kernel has no such cpu_opv");
	ASSERT_EQ(pthread_create(&thread, NULL, swap_out_always, self), 0);
	while (time_us() < end) {
		int index = percpu_current_index(variant->mode);

		ASSERT_EQ(cpu_op_cmpeqv_memcpy_storev_flags(&self->shelf->v, done, self->dst,
							    self->shelf->src, BYTES, done + 1, index,
							    percpu_op_flags(variant->mode)), 0);
		done++;
		ASSERT_EQ(memcmp(self->dst, self->shelf->src, BYTES), 0);
		memset(self->shelf->src, done, BYTES);
	}
	self->stop = true;
	pthread_join(thread, NULL);
	TH_LOG("%ld calls, %ld times swapped out, %ld faults", (long)done, self->pageouts,
	       all_faults() - before);
	EXPECT_EQ(self->shelf->v, done);
	/* Otherwise nothing was tested. */
	EXPECT_GT(self->pageouts, 10);
	EXPECT_GT(all_faults() - before, 0);
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
