// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): operands that cannot be accessed, and expect_fault. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

void on_arena(void (*test)(struct arena *a))
{
	struct arena a;

	if (!arena_map(&a, 5))
		return;
	arena_fill(&a);
	test(&a);
	arena_unmap(&a);
}

/*
 * The operand fails, which is EFAULT, or EAGAIN if it may. Operations around it
 * would change memory.
 */
static void check_operand(struct arena *a, const struct operand *operand, uint64_t addr, size_t len)
{
	struct cpu_op *op, vec[3] = {
		cpu_op_plus(a->mem, 1, 8),
		valid_op(operand->type, a->mem + 256, a->mem + 512, len),
		cpu_op_memcpy(a->mem + 8, a->mem + 16, 8),
	};
	int before = failures();

	op = &vec[1];
	set_operand(op, operand, addr);
	check_vec(a, vec, 3, -EFAULT);
	if (operand->other_expect_fault) {
		set_byte(op, operand->other_expect_fault, 1);
		check_vec(a, vec, 3, -EFAULT);
	}
	set_byte(op, operand->expect_fault, 0x80);
	check_vec(a, vec, 3, -EAGAIN);
	if (operand->other_expect_fault) {
		set_byte(op, operand->other_expect_fault, 0);
		check_vec(a, vec, 3, -EAGAIN);
	}
	/* Not where a comparison has stopped before the first store. */
	vec[0] = cpu_op_ne(a->mem, a->mem, 8);
	check_vec(a, vec, 3, 1);
	set_byte(op, operand->expect_fault, 0);
	check_vec(a, vec, 3, 1);
	explain(before, "operand: %s at %#llx", operand->name, (unsigned long long)addr);
}

/* Every operand of every operation that reads, or that writes, or both. */
void check_operands(struct arena *a, uint64_t addr, bool reads, bool writes)
{
	for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
		if (!(operands[i].write ? writes : reads))
			continue;
		check_operand(a, &operands[i], addr, 8);
		if (operands[i].words_only)
			check_operand(a, &operands[i], addr, 1);
		else
			check_operand(a, &operands[i], addr + 3, 100);
	}
}

/* ---- addresses that are none ---- */

static void bad_addresses(struct arena *a)
{
	static const uint64_t addrs[] = {
		0, 0x1000,
		/* What is behind user space, or would be there. */
		0x800000000000, 0xffff800000000000, 0xffff888000000000, 0xffffffff81000000,
		0xffffffffff600000, 0x8000000000000000, 0x0100000000000000, 0x7ffffffffffff000,
	};
	int bits = sizeof(long) == 8 ? 56 : 32;

	for (size_t i = 0; i < ARRAY_LEN(addrs); i++)
		check_operands(a, addrs[i], true, true);
	/* All bits of an address count, also those that no address here has. */
	check_operands(a, cpu_op_ptr(a->mem) + (1ULL << bits), true, true);
	check_operands(a, cpu_op_ptr(a->mem) | 1ULL << 63, true, true);
	/* The last bytes that there are, up to the end and beyond. */
	for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
		check_operand(a, &operands[i], UINT64_MAX - 7, 8);
		check_operand(a, &operands[i], UINT64_MAX, 1);
		if (operands[i].words_only)
			continue;
		check_operand(a, &operands[i], UINT64_MAX - 4095, 4096);
		check_operand(a, &operands[i], UINT64_MAX - 4094, 4096);
		check_operand(a, &operands[i], UINT64_MAX - 3, 8);
		check_operand(a, &operands[i], UINT64_MAX, 2);
		check_operand(a, &operands[i], UINT32_MAX - 3ULL, 8);
	}
}

void test_fault_addresses(void)
{
	on_arena(bad_addresses);
}

/* ---- mappings that do not allow it ---- */

static void read_only(struct arena *a)
{
	unsigned char *page = a->mem + 2 * page_size;
	struct cpu_op vec[] = {
		cpu_op_eq(page + 50, page + 50, 100),
		cpu_op_memcpy(page - 100, page + page_size - 50, 100),
	};

	mprotect(page, page_size, PROT_READ);
	check_operands(a, cpu_op_ptr(page), false, true);
	check_operands(a, cpu_op_ptr(page + page_size - 128), false, true);
	/* It may be read. */
	check_vec(a, vec, 2, 0);
	/* One page for both operands: it has to be writable. */
	vec[1] = cpu_op_memcpy(page, page + 500, 100);
	check_vec(a, vec, 2, -EFAULT);
	mprotect(page, page_size, PROT_READ | PROT_EXEC);
	check_operands(a, cpu_op_ptr(page), false, true);
	mprotect(page, page_size, PROT_READ | PROT_WRITE);
	check_vec(a, vec, 2, 0);
}

static unsigned char *map_anonymous(size_t pages)
{
	unsigned char *mem = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return NULL;
	}
	return mem;
}

static void inaccessible(struct arena *a)
{
	unsigned char *pages = map_anonymous(3);

	if (!pages)
		return;
	memset(pages, 0x5a, 3 * page_size);
	mprotect(pages, 3 * page_size, PROT_NONE);
	check_operands(a, cpu_op_ptr(pages + page_size), true, true);
	mprotect(pages, 3 * page_size, PROT_READ);
	for (size_t i = 0; i < 3 * page_size; i++) {
		if (pages[i] != 0x5a) {
			fail("byte %zu under PROT_NONE was changed", i);
			break;
		}
	}
	munmap(pages, 3 * page_size);
	check_operands(a, cpu_op_ptr(pages + page_size), true, true);
}

/* A page of a file that has only the one before it. */
static void beyond_file(struct arena *a)
{
	int fd = memfd_create("cpu_opv_test", MFD_CLOEXEC);
	unsigned char *two = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, page_size))
		two = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (two == MAP_FAILED) {
		fail("file: errno %d", errno);
		return;
	}
	check_operands(a, cpu_op_ptr(two + page_size), true, true);
	munmap(two, 2 * page_size);
}

static void guard_page(struct arena *a)
{
	unsigned char *page = map_anonymous(1);

	if (!page)
		return;
	if (madvise(page, page_size, MADV_GUARD_INSTALL))
		comment("no guard pages: not tested");
	else
		check_operands(a, cpu_op_ptr(page), true, true);
	munmap(page, page_size);
}

void test_fault_mappings(void)
{
	on_arena(read_only);
	on_arena(inaccessible);
	on_arena(beyond_file);
	on_arena(guard_page);
}

/* ---- operands of which only a part can be accessed ---- */

static void check_parts(struct arena *a, const struct operand *operand, unsigned char *edge)
{
	static const size_t parts[] = { 1, 4, 50, 99 };

	if (operand->words_only)
		return;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		check_operand(a, operand, cpu_op_ptr(edge - parts[i]), 100);
		if (parts[i] < 8)
			check_operand(a, operand, cpu_op_ptr(edge - parts[i]), 8);
	}
}

/* The last page of user space: what goes on behind it is outside. */
static unsigned char *last_page(void)
{
	static const uint64_t ends[] = {
		(1ULL << 56) - 4096, (1ULL << 47) - 4096, 0xffffe000, 0xc0000000,
	};
	unsigned char *page = MAP_FAILED;

	for (size_t i = 0; i < ARRAY_LEN(ends) && page == MAP_FAILED; i++) {
		uintptr_t addr = ends[i] - page_size;

		if (addr == ends[i] - page_size)
			page = mmap((void *)addr, page_size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	}
	return page;
}

static void parts_of_operands(struct arena *a)
{
	unsigned char *end = a->mem + a->size, *page = a->mem + 3 * page_size;
	unsigned char *top = last_page();
	struct arena last;

	mprotect(page, page_size, PROT_READ);
	for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
		check_parts(a, &operands[i], a->mem);
		check_parts(a, &operands[i], end);
		if (operands[i].write) {
			check_parts(a, &operands[i], page);
			check_parts(a, &operands[i], page + page_size);
		}
		if (top != MAP_FAILED)
			check_parts(a, &operands[i], top + page_size);
	}
	mprotect(page, page_size, PROT_READ | PROT_WRITE);
	/* Nothing mapped there, instead of memory that cannot be accessed. */
	munmap(a->mem - page_size, page_size);
	munmap(end, page_size);
	for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
		check_parts(a, &operands[i], a->mem);
		check_parts(a, &operands[i], end);
	}
	a->guard = 0;
	if (!arena_adopt(&last, top, page_size)) {
		comment("the last page of user space is in use: not tested");
		return;
	}
	/* Up to the last byte is fine. */
	arena_fill(&last);
	check_op(&last, cpu_op_memcpy(top + page_size - 100, top + 50, 100), 0);
	check_op(&last, cpu_op_memcpy(top, top + page_size - 8, 8), 0);
	check_op(&last, cpu_op_plus(top + page_size - 1, 1, 1), 0);
	arena_unmap(&last);
}

void test_fault_crossing(void)
{
	on_arena(parts_of_operands);
}
