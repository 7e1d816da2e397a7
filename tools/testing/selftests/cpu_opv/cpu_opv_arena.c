// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): memory, its model, and calls checked against that. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu_opv_test.h"

/* Takes over a mapping, with a model that is all 0. */
bool arena_adopt(struct arena *a, void *mem, size_t size)
{
	*a = (struct arena){ .mem = mem, .size = size };
	if (mem == MAP_FAILED)
		return false;
	return arena_private_model(a);
}

/* From now on another process has another model. */
bool arena_private_model(struct arena *a)
{
	unsigned char *old = a->model;

	a->model = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->model == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return false;
	}
	if (old) {
		memcpy(a->model, old, a->size);
		munmap(old, a->size);
	}
	return true;
}

/* Private memory between two pages that cannot be accessed. */
bool arena_map(struct arena *a, size_t pages)
{
	size_t size = pages * page_size;
	char *base = mmap(NULL, size + 2 * page_size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED || mprotect(base + page_size, size, PROT_READ | PROT_WRITE)) {
		fail("mmap: errno %d", errno);
		return false;
	}
	/* The same in all variants of the memory: pages of the usual size. */
	madvise(base, size + 2 * page_size, MADV_NOHUGEPAGE);
	if (!arena_adopt(a, base + page_size, size))
		return false;
	a->guard = page_size;
	return true;
}

void arena_unmap(struct arena *a)
{
	munmap(a->mem - a->guard, a->size + 2 * a->guard);
	munmap(a->model, a->size);
}

void arena_fill(struct arena *a)
{
	for (size_t i = 0; i < a->size; i++)
		a->model[i] = random64() >> 24;
	memcpy(a->mem, a->model, a->size);
}

/* In the memory and in the model. */
void arena_set(struct arena *a, void *at, const void *bytes, size_t len)
{
	memmove(a->model + ((unsigned char *)at - a->mem), bytes, len);
	memmove(at, bytes, len);
}

void arena_flip(struct arena *a, void *at)
{
	unsigned char byte = *(unsigned char *)at ^ 1 << random_below(8);

	arena_set(a, at, &byte, 1);
}

/* Names the first byte that differs. */
bool arena_check(const struct arena *a, const char *what)
{
	size_t i = 0;

	if (!memcmp(a->mem, a->model, a->size))
		return true;
	while (i < a->size && a->mem[i] == a->model[i])
		i++;
	fail("%s: byte %#zx is %#x, expected %#x", what, i, a->mem[i], a->model[i]);
	/* One report of it is enough. */
	memcpy(a->model, a->mem, a->size);
	return false;
}

/* Returns the result, or -errno. */
int call(struct cpu_op *vec, int cnt, int cpu, unsigned int flags)
{
	int ret = cpu_opv(vec, cnt, cpu, flags);

	return ret == -1 ? -errno : ret;
}

static void describe_vec(char *buf, size_t size, const struct arena *a, const struct cpu_op *vec,
			 int cnt)
{
	size_t len = 0;
	char op[80];

	*buf = 0;
	for (int i = 0; i < cnt && i <= CPU_OP_VEC_LEN_MAX && len + sizeof(op) < size; i++) {
		describe_op(op, sizeof(op), a, &vec[i]);
		len += snprintf(buf + len, size - len, "%s%s", i ? "; " : "", op);
	}
}

static bool inside(const struct arena *a, const void *p)
{
	return (uintptr_t)p >= (uintptr_t)a->mem && (uintptr_t)p < (uintptr_t)a->mem + a->size;
}

/*
 * Makes the call, which has to return @want. An error leaves everything as it
 * is. The vector has to be readable, and itself stays as it is, unless it is in
 * the arena.
 */
bool check_call(struct arena *a, struct cpu_op *vec, int cnt, int cpu, unsigned int flags, int want)
{
	struct cpu_op copy[CPU_OP_VEC_LEN_MAX + 1];
	int known = cnt < 0 || cnt > CPU_OP_VEC_LEN_MAX + 1 || !vec ? 0 : cnt;
	char text[1600];
	bool changed;
	int ret;

	if (known)
		memcpy(copy, vec, known * sizeof(*vec));
	if (want >= 0 || want == AS_MODEL) {
		ret = model_run(a, copy, known);
		if (want != AS_MODEL && ret != want)
			fail("the test expects %d, but its model %d", want, ret);
		want = ret;
	}
	ret = call(vec, cnt, cpu, flags);
	changed = known && !inside(a, vec) && memcmp(copy, vec, known * sizeof(*vec));
	if (ret == want && !changed && !memcmp(a->mem, a->model, a->size))
		return true;
	describe_vec(text, sizeof(text), a, copy, known);
	fail("cpu_opv([%s], %d, %d, %#x) = %d, expected %d", text, cnt, cpu, flags, ret, want);
	if (changed)
		fail("the vector was changed");
	arena_check(a, "memory after it");
	return false;
}

bool check_vec(struct arena *a, struct cpu_op *vec, int cnt, int want)
{
	return check_call(a, vec, cnt, target_cpu(), 0, want);
}

bool check_op(struct arena *a, struct cpu_op op, int want)
{
	return check_vec(a, &op, 1, want);
}
