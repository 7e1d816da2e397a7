// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): which of several operands fails, operands of no bytes,
 * and vectors that cannot be read.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "cpu_opv_test.h"

#define MAX	CPU_OP_VEC_LEN_MAX

static const uint64_t kernel_addr = 0xffff888000000000;

/* Both operands are bad: the first one tells the error. */
static void both_operands(struct arena *a, uint64_t first, uint64_t second)
{
	for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
		const struct operand *operand = &operands[i];
		struct cpu_op op = valid_op(operand->type, NULL, NULL, 8);

		/* Those that are the first of two. */
		if (operand->addr != 8 || operand->words_only)
			continue;
		set_operand(&op, operand, first);
		set_operand(&op, operand + 1, second);
		check_op(a, op, -EFAULT);
		set_byte(&op, operand->other_expect_fault, 1);
		check_op(a, op, -EFAULT);
		set_byte(&op, operand->expect_fault, 1);
		check_op(a, op, -EAGAIN);
		set_byte(&op, operand->other_expect_fault, 0);
		check_op(a, op, -EAGAIN);
	}
}

/* Of two operations the first one tells it, whatever is wrong with either. */
static void both_operations(struct arena *a, uint64_t first, uint64_t second)
{
	struct cpu_op vec[3] = {
		cpu_op_memcpy(a->mem + 256, NULL, 8), cpu_op_plus(a->mem, 1, 8),
		cpu_op_plus(NULL, 1, 8),
	};

	vec[0].u.memcpy_op.src = first;
	vec[2].u.arithmetic_op.p = second;
	check_vec(a, vec, 3, -EFAULT);
	vec[2].u.arithmetic_op.expect_fault_p = 1;
	check_vec(a, vec, 3, -EFAULT);
	vec[0].u.memcpy_op.expect_fault_src = 1;
	check_vec(a, vec, 3, -EAGAIN);
	vec[2].u.arithmetic_op.expect_fault_p = 0;
	check_vec(a, vec, 3, -EAGAIN);
}

/* A read-only page that one operand may read and another one cannot write. */
static void shared_page(struct arena *a, unsigned char *page)
{
	struct cpu_op vec[2] = { cpu_op_eq(page, page, 8), cpu_op_plus(page, 1, 8) };

	check_vec(a, vec, 2, -EFAULT);
	vec[0].u.compare_op.expect_fault_a = 1;
	vec[0].u.compare_op.expect_fault_b = 1;
	check_vec(a, vec, 2, -EFAULT);
	vec[1].u.arithmetic_op.expect_fault_p = 1;
	check_vec(a, vec, 2, -EAGAIN);
	vec[0].u.compare_op.expect_fault_a = 0;
	vec[0].u.compare_op.expect_fault_b = 0;
	check_vec(a, vec, 2, -EAGAIN);

	vec[0] = cpu_op_memcpy(page, page, 8);
	vec[0].u.memcpy_op.expect_fault_src = 1;
	check_vec(a, vec, 1, -EFAULT);
	vec[0].u.memcpy_op.expect_fault_src = 0;
	vec[0].u.memcpy_op.expect_fault_dst = 1;
	check_vec(a, vec, 1, -EAGAIN);
}

static void order(struct arena *a)
{
	unsigned char *page = a->mem + 2 * page_size;
	const uint64_t bad[] = { kernel_addr, cpu_op_ptr(a->mem + a->size), UINT64_MAX - 7, 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad) * ARRAY_LEN(bad); i++) {
		both_operands(a, bad[i / 4], bad[i % 4]);
		both_operations(a, bad[i / 4], bad[i % 4]);
	}
	mprotect(page, page_size, PROT_READ);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		both_operations(a, bad[i], cpu_op_ptr(page));
	shared_page(a, page);
	mprotect(page, page_size, PROT_READ | PROT_WRITE);
}

void test_fault_order(void)
{
	on_arena(order);
}

/* No bytes are nowhere: the address does not matter. */
static void no_bytes(struct arena *a)
{
	const uint64_t fine[] = {
		cpu_op_ptr(a->mem), cpu_op_ptr(a->mem) + 1, cpu_op_ptr(a->mem + a->size), 0, 1,
		0x1000, cpu_op_ptr(a->mem + 2 * page_size), kernel_addr,
		kernel_addr + 1, 0xffffffff81000000, UINT64_MAX, 1ULL << 63,
	};

	mprotect(a->mem + 2 * page_size, page_size, PROT_READ);
	for (size_t i = 0; i < 6; i++) {
		const struct operand *operand = &operands[i];
		bool ne = operand->type == CPU_COMPARE_NE_OP;
		struct cpu_op op;

		for (size_t n = 0; n < ARRAY_LEN(fine); n++) {
			op = valid_op(operand->type, a->mem, a->mem, 0);
			set_operand(&op, operand, fine[n]);
			check_op(a, op, ne);
			set_byte(&op, operand->expect_fault, 1);
			check_op(a, op, ne);
		}
	}
	mprotect(a->mem + 2 * page_size, page_size, PROT_READ | PROT_WRITE);
}

void test_no_bytes(void)
{
	on_arena(no_bytes);
}

static void expect_unreadable(struct arena *a, uint64_t vec, int cnt)
{
	/* No program can pass an address that does not fit. */
	if ((uintptr_t)vec != vec)
		return;
	expect("unreadable vector", call((void *)(uintptr_t)vec, cnt, target_cpu(), 0), -EFAULT);
	arena_check(a, "memory after an unreadable vector");
}

static void bad_vector(struct arena *a)
{
	static const uint64_t addrs[] = {
		0, 1, 0x1000, 0xffff888000000000, 0xffffffff81000000, 1ULL << 63, UINT64_MAX,
		UINT64_MAX - 31, UINT64_MAX - 4095, UINT32_MAX, UINT32_MAX - 31,
	};
	struct cpu_op *vec = (struct cpu_op *)(a->mem + a->size) - MAX;
	struct cpu_op op = cpu_op_plus(a->mem, 1, 8);
	void *hidden;

	for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
		expect_unreadable(a, addrs[i], 1);
		expect_unreadable(a, addrs[i], MAX);
	}
	/* Good operations, of which the last is not there as a whole. */
	for (int i = 0; i < MAX; i++)
		arena_set(a, &vec[i], &op, sizeof(op));
	for (int cnt = 1; cnt <= MAX; cnt++) {
		expect_unreadable(a, cpu_op_ptr(&vec[MAX - cnt + 1]), cnt);
		check_vec(a, &vec[MAX - cnt], cnt, 0);
	}
	for (int off = 1; off < 32; off++) {
		unsigned char *at = (unsigned char *)(vec + MAX - 2) + off;

		for (int i = 0; i < 2; i++)
			arena_set(a, at + i * 32, &op, 32 - i * off);
		expect_unreadable(a, cpu_op_ptr(at), 2);
		check_vec(a, (struct cpu_op *)at, 1, 0);
	}
	/* Good ones that may not be read. */
	hidden = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(hidden, &op, sizeof(op));
	mprotect(hidden, page_size, PROT_NONE);
	expect_unreadable(a, cpu_op_ptr(hidden), 1);
	munmap(hidden, page_size);
	expect_unreadable(a, cpu_op_ptr(hidden), 1);
}

void test_bad_vector(void)
{
	on_arena(bad_vector);
}
