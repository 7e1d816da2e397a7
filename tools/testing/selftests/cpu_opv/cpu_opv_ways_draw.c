// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): random vectors: drawn, made smaller, printed. */
#include <stdio.h>
#include <string.h>

#include "cpu_opv_ways.h"

#include "../kselftest.h"

#define SHRINK_MS	30000

/* ---- drawn ---- */

static uint64_t state;

static uint64_t draw64(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static unsigned int below(unsigned int limit)
{
	return (draw64() >> 32) % limit;
}

/* True once in @n. */
static bool once_in(unsigned int n)
{
	return !below(n);
}

/* What a case prefers: of all kinds there have to be enough. */
struct style {
	unsigned int risk;		/* one operand in so many cannot be accessed; 0: none */
	bool words, in_place, rivals, forked;
	enum region_id home;		/* of most operands */
};

static enum region_id draw_region(const struct style *style, bool write)
{
	int sum = 0, at;

	if (style->risk && once_in(style->risk)) {
		at = READ_ONLY + below(NR_REGIONS - READ_ONLY);
		if (regions[at].available)
			return at;
	}
	/* What may be read is not wrong for those that read. */
	if (!write && once_in(12))
		return once_in(2) ? READ_ONLY : READ_ONLY_FILE;
	if (style->rivals && once_in(2))
		return RIVAL;
	if (once_in(2))
		return style->home;
	for (int i = 0; i < READ_ONLY; i++)
		sum += regions[i].available ? regions[i].weight : 0;
	at = below(sum);
	for (int i = 0; i < READ_ONLY; i++) {
		at -= regions[i].available ? regions[i].weight : 0;
		if (at >= 0)
			continue;
		/* The one needs vectors that need no pins, the other takes long. */
		if ((i == SECRET && !style->in_place) || (i == FORKED && !style->forked))
			return ANON;
		return i;
	}
	return ANON;
}

static unsigned int draw_len(const struct style *style)
{
	if (style->words || style->in_place)
		return 1U << below(4);
	switch (below(4)) {
	case 0:
		return 1U << below(4);
	case 1:
		return below(20);
	case 2:
		return below(300);
	default:
		return below(CPU_OP_DATA_LEN_MAX + 1);
	}
}

static int inside(int offset, int len)
{
	int last = REGION_BYTES - len;

	return offset < 0 ? 0 : offset > last ? last : offset;
}

/* Anywhere, at the start of a page, or about to cross it; rarely out of the region. */
static void draw_place(struct place *at, const struct style *style, int len, bool write, bool align)
{
	int offset = below(REGION_BYTES);

	at->region = draw_region(style, write);
	switch (below(4)) {
	case 0:
		offset = (offset & -4096) + below(80) - 40;
		break;
	case 1:
		offset = (offset & -4096) + 4096 - below(len + 1);
		break;
	case 2:
		offset = below(64) * 8;
		break;
	}
	if (!style->risk || !once_in(4) || regions[at->region].closed)
		offset = inside(offset, len);
	if (align && len)
		offset &= -len;
	at->offset = offset;
	at->expect_fault = once_in(6);
}

static bool same_memory(const struct place *a, const struct place *b)
{
	return regions[a->region].frames == regions[b->region].frames;
}

/* What a copy between two addresses of the same bytes does is not told. */
static bool overlaps_unseen(const struct ways_op *op)
{
	const struct place *dst = &op->at[0], *src = &op->at[1];

	return op->type == CPU_MEMCPY_OP && same_memory(dst, src) && dst->region != src->region &&
	       dst->offset < src->offset + (int)op->len && src->offset < dst->offset + (int)op->len;
}

static void draw_compare(struct ways_case *c, int i, const struct style *style)
{
	struct ways_op *op = &c->ops[i];
	bool goes_on = !once_in(4);

	if (!goes_on || op->type == CPU_COMPARE_NE_OP)
		return;
	/* Equal: the same bytes, what was copied, or where regions have the same. */
	switch (below(3)) {
	case 0:
		op->at[1].offset = op->at[0].offset;
		op->at[1].region = op->at[0].region;
		if (op->at[0].region == FILE_SHARED)
			op->at[1].region = FILE_ALIAS;
		break;
	case 1:
		for (int k = i; k-- > 0;) {
			if (c->ops[k].type != CPU_MEMCPY_OP || c->ops[k].len < op->len)
				continue;
			memcpy(op->at, c->ops[k].at, sizeof(op->at));
			break;
		}
		break;
	default:
		op->len = op->len > 16 ? 16 : op->len;
		op->at[0].offset = op->at[1].offset = below(32) * 8 + 1024 * below(12);
	}
}

static int draw_type(const struct style *style, bool last)
{
	if (style->in_place) {
		if (last && !once_in(6))
			return CPU_MEMCPY_OP + below(CPU_MB_OP - CPU_MEMCPY_OP);
		return once_in(5) ? CPU_MB_OP : (int)below(CPU_MEMCPY_OP);
	}
	if (once_in(3))
		return below(CPU_MEMCPY_OP);
	return once_in(2) ? CPU_MEMCPY_OP : CPU_ADD_OP + below(CPU_MB_OP - CPU_ADD_OP + 1);
}

static void draw_op(struct ways_case *c, int i, const struct style *style, unsigned int *left)
{
	unsigned int reserved = 8 * (c->cnt - i - 1);
	struct ways_op *op = &c->ops[i];
	bool align;

	op->type = draw_type(style, i == c->cnt - 1);
	if (op->type == CPU_MB_OP)
		return;
	align = style->in_place || op->type > CPU_MEMCPY_OP || (style->words && !once_in(8));
	op->len = op->type > CPU_MEMCPY_OP ? 1U << below(4) : draw_len(style);
	if (op->len > *left - reserved)
		op->len = *left - reserved;
	*left -= op->len;
	for (int k = 0; k < operands_of(op); k++)
		draw_place(&op->at[k], style, op->len, is_store(op) && !k, align);
	if (op->type < CPU_MEMCPY_OP)
		draw_compare(c, i, style);
	if (overlaps_unseen(op))
		op->at[1].region = op->at[0].region;
	if (op->type == CPU_LSHIFT_OP || op->type == CPU_RSHIFT_OP)
		op->arg = below(8 * op->len);
	else if (op->type > CPU_MEMCPY_OP)
		op->arg = draw64();
}

void case_draw(struct ways_case *c, uint64_t seed, uint64_t number, bool rivals)
{
	static const unsigned int risks[] = { 0, 0, 24, 6 };
	unsigned int left = CPU_OP_VEC_DATA_LEN_MAX;
	struct style style;

	state = seed ^ (number + 1) * 0xd1342543de82ef95;
	style = (struct style) {
		.risk = risks[below(4)], .in_place = once_in(3), .words = once_in(2),
		.rivals = rivals, .forked = once_in(4), .home = once_in(2) ? ANON : below(READ_ONLY),
	};
	if (!regions[style.home].available || style.home == SECRET || style.home == FORKED)
		style.home = ANON;
	memset(c, 0, sizeof(*c));
	c->pinned = once_in(4);
	c->paged_out = once_in(8);
	c->cnt = once_in(64) ? 0 : 1 + below(once_in(2) ? 4 : MAX_OPS);
	for (int i = 0; i < c->cnt; i++)
		draw_op(c, i, &style, &left);
	if (c->cnt && once_in(20)) {
		c->wrong_op = below(c->cnt);
		c->wrong = 1 + below(NR_WRONG_KINDS - 1);
	}
}

/* ---- as the kernel wants it ---- */

static void make_wrong(struct cpu_op *op, enum wrong_kind wrong)
{
	switch (wrong) {
	case WRONG_ALIGNMENT:
		if (op->op > CPU_MEMCPY_OP && op->op < CPU_MB_OP && op->len > 1) {
			op->u.arithmetic_op.p++;
			return;
		}
		/* fall through */
	case WRONG_LENGTH:
		op->len = op->op > CPU_MEMCPY_OP ? 3 : CPU_OP_DATA_LEN_MAX + 1;
		break;
	case WRONG_CODE:
		op->op = NR_CPU_OPS;
		break;
	default:
		op->u.shift_op.__reserved[10] = 1;
	}
}

int case_vector(const struct ways_case *c, struct cpu_op *vec)
{
	memset(vec, 0, c->cnt * sizeof(*vec));
	for (int i = 0; i < c->cnt; i++) {
		const struct ways_op *op = &c->ops[i];
		uint64_t addr[2] = { 0 };

		vec[i].op = op->type;
		vec[i].len = op->len;
		for (int k = 0; k < operands_of(op); k++)
			addr[k] = regions[op->at[k].region].base + op->at[k].offset;
		vec[i].u.memcpy_op.dst = addr[0];
		if (op->type <= CPU_MEMCPY_OP) {
			vec[i].u.memcpy_op.src = addr[1];
			vec[i].u.memcpy_op.expect_fault_dst = op->at[0].expect_fault;
			vec[i].u.memcpy_op.expect_fault_src = op->at[1].expect_fault;
		} else if (op->type == CPU_LSHIFT_OP || op->type == CPU_RSHIFT_OP) {
			vec[i].u.shift_op.bits = op->arg;
			vec[i].u.shift_op.expect_fault_p = op->at[0].expect_fault;
		} else if (op->type != CPU_MB_OP) {
			vec[i].u.bitwise_op.mask = op->arg;
			vec[i].u.bitwise_op.expect_fault_p = op->at[0].expect_fault;
		}
	}
	if (c->wrong)
		make_wrong(&vec[c->wrong_op], c->wrong);
	return c->cnt;
}

/* ---- printed ---- */

static void print_place(char *buf, size_t size, const struct place *at)
{
	snprintf(buf, size, " %s%c%#x%s", regions[at->region].name, at->offset < 0 ? '-' : '+',
		 at->offset < 0 ? -at->offset : at->offset, at->expect_fault ? " (may fault)" : "");
}

void case_print(const struct ways_case *c)
{
	static const char *const names[] = {
		"eq", "ne", "memcpy", "add", "or", "and", "xor", "lshift", "rshift", "mb",
	};
	static const char *const wrongs[] = {
		"", "its length is wrong", "its number is wrong", "a byte is not 0",
		"its alignment is wrong",
	};

	for (int i = 0; i < c->cnt; i++) {
		const struct ways_op *op = &c->ops[i];
		char at[2][80] = { "" }, arg[32] = "";

		for (int k = 0; k < operands_of(op); k++)
			print_place(at[k], sizeof(at[k]), &op->at[k]);
		if (operands_of(op) == 1)
			snprintf(arg, sizeof(arg), " %#llx", (unsigned long long)op->arg);
		ksft_print_msg("  %2d %s%s%s%s, %u bytes%s%s\n", i + 1, names[op->type], at[0],
			       at[1], arg, op->len, c->wrong && i == c->wrong_op ? ": " : "",
			       i == c->wrong_op ? wrongs[c->wrong] : "");
	}
	if (c->pinned)
		ksft_print_msg("  the caller may run on its CPU only\n");
	if (c->paged_out)
		ksft_print_msg("  memory was paged out\n");
}

/* ---- smaller ---- */

static bool keep_if(struct ways_case *c, const struct ways_case *smaller,
		    bool (*fails)(const struct ways_case *c))
{
	for (int i = 0; i < smaller->cnt; i++) {
		if (overlaps_unseen(&smaller->ops[i]))
			return false;
	}
	if (!memcmp(c, smaller, sizeof(*c)) || !fails(smaller))
		return false;
	*c = *smaller;
	return true;
}

static bool drop_ops(struct ways_case *c, bool (*fails)(const struct ways_case *c))
{
	bool any = false;

	for (int i = c->cnt; i-- > 0;) {
		struct ways_case smaller = *c;

		if (c->wrong && i == c->wrong_op)
			continue;
		memmove(&smaller.ops[i], &smaller.ops[i + 1],
			(c->cnt - i - 1) * sizeof(c->ops[0]));
		smaller.cnt--;
		memset(&smaller.ops[smaller.cnt], 0, sizeof(c->ops[0]));
		if (c->wrong && i < c->wrong_op)
			smaller.wrong_op--;
		any |= keep_if(c, &smaller, fails);
	}
	return any;
}

#define TRY(what)						\
	do {							\
		struct ways_case smaller = *c;			\
		struct ways_op *op = &smaller.ops[i];		\
								\
		what;						\
		any |= keep_if(c, &smaller, fails);		\
	} while (0)

static bool simplify_op(struct ways_case *c, int i, bool (*fails)(const struct ways_case *c))
{
	bool word = c->ops[i].type > CPU_MEMCPY_OP, any = false;

	if (c->ops[i].type == CPU_MB_OP)
		return false;
	if (!word && c->ops[i].len > 8)
		TRY(op->len = 8);
	if (!word && c->ops[i].len > 1)
		TRY(op->len /= 2);
	if (!word && c->ops[i].len > 1)
		TRY(op->len--);
	if (c->ops[i].arg > 1)
		TRY(op->arg = 1);
	for (int k = 0; k < operands_of(&c->ops[i]); k++) {
		TRY(op->at[k].expect_fault = false);
		TRY(op->at[k].region = ANON);
		TRY(op->at[k].offset = 0);
		if (c->ops[i].at[k].offset > 4096)
			TRY(op->at[k].offset = 4096);
		TRY(op->at[k].offset &= 4095);
		if (c->ops[i].at[k].offset > 8)
			TRY(op->at[k].offset &= -8);
	}
	return any;
}

void case_shrink(struct ways_case *c, bool (*fails)(const struct ways_case *c))
{
	long end = now_ms() + SHRINK_MS;
	bool any = true;

	while (any && now_ms() < end) {
		int i = 0;

		any = drop_ops(c, fails);
		TRY(smaller.pinned = false; (void)op);
		TRY(smaller.paged_out = false; (void)op);
		for (; i < c->cnt && now_ms() < end; i++)
			any |= simplify_op(c, i, fails);
	}
}
