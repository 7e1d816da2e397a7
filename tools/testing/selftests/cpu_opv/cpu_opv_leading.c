// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): comparisons before the first store. They decide before anything behind them
 * is touched, so that a vector can start with a check that an address is still good.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu_opv_test.h"

#define MAX		CPU_OP_VEC_LEN_MAX

/* ---- what stops, and what does not ---- */

/* The comparison, of @len bytes at @p, that goes on or stops. */
static struct cpu_op goes_on(unsigned char *p, size_t len)
{
	return cpu_op_eq(p, p, len);
}

static struct cpu_op stops(unsigned char *p, size_t len)
{
	return cpu_op_ne(p, p, len);
}

static void check_bad(struct arena *a, struct cpu_op bad, int error, size_t len)
{
	unsigned char *p = a->mem + page_size - 8;
	struct cpu_op vec[MAX];

	/* Each of those before it can stop; if none does, it fails. */
	for (int i = 0; i < MAX - 1; i++)
		vec[i] = i % 4 == 3 ? cpu_op_mb() : goes_on(p, len);
	vec[MAX - 1] = bad;
	check_vec(a, vec, MAX, error);
	for (int i = 0; i < MAX - 1; i += 2) {
		vec[i] = stops(p, len);
		check_vec(a, vec, MAX, i + 1);
		vec[i] = goes_on(p, len);
	}
	/* One behind it stops nothing. */
	vec[0] = bad;
	vec[MAX - 1] = stops(p, len);
	check_vec(a, vec, MAX, error);
	/* One behind a store neither, and nothing is stored. */
	vec[0] = cpu_op_plus(a->mem, 1, 8);
	vec[1] = stops(p, len);
	vec[2] = bad;
	check_vec(a, vec, 3, error);
	vec[0] = cpu_op_memcpy(a->mem + 64, a->mem + 8, 8);
	check_vec(a, vec, 3, error);
	/* One before all stores stops, whatever is behind them. */
	vec[0] = stops(p, len);
	vec[1] = cpu_op_plus(a->mem, 1, 8);
	check_vec(a, vec, 3, 1);
	vec[0] = goes_on(p, len);
	check_vec(a, vec, 3, error);
}

static void check_each(struct arena *a, uint64_t addr, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
		struct cpu_op bad = valid_op(operands[i].type, a->mem + 512, a->mem + 1024, 8);
		int before = failures();

		set_operand(&bad, &operands[i], addr);
		check_bad(a, bad, -EFAULT, len);
		set_byte(&bad, operands[i].expect_fault, 1);
		check_bad(a, bad, -EAGAIN, len);
		explain(before, "operand: %s at %#llx", operands[i].name,
			(unsigned long long)addr);
	}
}

static void leading(struct arena *a)
{
	unsigned char *end = a->mem + a->size;
	const uint64_t bad[] = {
		cpu_op_ptr(end), 0, 0xffff888000000000, 0x800000000000, UINT64_MAX - 7,
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		/* Words, which need no pins, and what does. */
		check_each(a, bad[i], 8);
		check_each(a, bad[i], 100);
	}
}

void test_leading(void)
{
	on_arena(leading);
}

/* Of an operand that crosses into a page that is not there, too. */
static void leading_crossing(struct arena *a)
{
	unsigned char *end = a->mem + a->size, *p = a->mem + page_size - 50;

	for (size_t len = 2; len <= 200; len = 3 * len) {
		check_bad(a, cpu_op_memcpy(end - len / 2, p, len), -EFAULT, 100);
		check_bad(a, cpu_op_memcpy(p, end - len / 2, len), -EFAULT, 100);
		check_bad(a, cpu_op_eq(p, end - len / 2, len), -EFAULT, 8);
		check_bad(a, cpu_op_ne(end - len / 2, p, len), -EFAULT, 100);
		check_bad(a, cpu_op_memcpy(p, a->mem - len / 2, len), -EFAULT, 8);
	}
}

void test_leading_crossing(void)
{
	on_arena(leading_crossing);
}

/* ---- a list whose nodes are unmapped as soon as somebody has them ---- */

#define NR_NODES	1000
#define NR_POPPERS	3

struct node {
	intptr_t next, number;
};

struct popping {
	intptr_t head;
	int cpu;
	unsigned char *pages;
	int taken[NR_NODES];
	int stale, failed;
};

/* Returns 0, or what the call returned. */
static int pop(struct popping *p, intptr_t old, bool pinned)
{
	struct node *node = (struct node *)old;
	intptr_t number = -1;
	struct cpu_op vec[3];
	int ret, cnt = 0;

	vec[cnt++] = cpu_op_eq(&p->head, &old, sizeof(old));
	if (pinned)
		vec[cnt++] = cpu_op_memcpy(&number, &node->number, sizeof(number));
	vec[cnt++] = cpu_op_memcpy(&p->head, &node->next, sizeof(old));
	ret = call(vec, cnt, p->cpu, 0);
	if (ret)
		return ret;
	if (!pinned)
		number = node->number;
	if (number != ((unsigned char *)node - p->pages) / (long)page_size)
		fail("node %ld says that it is %ld", ((unsigned char *)node - p->pages) /
		     (long)page_size, (long)number);
	else
		__atomic_add_fetch(&p->taken[number], 1, __ATOMIC_RELAXED);
	munmap(node, page_size);
	return 0;
}

static void *pop_all(void *arg)
{
	struct popping *p = arg;
	intptr_t old;
	int ret;

	for (int i = 0; (old = *(volatile intptr_t *)&p->head); i++) {
		/* Time for others to take it. */
		if (i % 2)
			sched_yield();
		ret = pop(p, old, i % 4 / 2);
		if (ret == 1) {
			__atomic_add_fetch(&p->stale, 1, __ATOMIC_RELAXED);
		} else if (ret) {
			__atomic_add_fetch(&p->failed, 1, __ATOMIC_RELAXED);
			fail("a node that may be unmapped: %d", ret);
			break;
		}
	}
	return NULL;
}

static bool fill_list(struct popping *p)
{
	p->pages = mmap(NULL, NR_NODES * page_size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->pages == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return false;
	}
	for (int i = 0; i < NR_NODES; i++) {
		struct node *node = (struct node *)(p->pages + i * page_size);

		node->number = i;
		node->next = p->head;
		p->head = (intptr_t)node;
	}
	return true;
}

/* Without any operand of which an error is expected, no call ever has one. */
void test_pop_and_unmap(void)
{
	struct popping p = { .cpu = target_cpu() };
	pthread_t threads[NR_POPPERS];
	int nr = 0;

	if (!fill_list(&p))
		return;
	while (nr < NR_POPPERS && !pthread_create(&threads[nr], NULL, pop_all, &p))
		nr++;
	expect("threads", nr, NR_POPPERS);
	while (nr-- > 0)
		pthread_join(threads[nr], NULL);
	for (int i = 0; !p.failed && i < NR_NODES; i++) {
		if (p.taken[i] != 1)
			fail("node %d was taken %d times", i, p.taken[i]);
	}
	comment("%d times the node had been taken", p.stale);
	if (!p.stale)
		fail("nobody was too late");
}
