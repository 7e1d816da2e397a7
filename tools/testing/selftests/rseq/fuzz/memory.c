// SPDX-License-Identifier: GPL-2.0
/* The memory of the fuzzer: at fixed addresses, so that it is the same in every run. */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define PAGE		4096
#define RUN_AT		0x50000000UL	/* struct run, then struct fuzz and the aliases */
#define RUN_PAGES	8
#define FUZZ_PAGE	RUN_PAGES
#define SLOTS_PAGE	(FUZZ_PAGE + 1)
#define SCRATCH_PAGE	(SLOTS_PAGE + NR_SLOTS)
#define ALL_PAGES	(SCRATCH_PAGE + 1)
#define SLOTS_AT	0x58000000UL	/* each slot with nothing on both sides */
#define STRIDE		0x100000UL

_Static_assert(sizeof(struct run) <= RUN_PAGES * PAGE, "RUN_PAGES");
_Static_assert(sizeof(struct fuzz) <= PAGE, "struct fuzz has a page");

unsigned char *slot_page[NR_SLOTS], *slot_alias[NR_SLOTS];
unsigned char *scratch;
int slot_pkey = -1;
int fuzz_memfd;
struct fuzz *fuzz;

int memory_create(void)
{
	fuzz_memfd = memfd_create("fuzz", 0);
	if (fuzz_memfd < 0 || ftruncate(fuzz_memfd, ALL_PAGES * PAGE))
		return -1;
	return memory_map(fuzz_memfd);
}

static void *top_page(void)
{
	return (void *)(unsigned long)(facts.task_size - PAGE);
}

/* Map a slot anew, whatever became of it. */
int memory_restore(enum slot slot)
{
	int flags = slot == SLOT_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
	void *at = (void *)(SLOTS_AT + slot * STRIDE), *p;

	if (slot == SLOT_TOP)
		at = top_page();
	p = mmap(at, PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fuzz_memfd,
		 (SLOTS_PAGE + slot) * PAGE);
	slot_page[slot] = p == MAP_FAILED ? NULL : p;
	return p == MAP_FAILED ? -1 : 0;
}

int memory_map(int fd)
{
	unsigned char *at = mmap((void *)RUN_AT, ALL_PAGES * PAGE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, fd, 0);
	void *top;

	if (at == MAP_FAILED)
		return -1;
	fuzz_memfd = fd;
	run = (struct run *)at;
	fuzz = (struct fuzz *)(at + FUZZ_PAGE * PAGE);
	scratch = at + SCRATCH_PAGE * PAGE;
	if (fuzz->facts.task_size)
		facts = fuzz->facts;	/* this program goes on with a case */
	slot_pkey = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	/* The stack may be there, in one of many starts: the next is luckier. */
	top = mmap(top_page(), PAGE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (top != top_page())
		return -1;
	for (int i = 0; i < NR_SLOTS; i++) {
		if (memory_restore(i))
			return -1;
		slot_alias[i] = i == SLOT_PRIVATE ? NULL : at + (SLOTS_PAGE + i) * PAGE;
	}
	return 0;
}

void memory_reset(void)
{
	memset(fuzz, 0, sizeof(*fuzz));
	fuzz->facts = facts;
	memset((char *)fuzz + PAGE, POISON, NR_SLOTS * PAGE);
	run->len = 0;
	run->why_len = 0;
	run->cs = (unsigned long)slot_page[SLOT_CS];
	run->log[0] = '\0';
}

/* The same area where it can always be accessed; itself, if that is nowhere. */
struct rseq_abi *alias_of(struct rseq_abi *a)
{
	for (int i = 0; i < NR_SLOTS; i++) {
		unsigned long offset = (unsigned char *)a - slot_page[i];

		if (slot_page[i] && slot_alias[i] && offset <= PAGE - AREA_BYTES / 2)
			return (struct rseq_abi *)(slot_alias[i] + offset);
	}
	return a;
}
