// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): what another thread sees of it, or does to it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>

#include "cpu_opv_fence.h"

static bool start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	int err = pthread_create(thread, NULL, fn, arg);

	if (err)
		fail("no thread: error %d", err);
	return !err;
}

/* ---- an empty vector as a fence ---- */

static bool is_aborted(struct fence *f, bool fence)
{
	fence_enter(f);
	if (remote())
		stay_anywhere();
	if (fence)
		expect("fence", call(NULL, 0, f->cpu, 0), 0);
	return fence_leave(f);
}

void test_fence(void)
{
	int aborted = 0, round;
	const char *why;
	struct fence f;

	if (remote())
		stay_anywhere();
	why = fence_start(&f, remote() ? other_cpu() : target_cpu());
	if (why) {
		skip("%s", why);
		return;
	}
	for (round = 0; round < 30; round++)
		aborted += is_aborted(&f, true);
	expect("sections aborted by a fence", aborted, round);
	/* Without a fence it goes on where it was, or nothing was tested. */
	aborted = 0;
	for (round = 0; remote() && round < 10; round++)
		aborted += is_aborted(&f, false);
	if (remote() && aborted == round)
		fail("sections abort without a fence, too");
	fence_stop(&f);
}

/* ---- words are written and read at once ---- */

struct word {
	volatile unsigned long value;	/* all bits, or none */
	volatile int stop, started;
	size_t len;
	bool write;
	unsigned long bad;
};

/* The bytes that are in use have to be the same. */
static bool torn(unsigned long value, size_t len)
{
	unsigned long all = ~0UL >> 8 * (sizeof(value) - len);

	value &= all;
	return value && value != all;
}

static unsigned long load_word(const volatile void *p, size_t len)
{
	switch (len) {
	case 2:
		return *(const volatile uint16_t *)p;
	case 4:
		return *(const volatile uint32_t *)p;
	default:
		return *(const volatile unsigned long *)p;
	}
}

static void *other_side(void *arg)
{
	struct word *w = arg;

	stay_on(other_cpu());
	w->started = 1;
	while (!w->stop) {
		if (w->write) {
			w->value = ~0UL;
			w->value = 0;
		} else {
			unsigned long value = load_word(&w->value, w->len);

			if (torn(value, w->len))
				w->bad = value;
		}
	}
	return NULL;
}

static void check_tearing(size_t len, bool write)
{
	static const unsigned long all = ~0UL, none;
	struct word w = { .len = len, .write = write };
	unsigned long copies[CPU_OP_VEC_LEN_MAX] = { 0 };
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	pthread_t thread;

	for (int i = 0; i < CPU_OP_VEC_LEN_MAX; i++) {
		if (write)
			vec[i] = cpu_op_memcpy(&copies[i], &w.value, len);
		else if (i < 8)
			vec[i] = cpu_op_memcpy(&w.value, i % 2 ? &none : &all, len);
		else
			vec[i] = cpu_op_bitwise(CPU_XOR_OP, &w.value, ~0ULL, len);
	}
	if (!start(&thread, other_side, &w))
		return;
	wait_until(&w.started, 1);
	for (int n = 0; n < 300; n++) {
		expect("call", call(vec, CPU_OP_VEC_LEN_MAX, target_cpu(), 0), 0);
		for (int i = 0; write && i < CPU_OP_VEC_LEN_MAX; i++) {
			if (torn(copies[i], len))
				fail("%zu bytes were read as %#lx", len, copies[i]);
		}
	}
	w.stop = 1;
	pthread_join(thread, NULL);
	if (w.bad)
		fail("%zu bytes were written as %#lx", len, w.bad);
}

void test_no_tearing(void)
{
	if (other_cpu() < 0) {
		skip("needs two CPUs");
		return;
	}
	for (size_t len = 2; len <= sizeof(long); len *= 2) {
		check_tearing(len, false);
		check_tearing(len, true);
	}
}

/* ---- a vector that changes during the call ---- */

#define NR_CHANGING	3

struct changing {
	struct cpu_op *vec;
	struct cpu_op old[NR_CHANGING], new[NR_CHANGING];
	volatile int stop, started;
};

typedef uint32_t __attribute__((may_alias)) word_t;

/* Any part of it may be old or new at any time. */
static void *change(void *arg)
{
	struct changing *c = arg;
	const word_t *old = (word_t *)c->old, *new = (word_t *)c->new;
	volatile word_t *to = (word_t *)c->vec;
	uint64_t bits = 1;

	if (other_cpu() >= 0)
		stay_on(other_cpu());
	c->started = 1;
	while (!c->stop) {
		bits = bits * 6364136223846793005 + 1442695040888963407;
		for (size_t i = 0; i < sizeof(c->old) / 4; i++)
			to[i] = bits >> (i + 32) & 1 ? old[i] : new[i];
	}
	return NULL;
}

void test_changing_vector(void)
{
	struct cpu_op vec[NR_CHANGING];
	struct changing c = { .vec = vec };
	unsigned char *to;
	int done = 0, refused = 0;
	pthread_t thread;
	struct arena a;
	long end;

	if (!arena_map(&a, 5))
		return;
	arena_fill(&a);
	to = a.mem + 2 * page_size;
	c.old[0] = cpu_op_memcpy(to + 8, a.mem, 8);
	c.old[1] = cpu_op_eq(a.mem, a.mem, 8);
	c.old[2] = cpu_op_plus(to, 1, 8);
	/* Longer, elsewhere, of another type; too long; no user address. */
	c.new[0] = cpu_op_memcpy(to + 2000, a.mem + page_size, 2000);
	c.new[0].op = CPU_COMPARE_EQ_OP;
	c.new[1] = cpu_op_memcpy(to + 1000, a.mem, 5000);
	c.new[1].op = CPU_COMPARE_NE_OP;
	c.new[2] = cpu_op_plus(to, 1, 4);
	c.new[2].u.arithmetic_op.p |= 0xffffffffULL << 32;
	memcpy(vec, c.old, sizeof(vec));
	if (!start(&thread, change, &c))
		return;
	wait_until(&c.started, 1);
	end = now_ms() + 5000;
	/* The thread may have to wait for its CPU. */
	for (int n = 0; n < 3000 || ((!done || !refused) && now_ms() < end); n++) {
		int ret = call(vec, NR_CHANGING, target_cpu(), 0);

		if (ret >= 0 && ret <= 2)
			done++;
		else if (ret == -EINVAL || ret == -EFAULT)
			refused++;
		else
			fail("a vector that changes: %d", ret);
	}
	c.stop = 1;
	pthread_join(thread, NULL);
	/* Only this page is a destination. */
	memcpy(a.model + (to - a.mem), to, page_size);
	arena_check(&a, "memory around the destination");
	if (!done || !refused)
		fail("%d calls with the old vector, %d with the new one", done, refused);
	arena_unmap(&a);
}
