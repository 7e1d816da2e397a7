// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): memory that is swapped out. */
#include <sys/mman.h>

#include "cpu_opv_pageout.h"
#include "cpu_opv_test.h"

static int map_flags;
static int swapped, not_cached;	/* how often it was swapped out, and not in memory at all */

static bool map_swapped(struct arena *a)
{
	if (!arena_adopt(a, mmap(NULL, MEMORY_PAGES * page_size, PROT_READ | PROT_WRITE,
				 map_flags | MAP_ANONYMOUS, -1, 0), MEMORY_PAGES * page_size))
		return false;
	madvise(a->mem, a->size, MADV_NOHUGEPAGE);
	arena_fill(a);
	if (!pageout(a->mem, a->size)) {
		skip("pages are not swapped out");
		return false;
	}
	swapped++;
	not_cached += !resident_pages(a->mem, a->size);
	return true;
}

void test_swapped(void)
{
	const char *why = pageout_begin();

	if (why) {
		skip("%s: errno %d", why, errno);
		return;
	}
	map_flags = MAP_PRIVATE;
	check_memory(&(struct memory){ .map = map_swapped });
	map_flags = MAP_SHARED;
	if (!*skipped())
		check_memory(&(struct memory){ .map = map_swapped });
	pageout_end();
	comment("swapped out %d times, %d of them not in the swap cache", swapped, not_cached);
}
