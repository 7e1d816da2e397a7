// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): the kinds of memory that a program can have. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_test.h"

/*
 * The first access to memory that was prepared: by one operation each, and by
 * several that want the same page for different things.
 */
void first_vec(struct arena *a, int i)
{
	unsigned char *p = a->mem, *q = p + page_size, *r = p + 2 * page_size;
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int n = 0;

	switch (i) {
	case 0:		/* read */
		vec[n++] = cpu_op_eq(p, q, 4096);
		break;
	case 1:		/* write */
		vec[n++] = cpu_op_memcpy(q + 8, p, 1000);
		break;
	case 2:		/* change */
		vec[n++] = cpu_op_plus(q, 1, 8);
		break;
	case 3:		/* write and read across pages */
		vec[n++] = cpu_op_memcpy(q - 60, r + page_size - 90, 200);
		break;
	case 4:		/* read, then write: what is read next is the new value */
		vec[n++] = cpu_op_eq(p + 8, p + 8, 8);
		vec[n++] = cpu_op_plus(p + 8, 0x1234567, 8);
		vec[n++] = cpu_op_memcpy(r, p + 8, 8);
		vec[n++] = cpu_op_ne(p + 8, r, 8);
		break;
	case 5:		/* the same, and the reader crosses pages */
		vec[n++] = cpu_op_eq(q - 50, q - 50, 100);
		vec[n++] = cpu_op_bitwise(CPU_XOR_OP, q, UINT64_MAX, 8);
		vec[n++] = cpu_op_memcpy(r + 300, q - 50, 100);
		break;
	case 6:		/* write, then read */
		vec[n++] = cpu_op_memcpy(r - 50, q, 100);
		vec[n++] = cpu_op_memcpy(p, r, 50);
		vec[n++] = cpu_op_bitwise(CPU_OR_OP, r, 0x1111, 8);
		break;
	default:	/* everything */
		for (int type = 0; type <= CPU_MB_OP; type++)
			vec[n++] = valid_op(type, p + 8 * type, q + 8 * type, 8);
		vec[0].u.compare_op.b = vec[0].u.compare_op.a;
		vec[1] = cpu_op_memcpy(r, q - 1, 2);
	}
	check_vec(a, vec, n, AS_MODEL);
}

void check_memory(const struct memory *memory)
{
	for (int i = 0; i < NR_FIRST_VECS; i++) {
		struct arena a = { 0 };
		int before = failures();

		if (!memory->map(&a))
			return;
		first_vec(&a, i);
		check_random(&a, 12);
		if (memory->verify)
			memory->verify(&a);
		if (memory->unmap)
			memory->unmap(&a);
		else
			arena_unmap(&a);
		explain(before, "that was after first_vec(%d)", i);
	}
}

/* ---- never touched, shared with the zero page at most ---- */

static bool map_untouched(struct arena *a)
{
	return arena_map(a, MEMORY_PAGES);
}

/* Read by the program: the zero page is mapped. */
static bool map_zeroes(struct arena *a)
{
	return arena_map(a, MEMORY_PAGES) && arena_check(a, "new memory");
}

static bool map_shared(struct arena *a)
{
	return arena_adopt(a, mmap(NULL, MEMORY_PAGES * page_size, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0), MEMORY_PAGES * page_size);
}

void test_untouched(void)
{
	check_memory(&(struct memory){ .map = map_untouched });
	check_memory(&(struct memory){ .map = map_zeroes });
	check_memory(&(struct memory){ .map = map_shared });
}

/* ---- after fork(2) ---- */

/* The child changes what it has; the parent does not see it. */
static void change_in_child(int i)
{
	struct arena a;
	pid_t pid;

	if (!arena_map(&a, MEMORY_PAGES))
		return;
	arena_fill(&a);
	pid = fork_child();
	if (!pid) {
		if (!arena_private_model(&a))
			_exit(1);
		first_vec(&a, i);
		check_random(&a, 5);
		_exit(0);
	}
	reap_child(pid);
	arena_check(&a, "memory of the parent");
	first_vec(&a, i);
	arena_unmap(&a);
}

/* The parent changes it; the child, which has not touched it yet, does not see that. */
static void change_in_parent(int i)
{
	volatile int *step = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct arena a;
	pid_t pid;

	if (!arena_map(&a, MEMORY_PAGES))
		return;
	arena_fill(&a);
	pid = fork_child();
	if (!pid) {
		if (!arena_private_model(&a))
			_exit(1);
		*step = 1;
		if (!wait_until(step, 2))
			_exit(1);
		arena_check(&a, "memory of the child");
		first_vec(&a, i);
		_exit(0);
	}
	if (!wait_until(step, 1))
		fail("the child does not start");
	first_vec(&a, i);
	check_random(&a, 5);
	*step = 2;
	reap_child(pid);
	arena_check(&a, "memory of the parent");
	arena_unmap(&a);
	munmap((void *)step, page_size);
}

void test_fork(void)
{
	for (int i = 0; i < NR_FIRST_VECS; i++) {
		change_in_child(i);
		change_in_parent(i);
	}
}

/* ---- shared with another process ---- */

void test_shared(void)
{
	for (int i = 0; i < NR_FIRST_VECS; i++) {
		struct arena a = { 0 };
		pid_t pid;

		if (!map_shared(&a))
			return;
		arena_fill(&a);
		pid = fork_child();
		if (!pid) {
			first_vec(&a, i);
			check_random(&a, 5);
			_exit(0);
		}
		reap_child(pid);
		arena_check(&a, "what the child wrote");
		first_vec(&a, i);
		arena_unmap(&a);
	}
}

/* ---- huge pages ---- */

#define HUGE_PAGE	(2UL << 20)

static unsigned char *huge_base;
static size_t huge_size;

static bool adopt_huge(struct arena *a)
{
	/* Some pages around where one huge page ends and the next one starts. */
	return arena_adopt(a, huge_base + HUGE_PAGE - MEMORY_PAGES / 2 * page_size,
			   MEMORY_PAGES * page_size);
}

static void unmap_huge(struct arena *a)
{
	munmap(huge_base, huge_size);
	munmap(a->model, a->size);
}

static bool map_transparent(struct arena *a)
{
	unsigned char *base;

	huge_size = 3 * HUGE_PAGE;
	base = mmap(NULL, huge_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return false;
	}
	munmap(base, -(uintptr_t)base % HUGE_PAGE);
	huge_base = (unsigned char *)(((uintptr_t)base + HUGE_PAGE - 1) & -HUGE_PAGE);
	huge_size = base + huge_size - huge_base;
	if (madvise(huge_base, 2 * HUGE_PAGE, MADV_HUGEPAGE)) {
		skip("no transparent huge pages: errno %d", errno);
		return false;
	}
	return adopt_huge(a);
}

static long huge_kb(void)
{
	return read_field("/proc/meminfo", "AnonHugePages:");
}

static bool map_transparent_filled(struct arena *a)
{
	long before = huge_kb();

	if (!map_transparent(a))
		return false;
	memset(huge_base, 0, 2 * HUGE_PAGE);
	if (huge_kb() < before + (long)(2 * HUGE_PAGE >> 10)) {
		skip("no transparent huge pages: AnonHugePages does not grow");
		return false;
	}
	arena_fill(a);
	return true;
}

void test_huge(void)
{
	check_memory(&(struct memory){ .map = map_transparent, .unmap = unmap_huge });
	if (!*skipped())
		check_memory(&(struct memory){ .map = map_transparent_filled,
					       .unmap = unmap_huge });
}

static int hugetlb_flags;

static bool map_hugetlb(struct arena *a)
{
	huge_size = 2 * HUGE_PAGE;
	huge_base = mmap(NULL, huge_size, PROT_READ | PROT_WRITE,
			 hugetlb_flags | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (huge_base == MAP_FAILED) {
		skip("no huge pages: errno %d", errno);
		return false;
	}
	return adopt_huge(a);
}

static bool map_hugetlb_filled(struct arena *a)
{
	if (!map_hugetlb(a))
		return false;
	arena_fill(a);
	return true;
}

void test_hugetlb(void)
{
	static const char file[] = "/proc/sys/vm/nr_hugepages";
	static const int flags[] = { MAP_PRIVATE, MAP_SHARED };
	char old[32];

	if (read_field("/proc/meminfo", "Hugepagesize:") != HUGE_PAGE >> 10) {
		skip("no huge pages of 2 MiB");
		return;
	}
	if (!read_text(file, old, sizeof(old)) || !write_text(file, "8")) {
		skip("cannot write %s", file);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(flags) && !*skipped(); i++) {
		hugetlb_flags = flags[i];
		check_memory(&(struct memory){ .map = map_hugetlb, .unmap = unmap_huge });
		check_memory(&(struct memory){ .map = map_hugetlb_filled, .unmap = unmap_huge });
	}
	write_text(file, old);
}

/* ---- locked ---- */

static unsigned int lock_flags;

static bool map_locked(struct arena *a)
{
	if (!arena_map(a, MEMORY_PAGES))
		return false;
	if (mlock2(a->mem, a->size, lock_flags)) {
		skip("mlock: errno %d", errno);
		return false;
	}
	return true;
}

/* It stays locked, and can be unlocked. */
static void verify_locked(struct arena *a)
{
	expect("locked kilobytes", read_field("/proc/self/status", "VmLck:"), a->size >> 10);
	if (munlock(a->mem, a->size))
		fail("munlock: errno %d", errno);
	expect("unlocked kilobytes", read_field("/proc/self/status", "VmLck:"), 0);
}

void test_mlocked(void)
{
	lock_flags = 0;
	check_memory(&(struct memory){ .map = map_locked, .verify = verify_locked });
	lock_flags = MLOCK_ONFAULT;
	check_memory(&(struct memory){ .map = map_locked, .verify = verify_locked });
}
