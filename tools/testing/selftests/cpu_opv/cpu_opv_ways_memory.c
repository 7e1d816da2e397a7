// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): the kinds of memory that random vectors work on. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_opv_ways.h"

#include "../kselftest.h"

#ifndef __NR_memfd_secret
#define __NR_memfd_secret	447
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif
#define ARCH_ENABLE_TAGGED_ADDR	0x4002

#define HOLE_ADDR	((void *)0x20000000)
#define HUGE_PAGE	(2UL << 20)
#define STACK_ROOM	(4UL << 20)	/* more than the kernel keeps free below a stack */
#define RW		(MAY_READ | MAY_WRITE)

unsigned char before[NR_REGIONS][REGION_BYTES], after[NR_REGIONS][REGION_BYTES];

static void fill(struct region *r, const unsigned char *contents)
{
	for (int page = 0; page < REGION_PAGES; page++) {
		if (r->view != r->mem || r->rights[page] & MAY_WRITE)
			memcpy(r->view + page * 4096, contents + page * 4096, 4096);
	}
}

static void discard(struct region *r, const unsigned char *contents)
{
	madvise(r->mem, REGION_BYTES, MADV_DONTNEED);
}

/* The page of zeroes gets mapped. */
static void discard_and_read(struct region *r, const unsigned char *contents)
{
	discard(r, contents);
	for (int page = 0; page < REGION_PAGES; page++)
		*(volatile unsigned char *)(r->mem + page * 4096);
}

/* What was copied for it is gone, the file has other contents. */
static void discard_and_fill(struct region *r, const unsigned char *contents)
{
	memcpy(r->view, contents, REGION_BYTES);
	discard(r, contents);
}

static void fill_read_only(struct region *r, const unsigned char *contents)
{
	mprotect(r->mem, REGION_BYTES, PROT_READ | PROT_WRITE);
	memcpy(r->mem, contents, REGION_BYTES);
	mprotect(r->mem, REGION_BYTES, PROT_READ);
}

/* Of the stack, the last page is there. */
static void unmap_stack(struct region *r, const unsigned char *contents)
{
	unsigned char *last = r->mem + REGION_BYTES - 4096;

	munmap(r->mem - 4096, REGION_BYTES + 4096);
	if (mmap(last, 4096, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0) != last)
		fail("mmap of a stack: errno %d", errno);
}

#define FULL	{ RW, RW, RW }

struct region regions[NR_REGIONS] = {
	[ANON]		   = { "anon", 12, .rights = FULL, .reset = fill },
	[UNTOUCHED]	   = { "untouched", 3, .rights = FULL, .zero = true, .reset = discard },
	[ZEROES]	   = { "zeroes", 3, .rights = FULL, .zero = true,
			       .reset = discard_and_read },
	[FORKED]	   = { "forked", 1, .rights = FULL, .reset = fill },
	[SHARED]	   = { "shared", 2, .rights = FULL, .reset = fill },
	[FILE_SHARED]	   = { "file", 3, .rights = FULL, .reset = fill },
	[FILE_ALIAS]	   = { "alias_of_file", 3, .rights = FULL },
	[FILE_PRIVATE]	   = { "private_file", 3, .rights = FULL, .reset = discard_and_fill },
	[TRANSPARENT_HUGE] = { "thp", 2, .rights = FULL, .closed = true, .reset = fill },
	[HUGETLB]	   = { "hugetlb", 2, .rights = FULL, .closed = true, .reset = fill },
	[STACK]		   = { "stack", 1, .rights = FULL, .closed = true, .zero = true,
			       .reset = unmap_stack },
	[TAGGED]	   = { "tagged_anon", 2, .rights = FULL },
	[SECRET]	   = { "secret", 1, .rights = FULL, .in_place_only = true, .reset = fill },
	[RIVAL]		   = { "rival", 2, .rights = FULL, .reset = fill },
	[READ_ONLY]	   = { "read_only", 0, .rights = { MAY_READ, MAY_READ, MAY_READ },
			       .reset = fill_read_only },
	[READ_ONLY_FILE]   = { "read_only_file", 0, .rights = { MAY_READ, MAY_READ, MAY_READ },
			       .reset = fill },
	[MIXED]		   = { "rw_ro_none", 0, .rights = { RW, MAY_READ, 0 }, .reset = fill },
	[GUARDED]	   = { "rw_guard_rw", 0, .rights = { RW, 0, RW }, .reset = fill },
	[PAST_END]	   = { "rw_end_of_file", 0, .rights = { RW, 0, 0 }, .reset = fill },
	[NO_ACCESS]	   = { "no_access", 0, .reset = fill },
	[HOLE]		   = { "hole", 0 },
	[LOW]		   = { "0", 0, .available = true, .base = 0 },
	[NON_CANONICAL]	   = { "0x800000000000", 0, .available = true, .base = 0x800000000000 },
	[KERNEL]	   = { "0xffff888000000000", 0, .available = true,
			       .base = 0xffff888000000000 },
	[TOP]		   = { "-0x3000", 0, .available = true, .base = -(uint64_t)REGION_BYTES },
};

static void place(struct region *r, unsigned char *mem)
{
	r->mem = mem;
	if (!r->view)
		r->view = mem;
	r->base = cpu_op_ptr(mem);
	r->frames = r - regions;
	r->available = true;
}

/* Between two pages that cannot be accessed. */
static unsigned char *reserve(size_t size)
{
	unsigned char *mem = mmap(NULL, size + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);

	return mem == MAP_FAILED ? NULL : mem + 4096;
}

/* @fd: -1 for anonymous memory */
static bool map(struct region *r, int prot, int flags, int fd)
{
	unsigned char *mem = reserve(REGION_BYTES);

	if (!mem || mmap(mem, REGION_BYTES, prot, flags | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0),
			 fd, 0) != mem)
		return false;
	madvise(mem, REGION_BYTES, MADV_NOHUGEPAGE);
	place(r, mem);
	return true;
}

/* With another mapping, for the test. */
static int map_file(struct region *r, int prot, int flags, size_t size)
{
	int fd = memfd_create(r->name, MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, size))
		return -1;
	r->view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->view == MAP_FAILED || !map(r, prot, flags, fd))
		return -1;
	return fd;
}

static bool map_files(void)
{
	int prot = PROT_READ | PROT_WRITE;
	int fd = map_file(&regions[FILE_SHARED], prot, MAP_SHARED, REGION_BYTES);
	struct region *r;

	if (fd < 0 || !map(&regions[FILE_ALIAS], prot, MAP_SHARED, fd) ||
	    map_file(&regions[FILE_PRIVATE], prot, MAP_PRIVATE, REGION_BYTES) < 0 ||
	    map_file(&regions[RIVAL], prot, MAP_SHARED, REGION_BYTES) < 0 ||
	    map_file(&regions[READ_ONLY_FILE], PROT_READ, MAP_SHARED, REGION_BYTES) < 0 ||
	    map_file(&regions[MIXED], prot, MAP_SHARED, REGION_BYTES) < 0 ||
	    map_file(&regions[NO_ACCESS], PROT_NONE, MAP_SHARED, REGION_BYTES) < 0 ||
	    map_file(&regions[PAST_END], prot, MAP_SHARED, 4096) < 0)
		return false;
	regions[FILE_ALIAS].frames = FILE_SHARED;
	r = &regions[MIXED];
	mprotect(r->mem + 4096, 4096, PROT_READ);
	mprotect(r->mem + 2 * 4096, 4096, PROT_NONE);
	/* There is nothing to look at. */
	regions[PAST_END].view = regions[PAST_END].mem;
	return true;
}

static bool map_anonymous(void)
{
	static const enum region_id private[] = {
		ANON, UNTOUCHED, ZEROES, FORKED, READ_ONLY, GUARDED,
	};
	struct region *r;

	for (size_t i = 0; i < ARRAY_LEN(private); i++) {
		if (!map(&regions[private[i]], PROT_READ | PROT_WRITE, MAP_PRIVATE, -1))
			return false;
	}
	if (!map(&regions[SHARED], PROT_READ | PROT_WRITE, MAP_SHARED, -1))
		return false;
	r = &regions[GUARDED];
	r->available = !madvise(r->mem + 4096, 4096, MADV_GUARD_INSTALL);
	return true;
}

/* Where no later mapping goes by itself. */
static void find_hole(void)
{
	unsigned char *mem = mmap(HOLE_ADDR, REGION_BYTES, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (mem != HOLE_ADDR)
		return;
	munmap(mem, REGION_BYTES);
	place(&regions[HOLE], mem);
}

static void map_stack(void)
{
	unsigned char *room = reserve(STACK_ROOM);

	if (!room)
		return;
	/*
	 * What is below stays as it is, without access: the kernel keeps its distance from other
	 * mappings only, and nothing else can be mapped there.
	 */
	place(&regions[STACK], room + STACK_ROOM - REGION_BYTES);
	unmap_stack(&regions[STACK], NULL);
}

/* Around where one huge page ends and the next one starts. */
static void map_huge(void)
{
	static const char file[] = "/proc/sys/vm/nr_hugepages";
	unsigned char *mem;
	long huge;

	mem = mmap(NULL, 3 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	huge = read_field("/proc/meminfo", "AnonHugePages:");
	if (mem != MAP_FAILED) {
		mem += -(uintptr_t)mem % HUGE_PAGE;
		madvise(mem, 2 * HUGE_PAGE, MADV_HUGEPAGE);
		memset(mem, 0, 2 * HUGE_PAGE);
		if (read_field("/proc/meminfo", "AnonHugePages:") > huge)
			place(&regions[TRANSPARENT_HUGE], mem + HUGE_PAGE - 4096);
	}
	if (read_field("/proc/meminfo", "Hugepagesize:") != HUGE_PAGE >> 10 ||
	    !write_text(file, "8"))
		return;
	mem = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (mem != MAP_FAILED)
		place(&regions[HUGETLB], mem + HUGE_PAGE - 4096);
}

static void map_secret(void)
{
	int fd = syscall(__NR_memfd_secret, 0);

	if (fd < 0 || ftruncate(fd, REGION_BYTES))
		return;
	map(&regions[SECRET], PROT_READ | PROT_WRITE, MAP_SHARED, fd);
}

static void map_tagged(void)
{
	struct region *r = &regions[TAGGED];

#ifdef SYS_arch_prctl
	if (syscall(SYS_arch_prctl, ARCH_ENABLE_TAGGED_ADDR, 6))
		return;
	place(r, regions[ANON].mem);
	r->base |= 0x2aULL << 57;
	r->frames = ANON;
#endif
}

const char *regions_map(void)
{
	if (page_size != 4096)
		return "pages are not of 4096 bytes";
	if (!map_anonymous() || !map_files())
		return "no memory";
	find_hole();
	map_stack();
	map_huge();
	map_secret();
	map_tagged();
	return NULL;
}

void regions_list(void)
{
	for (int i = 0; i < NR_REGIONS; i++) {
		if (!regions[i].available)
			ksft_print_msg("without memory of the kind %s\n", regions[i].name);
	}
}

/* ---- what is in it ---- */

/*
 * Of 1024 bytes, the first half is the same wherever it is, so that comparisons can go on; the other
 * one tells the region and the page.
 */
static void contents_of(enum region_id region, uint64_t seed)
{
	uint64_t words[64];

	for (int i = 0; i < 64; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		words[i] = seed ^ seed >> 29;
	}
	for (int i = 0; i < REGION_BYTES / 8; i++) {
		uint64_t word = words[i % 64];

		if (i & 64)
			word += (region * 64 + i / 512 + 1) * 0x9e3779b97f4a7c15;
		memcpy(before[region] + 8 * i, &word, 8);
	}
}

void regions_contents(uint64_t seed)
{
	for (int i = 0; i < NR_REGIONS; i++) {
		if (!regions[i].zero)
			contents_of(i, seed);
	}
}

/* ---- for a case ---- */

/* Itself, or the same memory at another address. */
bool case_uses(const struct ways_case *c, enum region_id region)
{
	for (int i = 0; i < c->cnt; i++) {
		for (int k = 0; k < operands_of(&c->ops[i]); k++) {
			enum region_id at = c->ops[i].at[k].region;

			if (at == region || (regions[at].mem && regions[at].frames == region))
				return true;
		}
	}
	return false;
}

void case_reset(const struct ways_case *c)
{
	for (int i = 0; i < NR_REGIONS; i++) {
		struct region *r = &regions[i];

		if (!case_uses(c, i) || !r->mem || r->frames != i || !r->reset)
			continue;
		r->reset(r, before[i]);
		if (c->paged_out && !r->closed && r->rights[0])
			madvise(r->mem, REGION_BYTES, MADV_PAGEOUT);
	}
}

/* Private pages are not in the view of their file; a rival's region may not be accessible. */
unsigned char *byte_at(const struct place *at)
{
	struct region *r = &regions[at->region];
	bool direct = r->rights[at->offset / 4096] && at->region != RIVAL;

	return (direct ? r->mem : r->view) + at->offset;
}

bool case_compare(const struct ways_case *c, unsigned char want[NR_REGIONS][REGION_BYTES],
		  struct place *where)
{
	for (int i = 0; i < NR_REGIONS; i++) {
		struct region *r = &regions[i];

		if (!case_uses(c, i) || !r->mem || r->frames != i)
			continue;
		if (i == FILE_PRIVATE && memcmp(r->view, before[i], REGION_BYTES)) {
			*where = (struct place){ .region = i, .offset = -1 };
			return false;
		}
		for (int page = 0; page < REGION_PAGES; page++) {
			const unsigned char *mem = byte_at(&(struct place){ i, page * 4096 });
			const unsigned char *model = want[i] + page * 4096;
			int byte = 0;

			if ((!r->rights[page] && r->view == r->mem) || !memcmp(mem, model, 4096))
				continue;
			while (mem[byte] == model[byte])
				byte++;
			*where = (struct place){ .region = i, .offset = page * 4096 + byte };
			return false;
		}
	}
	return true;
}
