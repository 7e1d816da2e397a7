// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): memory that is swapped out. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define SWAP_SIZE	(8UL << 20)

static int map_flags;
static int swapped, not_cached;	/* how often it was swapped out, and not in memory at all */
static char cgroup[64];		/* of this process; empty: none */

/* What mkswap(8) writes: the signature, and how many pages there are. */
static bool make_swap(int fd)
{
	struct {
		char boot[1024];
		uint32_t version, last_page, nr_bad;
	} head = { .version = 1, .last_page = SWAP_SIZE / page_size - 1 };

	return pwrite(fd, &head, sizeof(head), 0) == sizeof(head) &&
	       pwrite(fd, "SWAPSPACE2", 10, page_size - 10) == 10;
}

static size_t resident(const struct arena *a)
{
	unsigned char in_core[MEMORY_PAGES];
	size_t nr = 0;

	if (mincore(a->mem, a->size, in_core))
		return MEMORY_PAGES;
	for (int i = 0; i < MEMORY_PAGES; i++)
		nr += in_core[i] & 1;
	return nr;
}

static long swap_free(void)
{
	return read_field("/proc/meminfo", "SwapFree:");
}

static bool swapped_out(const struct arena *a, long free_before)
{
	return !resident(a) || swap_free() <= free_before - (long)(a->size >> 10);
}

/*
 * The page table has no pages any more. They may still be in the swap cache,
 * until the kernel is told to get some memory back.
 */
static bool map_swapped(struct arena *a)
{
	long before = swap_free();
	char reclaim[96];

	if (!arena_adopt(a, mmap(NULL, MEMORY_PAGES * page_size, PROT_READ | PROT_WRITE,
				 map_flags | MAP_ANONYMOUS, -1, 0), MEMORY_PAGES * page_size))
		return false;
	madvise(a->mem, a->size, MADV_NOHUGEPAGE);
	arena_fill(a);
	snprintf(reclaim, sizeof(reclaim), "%s/memory.reclaim", cgroup);
	for (int i = 0; i < 50 && resident(a); i++) {
		madvise(a->mem, a->size, MADV_PAGEOUT);
		sleep_ms(5);
		if (access(reclaim, W_OK)) {
			if (swapped_out(a, before))
				break;
		} else {
			write_text(reclaim, "256K");
		}
	}
	if (!swapped_out(a, before)) {
		skip("pages are not swapped out");
		return false;
	}
	swapped++;
	not_cached += !resident(a);
	return true;
}

/* Swap space that is not memory which can be swapped out itself: in a ramfs. */
static int make_swap_file(const char *dir)
{
	int fd;

	if (mount("ramfs", dir, "ramfs", 0, NULL))
		return -1;
	fd = unnamed_file(dir, SWAP_SIZE);
	umount2(dir, MNT_DETACH);
	if (fd < 0 || make_swap(fd))
		return fd;
	close(fd);
	return -1;
}

static void swap_to(const char *path)
{
	if (swapon(path, 0)) {
		skip("swapon: errno %d", errno);
		return;
	}
	map_flags = MAP_PRIVATE;
	check_memory(&(struct memory){ .map = map_swapped });
	map_flags = MAP_SHARED;
	if (!*skipped())
		check_memory(&(struct memory){ .map = map_swapped });
	if (swapoff(path))
		fail("swapoff: errno %d", errno);
	comment("swapped out %d times, %d of them not in the swap cache", swapped, not_cached);
}

/* A cgroup for this process alone, so that only its memory is reclaimed. */
static void enter_cgroup(const char *dir)
{
	char file[96];

	if (mount("cgroup2", dir, "cgroup2", 0, NULL))
		return;
	snprintf(file, sizeof(file), "%s/cgroup.subtree_control", dir);
	write_text(file, "+memory");
	snprintf(cgroup, sizeof(cgroup), "%s/cpu_opv_test", dir);
	mkdir(cgroup, 0755);
	snprintf(file, sizeof(file), "%s/cgroup.procs", cgroup);
	write_text(file, "0");
}

static void leave_cgroup(const char *dir)
{
	char file[96];

	snprintf(file, sizeof(file), "%s/cgroup.procs", dir);
	write_text(file, "0");
	rmdir(cgroup);
	umount(dir);
}

void test_swapped(void)
{
	char path[32], dir[] = "/tmp/cpu_opv_test.XXXXXX";
	int loop, fd;

	/* What is mounted goes with this process. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		skip("no mount namespace: errno %d", errno);
		return;
	}
	if (!mkdtemp(dir)) {
		skip("no temporary directory: errno %d", errno);
		return;
	}
	fd = make_swap_file(dir);
	loop = loop_attach(fd, path, sizeof(path));
	if (fd >= 0 && loop >= 0) {
		enter_cgroup(dir);
		swap_to(path);
		leave_cgroup(dir);
	} else {
		skip("no %s: errno %d", fd < 0 ? "file for swap space" : "loop device", errno);
	}
	rmdir(dir);
	if (loop >= 0)
		close(loop);
	if (fd >= 0)
		close(fd);
}
