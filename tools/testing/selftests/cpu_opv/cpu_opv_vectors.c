// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): where vectors stop, how long they are, where they lie. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu_opv_test.h"

#define MAX	CPU_OP_VEC_LEN_MAX

/* Every comparison in every position stops it; the one before it is in effect. */
void test_stopping(void)
{
	struct cpu_op vec[MAX];
	struct arena a;

	if (!arena_map(&a, 2))
		return;
	arena_fill(&a);
	for (int at = 0; at < MAX; at++) {
		for (int kind = 0; kind < 4; kind++) {
			unsigned char *word = a.mem + 64 * kind, *same = word + page_size;
			bool ne = kind % 2, more = kind / 2;

			for (int i = 0; i < MAX; i++)
				vec[i] = cpu_op_plus(word + 8 + 8 * i, 1, 8);
			arena_set(&a, same, word, 8);
			if (!ne)
				arena_flip(&a, same + 7);
			vec[at] = ne ? cpu_op_ne(word, same, 8) : cpu_op_eq(word, same, 8);
			/* The first one that stops counts, not those that do not hold later. */
			for (int i = at + 1; more && i < MAX; i += 2)
				vec[i] = vec[at];
			/* Those that hold do not stop it. */
			for (int i = 0; more && i < at; i += 2) {
				vec[i] = vec[at];
				vec[i].op = ne ? CPU_COMPARE_EQ_OP : CPU_COMPARE_NE_OP;
			}
			check_vec(&a, vec, MAX, at + 1);
			check_vec(&a, vec, at + 1, at + 1);
			check_vec(&a, vec, at, 0);
		}
	}
	/* The comparison sees what the operation before it did. */
	arena_set(&a, a.mem + 8, a.mem, 8);
	vec[0] = cpu_op_plus(a.mem, 1, 8);
	vec[1] = cpu_op_ne(a.mem, a.mem + 8, 8);
	vec[2] = cpu_op_memcpy(a.mem + 8, a.mem, 8);
	vec[3] = cpu_op_eq(a.mem, a.mem + 8, 8);
	vec[4] = cpu_op_shift(CPU_LSHIFT_OP, a.mem, 0, 8);
	vec[5] = cpu_op_ne(a.mem, a.mem + 8, 8);
	vec[6] = cpu_op_plus(a.mem, 1, 8);
	check_vec(&a, vec, 7, 6);
	arena_unmap(&a);
}

/* No operations: the vector does not matter. */
void test_empty(void)
{
	struct cpu_op op = { .op = -1 };

	for (int i = 0; i < 20; i++) {
		expect("no vector", call(NULL, 0, target_cpu(), 0), 0);
		expect("bad vector", call((void *)-1L, 0, target_cpu(), 0), 0);
		expect("bad operation", call(&op, 0, target_cpu(), 0), 0);
	}
}

/* Nothing but one of these three flags matters. */
void test_queries(void)
{
	static const int cnts[] = { 0, 1, 17, -1, INT_MAX, INT_MIN };
	static const int cpus[] = { 0, -1, INT_MAX, INT_MIN };
	static const unsigned int flags[] = { 16, 32, 0x80000000, 0x40000000, 0xfffffff8, 0x10000 };
	const unsigned int all = CPU_OP_NR_FLAG | CPU_OP_VEC_LEN_MAX_FLAG | CPU_OP_FLAGS_FLAG;
	struct cpu_op bad = { .op = -1 };
	struct cpu_op *const vecs[] = { NULL, (void *)-1L, (void *)1L, &bad };

	for (size_t i = 0; i < ARRAY_LEN(cnts) * ARRAY_LEN(cpus) * ARRAY_LEN(vecs); i++) {
		struct cpu_op *vec = vecs[i % 4];
		int cpu = cpus[i / 4 % 4], cnt = cnts[i / 16];

		expect("operations", call(vec, cnt, cpu, CPU_OP_NR_FLAG), NR_CPU_OPS);
		expect("longest vector", call(vec, cnt, cpu, CPU_OP_VEC_LEN_MAX_FLAG), MAX);
		expect("flags", call(vec, cnt, cpu, CPU_OP_FLAGS_FLAG), 15);
		for (unsigned int flag = CPU_OP_NR_FLAG; flag <= CPU_OP_FLAGS_FLAG; flag <<= 1)
			expect("two queries", call(vec, cnt, cpu, all & ~flag), -EINVAL);
		expect("all queries", call(vec, cnt, cpu, all), -EINVAL);
		for (size_t f = 0; f < ARRAY_LEN(flags); f++) {
			expect("unknown flag", call(vec, cnt, cpu, flags[f]), -EINVAL);
			expect("and a query", call(vec, cnt, cpu, flags[f] | CPU_OP_NR_FLAG),
			       -EINVAL);
			expect("and the other",
			       call(vec, cnt, cpu, flags[f] | CPU_OP_VEC_LEN_MAX_FLAG), -EINVAL);
			expect("and the third", call(vec, cnt, cpu, flags[f] | CPU_OP_FLAGS_FLAG),
			       -EINVAL);
		}
	}
	expect("operations, as a number", NR_CPU_OPS, 10);
	expect("longest vector, as a number", MAX, 16);
}

/* @nr copies of @len bytes, one after the other. */
static void copies(struct arena *a, struct cpu_op *vec, int nr, size_t len)
{
	for (int i = 0; i < nr; i++)
		vec[i] = cpu_op_memcpy(a->mem + 2 * page_size + i, a->mem + 3 * i, len);
}

/* Numbers of operations and of bytes, and the first ones that are too many. */
void test_limits(void)
{
	struct cpu_op vec[MAX + 1];
	struct arena a;

	if (!arena_map(&a, 5))
		return;
	arena_fill(&a);
	copies(&a, vec, MAX + 1, 8);
	for (int cnt = 0; cnt <= MAX; cnt++)
		check_vec(&a, vec, cnt, 0);
	check_vec(&a, vec, MAX + 1, -EINVAL);

	check_op(&a, cpu_op_memcpy(a.mem + 2 * page_size, a.mem, 4096), 0);
	check_op(&a, cpu_op_memcpy(a.mem + 2 * page_size, a.mem, 4097), -EINVAL);

	/* 4096 + 15 * 8 = 4216 bytes, and 4217: words alone have no odd sum. */
	copies(&a, vec, MAX, 8);
	vec[7].len = 4096;
	check_vec(&a, vec, MAX, 0);
	vec[3].len = 9;
	check_vec(&a, vec, MAX, -EINVAL);
	vec[3].len = 1;
	vec[4].len = 15;
	check_vec(&a, vec, MAX, 0);
	vec[5].len = 9;
	check_vec(&a, vec, MAX, -EINVAL);

	copies(&a, vec, MAX, 263);
	check_vec(&a, vec, MAX, 0);
	vec[0].len += 8;
	check_vec(&a, vec, MAX, 0);
	vec[15].len += 1;
	check_vec(&a, vec, MAX, -EINVAL);
	copies(&a, vec, 2, 2108);
	check_vec(&a, vec, 2, 0);
	vec[1].len++;
	check_vec(&a, vec, 2, -EINVAL);
	copies(&a, vec, MAX, 4096);
	check_vec(&a, vec, 1, 0);
	check_vec(&a, vec, 2, -EINVAL);
	check_vec(&a, vec, MAX, -EINVAL);

	/* Comparisons count, and once; words count; operations behind a stop count. */
	vec[0] = cpu_op_eq(a.mem, a.mem, 4096);
	vec[1] = cpu_op_eq(a.mem, a.mem, 112);
	vec[2] = cpu_op_plus(a.mem, 1, 8);
	check_vec(&a, vec, 3, 0);
	vec[3] = cpu_op_plus(a.mem, 1, 1);
	check_vec(&a, vec, 4, -EINVAL);
	vec[0].op = CPU_COMPARE_NE_OP;
	check_vec(&a, vec, 4, -EINVAL);
	check_vec(&a, vec, 3, 1);
	/* No bytes do not. */
	vec[3] = cpu_op_memcpy(a.mem, a.mem, 0);
	vec[0].op = CPU_COMPARE_EQ_OP;
	check_vec(&a, vec, 4, 0);
	arena_unmap(&a);
}

/* As many bytes on as many pages as possible: all operands alone, then all across two. */
void test_maximal(void)
{
	struct cpu_op vec[MAX];
	struct arena a;

	if (!arena_map(&a, 68))
		return;
	arena_fill(&a);
	for (int across = 0; across < 2; across++) {
		for (int at = 0; at < MAX; at += 5) {
			size_t off = across ? page_size - 4 : 0;

			for (int i = 0; i < MAX; i++) {
				unsigned char *p = a.mem + (4 * i + across) * page_size + off;

				vec[i] = cpu_op_memcpy(p, p + 2 * page_size,
						       i == at ? CPU_OP_DATA_LEN_MAX : 8);
				arena_flip(&a, p + 2 * page_size);
			}
			check_vec(&a, vec, MAX, 0);
			for (int i = 0; i < MAX; i++)
				vec[i].op = CPU_COMPARE_EQ_OP;
			check_vec(&a, vec, MAX, 0);
		}
	}
	arena_unmap(&a);
}

/* The vector itself: not aligned, across pages, read-only, never written. */
void test_vector_memory(void)
{
	struct cpu_op vec[MAX], *at;
	struct arena a;
	void *zeroes;

	if (!arena_map(&a, 4))
		return;
	arena_fill(&a);
	copies(&a, vec, MAX, 8);
	for (int i = 0; i < 9; i++) {
		at = (struct cpu_op *)(a.mem + page_size - 32 * i - i * 3);
		arena_set(&a, at, vec, sizeof(vec));
		arena_flip(&a, a.mem);
		check_vec(&a, at, MAX, 0);
	}
	at = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(at, vec, sizeof(vec));
	mprotect(at, page_size, PROT_READ);
	arena_flip(&a, a.mem);
	check_vec(&a, at, MAX, 0);
	munmap(at, page_size);
	/* Zeroes are comparisons of no bytes, which are equal. */
	zeroes = mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check_vec(&a, zeroes, MAX, 0);
	munmap(zeroes, page_size);
	/* As far as the end of what is mapped. */
	at = (struct cpu_op *)(a.mem + a.size) - MAX;
	arena_set(&a, at, vec, sizeof(vec));
	arena_flip(&a, a.mem);
	check_vec(&a, at, MAX, 0);
	arena_unmap(&a);
}

/* The kernel runs the vector that it has read and checked, whatever it writes there. */
void test_vector_is_operand(void)
{
	struct cpu_op vec[4], *at;
	struct arena a;

	if (!arena_map(&a, 3))
		return;
	arena_fill(&a);
	at = (struct cpu_op *)a.mem;
	vec[0] = cpu_op_memcpy(&at[1], a.mem + page_size, 3 * sizeof(*at));
	vec[1] = cpu_op_plus(a.mem + 512, 1, 8);
	vec[2] = cpu_op_plus(&at[1].u.arithmetic_op.count, 1, 8);
	vec[3] = cpu_op_memcpy(a.mem + 1024, &at[0], sizeof(vec));
	arena_set(&a, at, vec, sizeof(vec));
	check_vec(&a, at, 4, 0);
	arena_unmap(&a);
}
