// SPDX-License-Identifier: GPL-2.0
/* The vectors that cpu_opv_bench calls. They leave memory such that they can be called again. */
#include "cpu_opv_bench.h"

#define PAGE		4096
/* Of the longest vector: its operands are on four pages each time. */
#define NR_PAGES	(4 * CPU_OP_VEC_LEN_MAX)

static char memory[NR_PAGES][PAGE] __attribute__((aligned(PAGE)));

struct vector vectors[16];
size_t nr_vectors;

static struct vector *add_vector(const char *name)
{
	struct vector *vec = &vectors[nr_vectors++];

	if (nr_vectors > NR_ELEMS(vectors))
		errx(1, "too many vectors");
	vec->name = name;
	return vec;
}

static void append(struct vector *vec, struct cpu_op op)
{
	if (vec->cnt == CPU_OP_VEC_LEN_MAX)
		errx(1, "%s: too many operations", vec->name);
	vec->ops[vec->cnt++] = op;
}

/* As of cpu-op.c: the data of a CPU are on one page, what the caller passes is on its stack. */
static intptr_t *const v = (intptr_t *)memory[0];
static intptr_t *const expect = (intptr_t *)memory[1];
static intptr_t *const newv = (intptr_t *)memory[1] + 1;
static intptr_t *const old = (intptr_t *)memory[1] + 2;

static void add_cmpeqv_memcpy_storev(const char *name, size_t len)
{
	struct vector *vec = add_vector(name);

	append(vec, cpu_op_eq(v, expect, sizeof(*v)));
	append(vec, cpu_op_memcpy(memory[2], memory[3], len));
	append(vec, cpu_op_memcpy(v, newv, sizeof(*v)));
}

/*
 * As many copies as there can be, the first of @len bytes, from one buffer to another, which
 * follows it: between two operands in a buffer are @step pages. @crossing: each operand is on two
 * pages, else on one; no two share any.
 */
static void add_copies(const char *name, size_t len, size_t step, bool crossing)
{
	struct vector *vec = add_vector(name);
	const char *src = memory[0];
	char *dst = memory[step * CPU_OP_VEC_LEN_MAX];

	for (int i = 0; i < CPU_OP_VEC_LEN_MAX; i++) {
		size_t at = i * step * PAGE + (crossing ? PAGE - len / 2 : 0);

		append(vec, cpu_op_memcpy(dst + at, src + at, len));
		len = sizeof(*v);
	}
}

void init_vectors(void)
{
	struct vector *vec;

	/* A huge page would be pinned as one. */
	if (madvise(memory, sizeof(memory), MADV_NOHUGEPAGE))
		err(1, "madvise");

	add_vector("empty");

	vec = add_vector("add");
	append(vec, cpu_op_plus(v + 1, 1, sizeof(*v)));

	vec = add_vector("cmpeqv_storev");
	append(vec, cpu_op_eq(v, expect, sizeof(*v)));
	append(vec, cpu_op_memcpy(v, newv, sizeof(*v)));

	vec = add_vector("cmpxchg");
	append(vec, cpu_op_memcpy(old, v, sizeof(*v)));
	append(vec, cpu_op_eq(v, expect, sizeof(*v)));
	append(vec, cpu_op_memcpy(v, newv, sizeof(*v)));

	add_cmpeqv_memcpy_storev("cmpeqv_memcpy_storev-64", 64);
	add_cmpeqv_memcpy_storev("cmpeqv_memcpy_storev-4096", CPU_OP_DATA_LEN_MAX);

	vec = add_vector("add-16");
	for (int i = 0; i < CPU_OP_VEC_LEN_MAX; i++)
		append(vec, cpu_op_plus(v + 1 + i, 1, sizeof(*v)));

	add_copies("memcpy-32-pages", sizeof(*v), 1, false);
	add_copies("memcpy-32-scattered", sizeof(*v), 2, false);

	vec = add_vector("memcpy-crossing");
	append(vec, cpu_op_memcpy(memory[4] + PAGE / 2, memory[6] + PAGE / 2, CPU_OP_DATA_LEN_MAX));

	add_copies("maximal", CPU_OP_DATA_LEN_MAX, 1, false);
	add_copies("maximal-scattered", CPU_OP_DATA_LEN_MAX, 2, false);
	add_copies("maximal-crossing", CPU_OP_DATA_LEN_MAX, 2, true);
}

const struct vector *find_vector(const char *name)
{
	for (size_t i = 0; i < nr_vectors; i++) {
		if (!strcmp(vectors[i].name, name))
			return &vectors[i];
	}
	errx(1, "no vector %s", name);
}
