// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): the operations in plain C, and random vectors of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_opv_test.h"

#define OFFSET(member)	offsetof(struct cpu_op, u.member)

#define COMPARE_OPERANDS(type)								\
	{ type, #type " a", OFFSET(compare_op.a), OFFSET(compare_op.expect_fault_a),	\
	  OFFSET(compare_op.expect_fault_b), false, false },				\
	{ type, #type " b", OFFSET(compare_op.b), OFFSET(compare_op.expect_fault_b),	\
	  OFFSET(compare_op.expect_fault_a), false, false }

#define WORD_OPERAND(type, member)							\
	{ type, #type " p", OFFSET(member.p), OFFSET(member.expect_fault_p), 0, true, true }

const struct operand operands[NR_OPERANDS] = {
	COMPARE_OPERANDS(CPU_COMPARE_EQ_OP),
	COMPARE_OPERANDS(CPU_COMPARE_NE_OP),
	{ CPU_MEMCPY_OP, "CPU_MEMCPY_OP dst", OFFSET(memcpy_op.dst),
	  OFFSET(memcpy_op.expect_fault_dst), OFFSET(memcpy_op.expect_fault_src), true, false },
	{ CPU_MEMCPY_OP, "CPU_MEMCPY_OP src", OFFSET(memcpy_op.src),
	  OFFSET(memcpy_op.expect_fault_src), OFFSET(memcpy_op.expect_fault_dst), false, false },
	WORD_OPERAND(CPU_ADD_OP, arithmetic_op),
	WORD_OPERAND(CPU_OR_OP, bitwise_op),
	WORD_OPERAND(CPU_AND_OP, bitwise_op),
	WORD_OPERAND(CPU_XOR_OP, bitwise_op),
	WORD_OPERAND(CPU_LSHIFT_OP, shift_op),
	WORD_OPERAND(CPU_RSHIFT_OP, shift_op),
};

bool is_word_op(int type)
{
	return type >= CPU_ADD_OP && type <= CPU_RSHIFT_OP;
}

void set_operand(struct cpu_op *op, const struct operand *operand, uint64_t addr)
{
	memcpy((char *)op + operand->addr, &addr, sizeof(addr));
}

void set_byte(struct cpu_op *op, size_t offset, unsigned char value)
{
	((unsigned char *)op)[offset] = value;
}

/* On @p, and @q if it has two operands. */
struct cpu_op valid_op(int type, void *p, void *q, size_t len)
{
	switch (type) {
	case CPU_COMPARE_EQ_OP:
		return cpu_op_eq(p, q, len);
	case CPU_COMPARE_NE_OP:
		return cpu_op_ne(p, q, len);
	case CPU_MEMCPY_OP:
		return cpu_op_memcpy(p, q, len);
	case CPU_ADD_OP:
		return cpu_op_plus(p, 0x1234567890abcdef, len);
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		return cpu_op_shift(type, p, 3, len);
	case CPU_MB_OP:
		return cpu_op_mb();
	default:
		return cpu_op_bitwise(type, p, 0x5aa55aa55aa55aa5, len);
	}
}

/* Where the model has what the program has at @addr. */
static unsigned char *in_model(const struct arena *a, uint64_t addr, size_t len)
{
	uint64_t at = addr - (uintptr_t)a->mem;

	if (!len)
		return a->model;
	if (at > a->size || len > a->size - at) {
		fprintf(stderr, "# no operand of the arena: %#llx\n", (unsigned long long)addr);
		exit(1);
	}
	return a->model + at;
}

static uint64_t load(const unsigned char *p, size_t len)
{
	uint64_t value = 0;

	for (size_t i = len; i-- > 0;)
		value = value << 8 | p[i];
	return value;
}

static void store(unsigned char *p, size_t len, uint64_t value)
{
	for (size_t i = 0; i < len; i++)
		p[i] = value >> 8 * i;
}

static void run_word(unsigned char *p, const struct cpu_op *op)
{
	uint64_t value = load(p, op->len);

	switch (op->op) {
	case CPU_ADD_OP:
		value += op->u.arithmetic_op.count;
		break;
	case CPU_OR_OP:
		value |= op->u.bitwise_op.mask;
		break;
	case CPU_AND_OP:
		value &= op->u.bitwise_op.mask;
		break;
	case CPU_XOR_OP:
		value ^= op->u.bitwise_op.mask;
		break;
	case CPU_LSHIFT_OP:
		value <<= op->u.shift_op.bits;
		break;
	case CPU_RSHIFT_OP:
		value >>= op->u.shift_op.bits;
		break;
	}
	store(p, op->len, value);
}

static bool equal(const struct arena *a, const struct cpu_op *op)
{
	const unsigned char *x = in_model(a, op->u.compare_op.a, op->len);
	const unsigned char *y = in_model(a, op->u.compare_op.b, op->len);

	for (size_t i = 0; i < op->len; i++) {
		if (x[i] != y[i])
			return false;
	}
	return true;
}

static void copy(const struct arena *a, const struct cpu_op *op)
{
	unsigned char *dst = in_model(a, op->u.memcpy_op.dst, op->len);
	unsigned char *src = in_model(a, op->u.memcpy_op.src, op->len);
	unsigned char bytes[CPU_OP_DATA_LEN_MAX];

	memcpy(bytes, src, op->len);
	memcpy(dst, bytes, op->len);
}

/* Runs a valid vector on the model; returns what cpu_opv(2) has to return. */
int model_run(struct arena *a, const struct cpu_op *vec, int cnt)
{
	for (int i = 0; i < cnt; i++) {
		const struct cpu_op *op = &vec[i];

		switch (op->op) {
		case CPU_COMPARE_EQ_OP:
			if (!equal(a, op))
				return i + 1;
			break;
		case CPU_COMPARE_NE_OP:
			if (equal(a, op))
				return i + 1;
			break;
		case CPU_MEMCPY_OP:
			copy(a, op);
			break;
		case CPU_MB_OP:
			break;
		default:
			run_word(in_model(a, op->u.arithmetic_op.p, op->len), op);
		}
	}
	return 0;
}

/* An operation for messages; addresses are relative to the arena. */
void describe_op(char *buf, size_t size, const struct arena *a, const struct cpu_op *op)
{
	static const char *const names[] = {
		"eq", "ne", "memcpy", "add", "or", "and", "xor", "lshift", "rshift", "mb",
	};
	uint64_t base = a ? (uintptr_t)a->mem : 0;
	unsigned long long p = op->u.compare_op.a - base, q = op->u.compare_op.b - base;

	if (op->op < 0 || op->op >= NR_CPU_OPS)
		snprintf(buf, size, "op %d", op->op);
	else if (op->op <= CPU_MEMCPY_OP)
		snprintf(buf, size, "%s %#llx %#llx len %u", names[op->op], p, q, op->len);
	else
		snprintf(buf, size, "%s %#llx %#llx len %u", names[op->op], p,
			 (unsigned long long)op->u.bitwise_op.mask, op->len);
}

static size_t random_len(void)
{
	switch (random_below(4)) {
	case 0:
		return 1UL << random_below(4);
	case 1:
		return random_below(20);
	case 2:
		return random_below(300);
	default:
		return random_below(CPU_OP_DATA_LEN_MAX + 1);
	}
}

/* Any address, near the start of a page, or aligned near it. */
static void *random_at(const struct arena *a, size_t len)
{
	size_t last = a->size - len, at = random_below(last + 1);

	if (random_below(2))
		at = at - at % page_size + random_below(80) - 40;
	if (random_below(2))
		at &= ~7UL;
	return a->mem + (at > last ? last : at);
}

/* A valid vector; compares are rare, and mostly do not stop it. */
static int random_vec(const struct arena *a, struct cpu_op *vec)
{
	int cnt = 1 + random_below(CPU_OP_VEC_LEN_MAX);
	size_t left = CPU_OP_VEC_DATA_LEN_MAX;

	for (int i = 0; i < cnt; i++) {
		int type = random_below(4) ? CPU_MEMCPY_OP + random_below(8) : random_below(2);
		size_t len = random_len(), words = 8 * (cnt - i - 1);
		void *p;

		if (is_word_op(type))
			len = 1UL << random_below(4);
		if (len > left - words)
			len = left - words;
		left -= len;
		p = random_at(a, len);
		if (is_word_op(type))
			p = (void *)((uintptr_t)p & -len);
		vec[i] = valid_op(type, p, random_at(a, len), len);
		if (type == CPU_COMPARE_EQ_OP && random_below(4))
			vec[i].u.compare_op.b = vec[i].u.compare_op.a;
		if (type == CPU_LSHIFT_OP || type == CPU_RSHIFT_OP)
			vec[i].u.shift_op.bits = random_below(8 * len);
		else if (is_word_op(type))
			vec[i].u.bitwise_op.mask = random64();
	}
	return cnt;
}

/* Words only, and one store, at the end: a vector that needs no pins. */
static int random_words(const struct arena *a, struct cpu_op *vec)
{
	int cnt = 1 + random_below(CPU_OP_VEC_LEN_MAX);

	for (int i = 0; i < cnt; i++) {
		int type = random_below(4) ? CPU_COMPARE_EQ_OP : CPU_MB_OP;
		size_t len = 1UL << random_below(4);
		void *p = a->mem + random_below(a->size / len) * len;
		void *q = a->mem + random_below(a->size / len) * len;

		if (i == cnt - 1)
			type = random_below(CPU_MB_OP);
		vec[i] = valid_op(type, p, q, len);
		if (type == CPU_COMPARE_EQ_OP && random_below(16))
			vec[i].u.compare_op.b = vec[i].u.compare_op.a;
	}
	return cnt;
}

void check_random_words(struct arena *a, int rounds)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];

	for (int i = 0; i < rounds; i++)
		check_vec(a, vec, random_words(a, vec), AS_MODEL);
}

void check_random(struct arena *a, int rounds)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];

	for (int i = 0; i < rounds; i++)
		check_vec(a, vec, random_vec(a, vec), AS_MODEL);
}
