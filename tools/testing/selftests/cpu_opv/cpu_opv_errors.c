// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): vectors that are refused, and which reason comes first. */
#define _GNU_SOURCE
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu_opv_test.h"

#define MAX	CPU_OP_VEC_LEN_MAX

static struct arena arena;

static bool begin(void)
{
	if (!arena_map(&arena, 4))
		return false;
	arena_fill(&arena);
	return true;
}

static void end(void)
{
	arena_unmap(&arena);
}

/* On aligned words of two pages. */
static struct cpu_op good_op(int type)
{
	return valid_op(type, arena.mem + 256, arena.mem + page_size + 256, 8);
}

/* Among operations that would change memory, and behind one that stops. */
static void check_refused(struct cpu_op op)
{
	static const int at[] = { 0, 7, MAX - 1 };
	struct cpu_op vec[MAX];

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		for (int n = 0; n < MAX; n++)
			vec[n] = cpu_op_plus(arena.mem + 8 * n, 1, 8);
		vec[at[i]] = op;
		check_vec(&arena, vec, MAX, -EINVAL);
		if (!at[i])
			continue;
		vec[0] = cpu_op_ne(arena.mem, arena.mem, 8);
		check_vec(&arena, vec, MAX, -EINVAL);
	}
	check_op(&arena, op, -EINVAL);
}

void test_bad_calls(void)
{
	static const int cnts[] = { MAX + 1, -1, 32, 0x10000, 0x10001, INT_MAX, INT_MIN };
	static const struct {
		int cpu, error;
	} cpus[] = {
		{ -1, EINVAL }, { -2, EINVAL }, { INT_MIN, EINVAL },
		{ INT_MAX, ENXIO }, { 0x10000, ENXIO },
	};
	struct cpu_op vec[MAX + 1];

	if (!begin())
		return;
	for (int i = 0; i <= MAX; i++)
		vec[i] = good_op(CPU_ADD_OP);
	check_vec(&arena, vec, 1, 0);
	for (size_t i = 0; i < ARRAY_LEN(cnts); i++)
		check_vec(&arena, vec, cnts[i], -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
		check_call(&arena, vec, 1, cpus[i].cpu, 0, -cpus[i].error);
		check_call(&arena, NULL, 0, cpus[i].cpu, 0, -cpus[i].error);
	}
	for (unsigned int flag = 16; flag; flag <<= 1)
		check_call(&arena, vec, 1, target_cpu(), flag, -EINVAL);
	/* Where the caller may not run, but could let itself run. */
	if (other_cpu() >= 0) {
		check_call(&arena, vec, 1, other_cpu(), 0, 0);
		check_call(&arena, NULL, 0, other_cpu(), 0, 0);
	}
	end();
}

void test_bad_codes(void)
{
	static const int codes[] = {
		-1, NR_CPU_OPS, NR_CPU_OPS + 1, INT_MAX, INT_MIN, 0x80, 0x100, 0x103, 0x10003,
		INT_MIN + 3, -NR_CPU_OPS,
	};

	if (!begin())
		return;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct cpu_op op = good_op(CPU_ADD_OP), zero = { .op = codes[i] };

		op.op = codes[i];
		check_refused(op);
		check_refused(zero);
	}
	end();
}

void test_bad_lengths(void)
{
	static const uint32_t word_lens[] = {
		0, 3, 5, 6, 7, 9, 10, 12, 16, 32, 64, 4096, 4097, 0x101, 0x108, 0x10008,
		0x80000008, UINT32_MAX, INT32_MIN,
	};
	static const uint32_t data_lens[] = {
		4097, 4104, 8192, 65536, 0x10008, 0x80000000, 0x80000008, UINT32_MAX, 0xfffff000,
	};

	if (!begin())
		return;
	for (int type = 0; type < CPU_MB_OP; type++) {
		struct cpu_op op = good_op(type);
		size_t nr = is_word_op(type) ? ARRAY_LEN(word_lens) : ARRAY_LEN(data_lens);

		for (size_t i = 0; i < nr; i++) {
			op.len = is_word_op(type) ? word_lens[i] : data_lens[i];
			if (type == CPU_LSHIFT_OP || type == CPU_RSHIFT_OP)
				op.u.shift_op.bits = 0;
			check_refused(op);
		}
	}
	end();
}

void test_bad_shifts(void)
{
	static const uint32_t more[] = { 0, 1, 8, 64, 256 - 64, 256, 0x10000, 0x80000000 };

	if (!begin())
		return;
	for (size_t i = 0; i < 2 * 4 * ARRAY_LEN(more); i++) {
		struct cpu_op op = good_op(i % 2 ? CPU_LSHIFT_OP : CPU_RSHIFT_OP);

		op.len = 1 << i / 2 % 4;
		op.u.shift_op.bits = 8 * op.len + more[i / 8];
		check_refused(op);
		op.u.shift_op.bits = UINT32_MAX - i / 8;
		check_refused(op);
	}
	end();
}

/* Words that are not aligned, also where that crosses pages. */
void test_misaligned(void)
{
	if (!begin())
		return;
	for (int type = CPU_ADD_OP; type <= CPU_RSHIFT_OP; type++) {
		for (unsigned int len = 2; len <= 8; len *= 2) {
			struct cpu_op op = valid_op(type, NULL, NULL, len);

			for (unsigned int off = 1; off < len; off++) {
				op.u.bitwise_op.p = cpu_op_ptr(arena.mem + 256 + off);
				check_refused(op);
				op.u.bitwise_op.p = cpu_op_ptr(arena.mem + page_size - len + off);
				check_refused(op);
				/* It is the vector that is wrong, before the address is. */
				op.u.bitwise_op.p = off;
				check_refused(op);
				op.u.bitwise_op.p = UINT64_MAX - len + 1 + off;
				check_refused(op);
			}
			/* An aligned one fits nearly everywhere. */
			op.u.bitwise_op.p = cpu_op_ptr(arena.mem + page_size - len);
			check_op(&arena, op, 0);
		}
	}
	end();
}

/* The first byte that is of no use. */
static size_t first_unused(int type)
{
	switch (type) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
	case CPU_MEMCPY_OP:
		return 26;
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		return 21;
	case CPU_MB_OP:
		return offsetof(struct cpu_op, len);
	default:
		return 25;
	}
}

void test_reserved_bytes(void)
{
	static const unsigned char values[] = { 1, 0x80, 0xff };

	if (!begin())
		return;
	for (int type = 0; type <= CPU_MB_OP; type++) {
		struct cpu_op op = good_op(type);

		/* The result of a comparison does not matter, and no expect_fault byte is one. */
		check_op(&arena, op, AS_MODEL);
		for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
			for (size_t v = 0; v < ARRAY_LEN(values); v++) {
				if ((int)operands[i].type != type)
					continue;
				set_byte(&op, operands[i].expect_fault, values[v]);
				check_op(&arena, op, AS_MODEL);
			}
		}
		for (size_t i = first_unused(type); i < sizeof(op); i++) {
			for (size_t v = 0; v < ARRAY_LEN(values); v++) {
				op = good_op(type);
				set_byte(&op, i, values[v]);
				check_refused(op);
				if (is_word_op(type) || type == CPU_MB_OP)
					continue;
				op.len = 0;
				check_refused(op);
			}
		}
	}
	end();
}

/* Everything that can be wrong with a call, in the order in which it is looked at. */
enum wrong {
	WRONG_FLAGS,
	WRONG_CNT,
	WRONG_CPU,
	WRONG_OP,		/* before what cannot be read */
	WRONG_VECTOR,
	WRONG_SUM,
	WRONG_NO_CPU,
	WRONG_OPERAND,
	WRONG_EXPECTED,		/* an operand behind that one, with expect_fault */
	NR_WRONG,
};

static const struct {
	const char *name;
	int error;
} wrongs[NR_WRONG] = {
	[WRONG_FLAGS]	 = { "unknown flag", EINVAL },
	[WRONG_CNT]	 = { "number of operations", EINVAL },
	[WRONG_CPU]	 = { "negative CPU", EINVAL },
	[WRONG_OP]	 = { "bad operation", EINVAL },
	[WRONG_VECTOR]	 = { "unreadable vector", EFAULT },
	[WRONG_SUM]	 = { "sum of lengths", EINVAL },
	[WRONG_NO_CPU]	 = { "no such CPU", ENXIO },
	[WRONG_OPERAND]	 = { "bad operand", EFAULT },
	[WRONG_EXPECTED] = { "expected fault", EAGAIN },
};

/* The last page is not mapped: a vector that goes on there is not readable. */
static void check_wrong(unsigned int set)
{
	unsigned char *hole = arena.mem + arena.size;
	struct cpu_op vec[6], *at = vec;
	int cnt = ARRAY_LEN(vec), cpu = target_cpu(), flags = 0, error = 0;
	char text[200] = "";
	int ret;

	for (int i = 0; i < cnt; i++)
		vec[i] = cpu_op_plus(arena.mem + 8 * i, 1, 8);
	for (int i = NR_WRONG - 1; i >= 0; i--) {
		if (!(set & 1 << i))
			continue;
		error = -wrongs[i].error;
		strcat(text, wrongs[i].name);
		strcat(text, ", ");
	}
	if (set & 1 << WRONG_FLAGS)
		flags = 16;
	if (set & 1 << WRONG_CNT)
		cnt = MAX + 1;
	if (set & 1 << WRONG_NO_CPU)
		cpu = INT_MAX;
	if (set & 1 << WRONG_CPU)
		cpu = -1;
	if (set & 1 << WRONG_OP)
		vec[4].len = 3;
	if (set & 1 << WRONG_SUM) {
		vec[0] = cpu_op_memcpy(arena.mem, arena.mem + page_size, 4096);
		vec[3] = cpu_op_memcpy(arena.mem, arena.mem + page_size, 4096);
	}
	if (set & 1 << WRONG_OPERAND)
		vec[1].u.arithmetic_op.p = cpu_op_ptr(hole);
	if (set & 1 << WRONG_EXPECTED) {
		vec[2].u.arithmetic_op.p = cpu_op_ptr(hole);
		vec[2].u.arithmetic_op.expect_fault_p = 1;
	}
	if (set & 1 << WRONG_VECTOR) {
		at = (struct cpu_op *)hole - 5;
		arena_set(&arena, at, vec, 5 * sizeof(*vec));
	}
	ret = call(at, cnt, cpu, flags);
	if (ret != error)
		fail("%s: %d, expected %d", text, ret, error);
	arena_check(&arena, text);
}

void test_precedence(void)
{
	if (!begin())
		return;
	for (unsigned int set = 1; set < 1 << NR_WRONG; set++)
		check_wrong(set);
	end();
}
