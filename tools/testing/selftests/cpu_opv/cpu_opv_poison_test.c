// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): operands in pages whose memory is broken, as far as madvise(2) can say so: before
 * and during calls, in place and through pins. It is the caller who gets an error or a signal; the
 * kernel, and all others, go on.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON	100
#endif

#define ROUNDS		30	/* a page is lost in each of them */
#define MAX_TRIES	50
#define OTHERS_MS	10000
#define WAIT_MS		5000

static volatile sig_atomic_t signals;

static void on_sigbus(int sig)
{
	signals++;
}

/* The page may be busy for the moment. Returns 0 or an errno. */
static int poison(void *page)
{
	int err = 0;

	for (int i = 0; i < MAX_TRIES; i++) {
		err = madvise(page, page_size, MADV_HWPOISON) ? errno : 0;
		/* It was busy, and is broken nevertheless. */
		if (i && (err == EFAULT || err == EHWPOISON))
			return 0;
		if (err != EBUSY && err != EIO && err != EAGAIN)
			break;
		sleep_ms(1);
	}
	return err;
}

static char *map_pages(int nr, int flags)
{
	char *pages = mmap(NULL, nr * page_size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS,
			   -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	madvise(pages, nr * page_size, MADV_NOHUGEPAGE);
	memset(pages, 0, nr * page_size);
	return pages;
}

FIXTURE(poison) {
	char *pages;		/* three, of which the middle one is for it */
};

FIXTURE_VARIANT(poison) {
	const char *remote;
	int flags;
};

FIXTURE_VARIANT_ADD(poison, private_local) { NULL, MAP_PRIVATE };
FIXTURE_VARIANT_ADD(poison, private_interrupt) { "interrupt", MAP_PRIVATE };
FIXTURE_VARIANT_ADD(poison, private_migrate) { "migrate", MAP_PRIVATE };
FIXTURE_VARIANT_ADD(poison, shared_local) { NULL, MAP_SHARED };
FIXTURE_VARIANT_ADD(poison, shared_interrupt) { "interrupt", MAP_SHARED };

FIXTURE_SETUP(poison)
{
	const char *why = check_settings(2);
	char *page;

	if (!why)
		why = set_up(variant->remote);
	if (why)
		SKIP(return, "%s", why);
	page = map_pages(1, MAP_PRIVATE);
	ASSERT_TRUE(page != NULL);
	/* Who says that a page is broken gets it, too. */
	signal(SIGBUS, on_sigbus);
	if (madvise(page, page_size, MADV_HWPOISON))
		SKIP(return, "no MADV_HWPOISON: errno %d", errno);
	munmap(page, page_size);
	self->pages = map_pages(3, variant->flags);
	ASSERT_TRUE(self->pages != NULL);
}

FIXTURE_TEARDOWN_PARENT(poison)
{
	restore_settings();
}

/* Words that need no pins, words that do, and operands that cross into the page or out of it. */
#define NR_KINDS	8

static int make_vec(struct cpu_op *vec, int kind, char *pages)
{
	char *good = pages + 64, *bad = pages + page_size;
	int n = 0;

	switch (kind) {
	case 0:
		vec[n++] = cpu_op_plus(bad, 1, 8);
		break;
	case 1:
		vec[n++] = cpu_op_eq(bad + 8, bad + 8, 8);
		vec[n++] = cpu_op_plus(good, 1, 8);
		break;
	case 2:
		vec[n++] = cpu_op_memcpy(good, bad + 64, 8);
		break;
	case 3:
		vec[n++] = cpu_op_plus(good, 1, 8);
		vec[n++] = cpu_op_plus(bad + 16, 1, 8);
		break;
	case 4:
		vec[n++] = cpu_op_memcpy(bad - 100, pages + 2 * page_size, 200);
		break;
	case 5:
		vec[n++] = cpu_op_memcpy(good, bad + page_size - 100, 200);
		break;
	case 6:
		vec[n++] = cpu_op_eq(good, bad + 1, 2000);
		vec[n++] = cpu_op_plus(good, 1, 8);
		break;
	default:
		vec[n++] = cpu_op_plus(good, 1, 8);
		vec[n++] = cpu_op_memcpy(good + 100, bad, 4096);
	}
	return n;
}

/* As the thread's own access: an error or a signal, and no other effect. */
static void expect_broken(struct __test_metadata *_metadata, char *pages)
{
	static char before[2][4096];
	struct cpu_op vec[4];
	int cnt, ret;

	memcpy(before[0], pages, page_size);
	memcpy(before[1], pages + 2 * page_size, page_size);
	for (int kind = 0; kind < NR_KINDS; kind++) {
		signals = 0;
		cnt = make_vec(vec, kind, pages);
		ret = call(vec, cnt, target_cpu(), 0);
		if (!signals)
			EXPECT_EQ(ret, -EFAULT)
				TH_LOG("vector %d", kind);
		/* What stops before it is not concerned. */
		vec[cnt] = vec[cnt - 1];
		memmove(vec + 1, vec, cnt * sizeof(*vec));
		vec[0] = cpu_op_ne(pages, pages, 8);
		EXPECT_EQ(call(vec, cnt + 1, target_cpu(), 0), 1)
			TH_LOG("vector %d", kind);
	}
	EXPECT_EQ(memcmp(before[0], pages, page_size), 0);
	EXPECT_EQ(memcmp(before[1], pages + 2 * page_size, page_size), 0);
}

static void expect_others_go_on(struct __test_metadata *_metadata, char *pages)
{
	intptr_t old = *(intptr_t *)(pages + 512);

	EXPECT_EQ(cpu_op_addv((intptr_t *)(pages + 512), 1, target_cpu()), 0);
	EXPECT_EQ(*(intptr_t *)(pages + 512), old + 1);
	EXPECT_EQ(run_child(use_every_cpu, NULL, OTHERS_MS), KSFT_PASS);
	EXPECT_TRUE(nothing_held());
}

TEST_F_TIMEOUT(poison, before, 60)
{
	struct cpu_op op = cpu_op_plus(self->pages + page_size, 1, 8);

	ASSERT_EQ(poison(self->pages + page_size), 0);
	expect_broken(_metadata, self->pages);
	op.u.arithmetic_op.expect_fault_p = 1;
	signals = 0;
	if (call(&op, 1, target_cpu(), 0) != -EAGAIN)
		EXPECT_GT(signals, 0);
	expect_others_go_on(_metadata, self->pages);
}

struct caller {
	char *pages;
	int kind, cpu;
	int calls, failed, error;
	bool stop;
};

static void *call_until_failed(void *arg)
{
	struct caller *caller = arg;
	struct cpu_op vec[4];
	int cnt = make_vec(vec, caller->kind, caller->pages), ret;

	while (!__atomic_load_n(&caller->stop, __ATOMIC_RELAXED)) {
		ret = call(vec, cnt, caller->cpu, 0);
		/* 1: a comparison of what vectors change. */
		if (ret < 0 && ret != -EAGAIN) {
			caller->error = -ret;
			__atomic_store_n(&caller->failed, 1, __ATOMIC_RELEASE);
			return NULL;
		}
		__atomic_store_n(&caller->calls, caller->calls + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

TEST_F_TIMEOUT(poison, during, 120)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct caller caller = {
			.pages = map_pages(3, variant->flags), .kind = i % NR_KINDS,
			.cpu = target_cpu(),
		};
		pthread_t thread;

		ASSERT_TRUE(caller.pages != NULL);
		signals = 0;
		ASSERT_EQ(pthread_create(&thread, NULL, call_until_failed, &caller), 0);
		for (int ms = 0; ms < WAIT_MS && caller.calls < 2; ms++)
			sleep_ms(1);
		usleep(random_below(1000));
		EXPECT_EQ(poison(caller.pages + page_size), 0);
		if (!wait_until(&caller.failed, 1) && !signals)
			fail("vector %d does not find that its page is broken", caller.kind);
		__atomic_store_n(&caller.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		EXPECT_GT(caller.calls, 0);
		if (!signals)
			EXPECT_EQ(caller.error, EFAULT)
				TH_LOG("vector %d", caller.kind);
		munmap(caller.pages, 3 * page_size);
	}
	EXPECT_EQ(failures(), 0);
	expect_others_go_on(_metadata, self->pages);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
