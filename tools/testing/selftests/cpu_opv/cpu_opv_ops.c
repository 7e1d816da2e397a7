// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): every operation, at every length. */
#include <string.h>

#include "cpu_opv_test.h"

#define NR_SMALL	136	/* all lengths below this */

/* The next length to test; 0 after the last one. */
static size_t next_len(size_t len)
{
	static const size_t lens[] = {
		191, 192, 193, 255, 256, 257, 511, 512, 513, 1000, 1023, 1024, 1025, 2047, 2048,
		2049, 4087, 4088, 4089, 4095, 4096,
	};

	if (len + 1 < NR_SMALL)
		return len + 1;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		if (lens[i] > len)
			return lens[i];
	}
	return 0;
}

static void compare_both(struct arena *a, void *p, void *q, size_t len, bool equal)
{
	check_op(a, cpu_op_eq(p, q, len), equal ? 0 : 1);
	check_op(a, cpu_op_ne(p, q, len), equal ? 1 : 0);
}

/* One byte differs: each of a few, or the first, the middle and the last one. */
static void compare_at(struct arena *a, unsigned char *p, unsigned char *q, size_t len)
{
	size_t nr = len <= 9 ? len : 3;

	arena_set(a, q, p, len);
	compare_both(a, p, q, len, true);
	for (size_t n = 0; n < nr; n++) {
		size_t i = len <= 9 ? n : n * (len - 1) / 2;

		arena_flip(a, q + i);
		compare_both(a, p, q, len, false);
		arena_set(a, q + i, p + i, 1);
	}
	/* Bytes around the operands do not matter. */
	for (int i = 0; i < 2; i++) {
		unsigned char byte = p[i ? (long)len : -1] ^ 0xff;

		arena_set(a, q + (i ? (long)len : -1), &byte, 1);
	}
	compare_both(a, p, q, len, true);
	/* An operand equals itself. */
	if (len > 0 && len <= 9)
		compare_both(a, p, p, len, true);
}

void test_compare(void)
{
	unsigned char *p, *q;
	struct arena a;
	size_t len = 0;

	if (!arena_map(&a, 5))
		return;
	arena_fill(&a);
	p = a.mem + 64;
	q = a.mem + 2 * page_size + 64;
	do {
		compare_at(&a, p, q, len);
		if (len > 17)
			continue;
		/* Where the words of both are aligned, of one only, and of none. */
		for (int i = 1; i < 64; i++) {
			if (len > 9 && i % 5)
				continue;
			compare_at(&a, p + i % 8, q + i / 8, len);
		}
	} while ((len = next_len(len)));
	arena_unmap(&a);
}

void test_memcpy(void)
{
	unsigned char *p, *q;
	struct arena a;
	size_t len = 0;

	if (!arena_map(&a, 5))
		return;
	arena_fill(&a);
	p = a.mem + 64;
	q = a.mem + 2 * page_size + 64;
	do {
		for (int i = 0; i < 64; i++) {
			if (i && len > 34)
				break;
			arena_flip(&a, q + i / 8 + random_below(len + 1));
			check_op(&a, cpu_op_memcpy(p + i % 8, q + i / 8, len), 0);
		}
		/* To itself. */
		check_op(&a, cpu_op_memcpy(p, p, len), 0);
		check_op(&a, cpu_op_memcpy(p + 3, p + 3, len), 0);
	} while ((len = next_len(len)));
	arena_unmap(&a);
}

/* The word at @p is @value, its operation has @arg, and bytes around it do not change. */
static void check_word(struct arena *a, struct cpu_op op, void *p, uint64_t value, uint64_t arg)
{
	arena_set(a, p, &value, op.len);
	op.u.bitwise_op.p = cpu_op_ptr(p);
	op.u.bitwise_op.mask = arg;
	check_op(a, op, 0);
}

void test_arithmetic(void)
{
	static const uint64_t values[] = {
		0, 1, UINT64_MAX, 0x7f7f7f7f7f7f7f7f, 0x8080808080808080, 0x7fffffffffffffff,
		0x00000000ffffffff, 0x0123456789abcdef,
	};
	static const int types[] = { CPU_ADD_OP, CPU_OR_OP, CPU_AND_OP, CPU_XOR_OP };
	struct arena a;

	if (!arena_map(&a, 3))
		return;
	arena_fill(&a);
	for (size_t i = 0; i < 4 * 4 * 8 * 8; i++) {
		size_t len = 1UL << i % 4;
		struct cpu_op op = { .op = types[i / 4 % 4], .len = len };
		uint64_t value = values[i / 16 % 8], arg = values[i / 128];

		check_word(&a, op, a.mem + page_size + 64, value, arg);
	}
	/* Everywhere in a page, with any values. */
	for (size_t i = 0; i < 4 * 4 * 24; i++) {
		size_t len = 1UL << i % 4, at = i / 16 * len;
		struct cpu_op op = { .op = types[i / 4 % 4], .len = len };

		check_word(&a, op, a.mem + page_size + at, random64(), random64());
		check_word(&a, op, a.mem + page_size - len - at, random64(), random64());
	}
	arena_unmap(&a);
}

void test_shift(void)
{
	static const uint64_t values[] = { UINT64_MAX, 0x8000000180018181, 0x0123456789abcdef };
	struct arena a;

	if (!arena_map(&a, 2))
		return;
	arena_fill(&a);
	for (size_t len = 1; len <= 8; len *= 2) {
		for (uint32_t bits = 0; bits < 8 * len; bits++) {
			unsigned char *p = a.mem + (bits % 2 ? page_size - len : 64);

			for (size_t v = 0; v < ARRAY_LEN(values); v++) {
				struct cpu_op left = { .op = CPU_LSHIFT_OP, .len = len };
				struct cpu_op right = { .op = CPU_RSHIFT_OP, .len = len };

				check_word(&a, left, p, values[v], bits);
				check_word(&a, right, p, values[v], bits);
			}
		}
	}
	arena_unmap(&a);
}

/* A barrier has no length and no operands: whatever they are is ignored. */
void test_mb(void)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX], mb = cpu_op_mb();
	struct arena a;

	if (!arena_map(&a, 2))
		return;
	arena_fill(&a);
	check_op(&a, mb, 0);
	/* As often as it fits, and it has no bytes. */
	for (int i = 0; i < CPU_OP_VEC_LEN_MAX; i++)
		vec[i] = i % 3 == 1 ? cpu_op_plus(a.mem + 64, 1, 8) : mb;
	check_vec(&a, vec, CPU_OP_VEC_LEN_MAX, 0);
	vec[0] = cpu_op_memcpy(a.mem + page_size, a.mem, CPU_OP_DATA_LEN_MAX);
	check_vec(&a, vec, CPU_OP_VEC_LEN_MAX, 0);
	arena_unmap(&a);
}

/* Vectors of anything, anywhere, that go on with what the one before left. */
void test_random(void)
{
	struct arena a;

	if (!arena_map(&a, 6))
		return;
	arena_fill(&a);
	check_random(&a, 1500);
	arena_unmap(&a);
}
