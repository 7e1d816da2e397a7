// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): what a vector has to do, whatever way it takes. */
#include <string.h>

#include "cpu_opv_ways.h"

bool is_store(const struct ways_op *op)
{
	return op->type >= CPU_MEMCPY_OP && op->type <= CPU_RSHIFT_OP;
}

int operands_of(const struct ways_op *op)
{
	if (op->type == CPU_MB_OP)
		return 0;
	return op->type <= CPU_MEMCPY_OP ? 2 : 1;
}

static bool is_word(const struct ways_op *op)
{
	if (op->len != 1 && op->len != 2 && op->len != 4 && op->len != 8)
		return false;
	for (int i = 0; i < operands_of(op); i++) {
		if (op->at[i].offset & (op->len - 1))
			return false;
	}
	return true;
}

/* At most one store, and that at the end; aligned words only. */
bool runs_in_place(const struct ways_case *c)
{
	for (int i = 0; i < c->cnt; i++) {
		const struct ways_op *op = &c->ops[i];

		if (op->type != CPU_MB_OP && !is_word(op))
			return false;
		if (is_store(op) && i != c->cnt - 1)
			return false;
	}
	return true;
}

/* The text leaves it open: operands of no bytes; a barrier behind the store. */
static bool may_run_in_place(const struct ways_case *c)
{
	struct ways_case real = *c;

	real.cnt = 0;
	for (int i = 0; i < c->cnt; i++) {
		if (c->ops[i].type != CPU_MB_OP && c->ops[i].len)
			real.ops[real.cnt++] = c->ops[i];
	}
	return runs_in_place(&real);
}

/* ---- running it ---- */

struct assumptions {
	int denied;		/* the operand that another thread just made inaccessible; -1 */
	bool in_place;		/* memory that cannot be pinned is accessible */
	bool no_bytes_store;	/* copies of no bytes are stores */
};

static bool accessible(const struct ways_op *op, int i, const struct assumptions *given)
{
	const struct place *at = &op->at[i];
	const struct region *region = &regions[at->region];
	int right = is_store(op) && !i ? MAY_WRITE : MAY_READ;

	if (!op->len)
		return true;
	if (region->in_place_only && !given->in_place)
		return false;
	for (int byte = at->offset;;) {
		if (byte < 0 || byte >= REGION_BYTES || !(region->rights[byte / 4096] & right))
			return false;
		if (byte == at->offset + (int)op->len - 1)
			return true;
		byte = at->offset + op->len - 1;
	}
}

/* 0, or the error of the first operand that cannot be accessed. @nr: operands before @op */
static int check(const struct ways_op *op, int nr, const struct assumptions *given)
{
	for (int i = 0; i < operands_of(op); i++) {
		if (nr + i != given->denied && accessible(op, i, given))
			continue;
		return op->at[i].expect_fault ? -EAGAIN : -EFAULT;
	}
	return 0;
}

static unsigned char *bytes_at(const struct place *at)
{
	return after[regions[at->region].frames] + at->offset;
}

static bool equal(const struct ways_op *op)
{
	return !op->len || !memcmp(bytes_at(&op->at[0]), bytes_at(&op->at[1]), op->len);
}

static void store(const struct ways_op *op)
{
	unsigned char *p = bytes_at(&op->at[0]);
	uint64_t value = 0;

	if (op->type == CPU_MEMCPY_OP) {
		if (op->len)
			memmove(p, bytes_at(&op->at[1]), op->len);
		return;
	}
	for (int i = op->len; i-- > 0;)
		value = value << 8 | p[i];
	switch (op->type) {
	case CPU_ADD_OP:
		value += op->arg;
		break;
	case CPU_OR_OP:
		value |= op->arg;
		break;
	case CPU_AND_OP:
		value &= op->arg;
		break;
	case CPU_XOR_OP:
		value ^= op->arg;
		break;
	case CPU_LSHIFT_OP:
		value <<= op->arg;
		break;
	case CPU_RSHIFT_OP:
		value >>= op->arg;
		break;
	}
	for (unsigned int i = 0; i < op->len; i++)
		p[i] = value >> 8 * i;
}

static void start(const struct ways_case *c)
{
	for (int i = 0; i < NR_REGIONS; i++) {
		if (case_uses(c, i))
			memcpy(after[i], before[i], sizeof(after[i]));
	}
}

/*
 * Comparisons before the first store decide one by one; with the first store, all that is left has
 * to be accessible.
 */
static int run(const struct ways_case *c, const struct assumptions *given)
{
	bool checked = false;
	int nr = 0;

	start(c);
	for (int i = 0; i < c->cnt; nr += operands_of(&c->ops[i]), i++) {
		const struct ways_op *op = &c->ops[i];
		int err = 0;

		if (!checked && is_store(op) && (op->len || given->no_bytes_store)) {
			for (int k = i, n = nr; !err && k < c->cnt; k++) {
				err = check(&c->ops[k], n, given);
				n += operands_of(&c->ops[k]);
			}
			checked = true;
		} else if (!checked) {
			err = check(op, nr, given);
		}
		if (err)
			return err;
		if (is_store(op))
			store(op);
		else if (op->type != CPU_MB_OP && equal(op) != (op->type == CPU_COMPARE_EQ_OP))
			return i + 1;
	}
	return 0;
}

static void add_other(struct outcome *out, int ret)
{
	for (int i = 0; i < out->nr_others; i++) {
		if (out->others[i] == ret)
			return;
	}
	out->others[out->nr_others++] = ret;
}

static bool has_no_bytes(const struct ways_case *c)
{
	for (int i = 0; i < c->cnt; i++) {
		if (c->ops[i].type == CPU_MEMCPY_OP && !c->ops[i].len)
			return true;
	}
	return false;
}

/* Every operand in the region that another thread protects and maps again may be the one. */
static void deny_each(const struct ways_case *c, struct assumptions given, struct outcome *out)
{
	int nr = 0;

	add_other(out, -EAGAIN);
	for (int i = 0; i < c->cnt; i++) {
		for (int k = 0; k < operands_of(&c->ops[i]); k++, nr++) {
			if (c->ops[i].at[k].region != RIVAL || !c->ops[i].len)
				continue;
			given.denied = nr;
			add_other(out, run(c, &given));
		}
	}
}

void model_expect(const struct ways_case *c, const struct way *way, bool rivals,
		  struct outcome *out)
{
	struct assumptions given = { .denied = -1, .in_place = runs_in_place(c) };

	out->nr_others = 0;
	if (c->wrong) {
		start(c);
		out->ret = -EINVAL;
		return;
	}
	if (rivals)
		deny_each(c, given, out);
	if (has_no_bytes(c)) {
		given.no_bytes_store = true;
		add_other(out, run(c, &given));
		given.no_bytes_store = false;
	}
	/* A task of another process is there, or one in the kernel, and the caller may not go there. */
	if (given.in_place && (way->state == BUSY_OTHER || way->state == BUSY_OWN) && c->pinned &&
	    case_uses(c, SECRET)) {
		int ret;

		given.in_place = false;
		ret = run(c, &given);
		add_other(out, ret == -EFAULT || ret == -EAGAIN ? -EBUSY : ret);
		given.in_place = true;
	} else if (!given.in_place && may_run_in_place(c) && case_uses(c, SECRET)) {
		add_other(out, run(c, &given));
		given.in_place = true;
	}
	out->ret = run(c, &given);
}
