// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): operands that cross pages, overlap, or share pages. The
 * kernel reaches those that cross pages by other addresses than the rest.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_test.h"

/* @p and @q have @len bytes each, in different pages. */
static void check_pair(struct arena *a, unsigned char *p, unsigned char *q, size_t len)
{
	check_op(a, cpu_op_memcpy(p, q, len), 0);
	check_op(a, cpu_op_eq(p, q, len), 0);
	check_op(a, cpu_op_ne(p, q, len), 1);
	for (int i = 0; i < 2; i++) {
		arena_flip(a, p + (i ? len - 1 : 0));
		check_op(a, cpu_op_eq(p, q, len), 1);
		check_op(a, cpu_op_ne(p, q, len), 0);
		arena_flip(a, q + random_below(len));
		check_op(a, cpu_op_memcpy(p, q, len), 0);
	}
}

/* Either or both operands of all operations that may cross a page. */
void test_crossing(void)
{
	static const size_t lens[] = { 2, 3, 4, 7, 8, 9, 16, 64, 1000, 4095, 4096 };
	struct arena a;

	if (!arena_map(&a, 7))
		return;
	arena_fill(&a);
	for (size_t i = 0; i < ARRAY_LEN(lens) * 3; i++) {
		size_t len = lens[i / 3], splits[] = { 1, len / 2, len - 1 }, split = splits[i % 3];
		unsigned char *p = a.mem + 2 * page_size, *q = a.mem + 5 * page_size;

		check_pair(&a, p - split, q, len);
		check_pair(&a, p, q - split, len);
		check_pair(&a, p - split, q - split, len);
		check_pair(&a, p - split, q - (len - split), len);
		/* Words of one operand are aligned, those of the other are not. */
		check_pair(&a, p - split, q + 8, len);
		check_pair(&a, p + 3, q - split, len);
	}
	arena_unmap(&a);
}

static const size_t overlap_lens[] = { 2, 3, 4, 7, 8, 9, 16, 17, 33, 64, 65, 130, 1000, 4096 };

static const size_t far_distances[] = {
	65, 71, 100, 127, 128, 129, 255, 256, 500, 512, 999, 1024, 2047, 2048, 2049, 4064, 4088,
	4094, 4095,
};

/* 1 to 64, then those that are far; 0 at the end. */
static size_t distance(size_t i)
{
	if (i < 64)
		return i + 1;
	return i - 64 < ARRAY_LEN(far_distances) ? far_distances[i - 64] : 0;
}

/* Bytes that are all different near each other: a shift of them shows. */
static void refresh(struct arena *a, unsigned char *at, size_t len)
{
	unsigned char bytes[2 * CPU_OP_DATA_LEN_MAX];
	unsigned char first = random64() >> 24;

	for (size_t i = 0; i < len; i++)
		bytes[i] = first + i * 5 + i / 256;
	arena_set(a, at, bytes, len);
}

static void check_overlap(struct arena *a, unsigned char *dst, unsigned char *src, size_t len)
{
	unsigned char *low = dst < src ? dst : src, *high = dst < src ? src : dst;

	refresh(a, low, high - low + len);
	check_op(a, cpu_op_memcpy(dst, src, len), 0);
}

/* Inside a page, or with the end of a page in both operands. */
void test_overlap(void)
{
	struct arena a;
	size_t d;

	if (!arena_map(&a, 6))
		return;
	arena_fill(&a);
	for (size_t i = 0; (d = distance(i)); i++) {
		for (size_t l = 0; l < ARRAY_LEN(overlap_lens); l++) {
			size_t len = overlap_lens[l];
			unsigned char *p = a.mem + 2 * page_size + random_below(8);

			if (len <= d)
				continue;
			if (len + d < page_size - 8) {
				check_overlap(&a, p, p + d, len);
				check_overlap(&a, p + d, p, len);
			}
			/* The bytes that are in both have the end of the page in them. */
			p = a.mem + 3 * page_size - d - (len - d) / 2;
			if (len - d < 2)
				continue;
			check_overlap(&a, p, p + d, len);
			check_overlap(&a, p + d, p, len);
		}
	}
	arena_unmap(&a);
}

/* Only one of the operands crosses a page. */
void test_overlap_crossing(void)
{
	unsigned char *end;
	struct arena a;
	size_t d;

	if (!arena_map(&a, 6))
		return;
	arena_fill(&a);
	end = a.mem + 3 * page_size;
	for (size_t i = 0; (d = distance(i)); i++) {
		for (size_t l = 0; l < ARRAY_LEN(overlap_lens); l++) {
			size_t len = overlap_lens[l];
			/* The low one ends where the page does, or as soon as it can behind. */
			unsigned char *low = end - len, *high = low + d;

			if (len <= d)
				continue;
			check_overlap(&a, high, low, len);
			check_overlap(&a, low, high, len);
			/* The high one starts where the page does. */
			high = end;
			low = end - d;
			check_overlap(&a, high, low, len);
			check_overlap(&a, low, high, len);
			/* The high one crosses by one byte, the low one by as many as it can. */
			high = end - len + 1;
			low = high - d;
			check_overlap(&a, high, low, len);
			check_overlap(&a, low, high, len);
		}
	}
	arena_unmap(&a);
}

/* Maps the pages of @fd that @order lists, in that order. */
static unsigned char *map_pages(int fd, const int *order, int nr)
{
	unsigned char *base = mmap(NULL, nr * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0);

	for (int i = 0; base != MAP_FAILED && i < nr; i++) {
		if (mmap(base + i * page_size, page_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, order[i] * page_size) == MAP_FAILED)
			return MAP_FAILED;
	}
	return base;
}

static int memory_file(size_t pages)
{
	int fd = memfd_create("cpu_opv_test", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, pages * page_size)) {
		fail("memfd: errno %d", errno);
		return -1;
	}
	return fd;
}

/*
 * The same bytes at two addresses: the kernel sees no overlap and may copy in
 * any order, but what it writes are bytes of the source, and to nowhere else.
 */
static void copy_alias(unsigned char *one, unsigned char *two, size_t dst, size_t src, size_t len)
{
	struct cpu_op op = cpu_op_memcpy(two + dst, one + src, len);
	int ret;

	for (size_t i = 0; i < 2 * page_size; i++)
		one[i] = i >= src && i < src + len ? 0x80 | i % 128 : i % 128;
	ret = call(&op, 1, target_cpu(), 0);
	expect("copy to the same page", ret, 0);
	for (size_t i = 0; i < 2 * page_size; i++) {
		bool written = i >= dst && i < dst + len, source = i >= src && i < src + len;

		if (written ? one[i] < 0x80 : one[i] != ((source ? 0x80 : 0) | i % 128)) {
			fail("copy of %zu from %zu to %zu: byte %zu is %#x", len, src, dst, i,
			     one[i]);
			return;
		}
	}
}

void test_alias(void)
{
	static const int order[] = { 0, 1 };
	unsigned char *one, *two;
	int fd = memory_file(2);
	uint64_t value;

	if (fd < 0)
		return;
	one = map_pages(fd, order, 2);
	two = map_pages(fd, order, 2);
	if (one == MAP_FAILED || two == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return;
	}
	for (size_t len = 1; len < page_size; len = len * 3 + 1) {
		copy_alias(one, two, 100, 100, len);
		copy_alias(one, two, 100, 101, len);
		copy_alias(one, two, 101, 100, len);
		copy_alias(one, two, 164, 100, len);
		copy_alias(one, two, 100, 164, len);
		copy_alias(one, two, page_size - len / 2, page_size - len / 2 - 1, len);
		copy_alias(one, two, page_size - len / 2 - 1, page_size - len / 2, len);
	}
	/* Two operations, two addresses, one word. */
	*(volatile uint64_t *)one = 40;
	{
		struct cpu_op vec[] = {
			cpu_op_plus(one, 1, 8), cpu_op_plus(two, 1, 8),
			cpu_op_eq(one, two, 8), cpu_op_memcpy(&value, one, 8),
		};

		expect("both addresses", call(vec, ARRAY_LEN(vec), target_cpu(), 0), 0);
		expect("word at both addresses", value, 42);
	}
	munmap(one, 2 * page_size);
	munmap(two, 2 * page_size);
	close(fd);
}

/* Neighbours in the mapping that are not so in the file, or are the same page. */
void test_alias_order(void)
{
	static const int straight[] = { 0, 1, 2, 3 }, swapped[] = { 3, 1, 2, 0 };
	static const int twice[] = { 2, 2 };
	unsigned char *pages, *mixed, *same, bytes[200], back[200];
	int fd = memory_file(4);

	if (fd < 0)
		return;
	pages = map_pages(fd, straight, 4);
	mixed = map_pages(fd, swapped, 4);
	same = map_pages(fd, twice, 2);
	if (pages == MAP_FAILED || mixed == MAP_FAILED || same == MAP_FAILED) {
		fail("mmap: errno %d", errno);
		return;
	}
	for (int i = 0; i < 3; i++) {
		struct cpu_op in = cpu_op_memcpy(mixed + (i + 1) * page_size - 90, bytes, 200);
		struct cpu_op out = cpu_op_memcpy(back, mixed + (i + 1) * page_size - 90, 200);

		for (size_t b = 0; b < sizeof(bytes); b++)
			bytes[b] = random64() >> 24;
		expect("write", call(&in, 1, target_cpu(), 0), 0);
		if (memcmp(pages + (swapped[i] + 1) * page_size - 90, bytes, 90) ||
		    memcmp(pages + swapped[i + 1] * page_size, bytes + 90, 110))
			fail("pages %d and %d: not written in order", swapped[i], swapped[i + 1]);
		expect("read", call(&out, 1, target_cpu(), 0), 0);
		if (memcmp(bytes, back, sizeof(bytes)))
			fail("pages %d and %d: not read in order", swapped[i], swapped[i + 1]);
	}
	{
		struct cpu_op vec[] = {
			cpu_op_memcpy(same + page_size - 90, bytes, 200),
			cpu_op_eq(same + page_size - 90, bytes, 200),
		};

		expect("one page twice", call(vec, 2, target_cpu(), 0), 0);
		if (memcmp(pages + 3 * page_size - 90, bytes, 90) ||
		    memcmp(pages + 2 * page_size, bytes + 90, 110))
			fail("one page twice: not written in order");
	}
	munmap(pages, 4 * page_size);
	munmap(mixed, 4 * page_size);
	munmap(same, 2 * page_size);
	close(fd);
}
