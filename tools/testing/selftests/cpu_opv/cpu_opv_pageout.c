// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): memory that is swapped out: see cpu_opv_pageout.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "cpu_opv_pageout.h"
#include "cpu_opv_test.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define SWAP_SIZE	(8UL << 20)
#define TRIES		50

static char dir[] = "/tmp/cpu_opv_test.XXXXXX";
static char device[32];
static char cgroup[64];		/* of this process; empty: none */
static int swap_file = -1, loop = -1;

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

/* Swap space that is not memory which can be swapped out itself: in a ramfs. */
static bool make_swap_file(void)
{
	if (mount("ramfs", dir, "ramfs", 0, NULL))
		return false;
	swap_file = unnamed_file(dir, SWAP_SIZE);
	umount2(dir, MNT_DETACH);
	return swap_file >= 0 && make_swap(swap_file);
}

static void enter_cgroup(void)
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

static void leave_cgroup(void)
{
	char file[96];

	if (!*cgroup)
		return;
	snprintf(file, sizeof(file), "%s/cgroup.procs", dir);
	write_text(file, "0");
	rmdir(cgroup);
	umount(dir);
	*cgroup = 0;
}

static void clean_up(void)
{
	leave_cgroup();
	if (loop >= 0)
		close(loop);
	if (swap_file >= 0)
		close(swap_file);
	loop = -1;
	swap_file = -1;
	rmdir(dir);
}

const char *pageout_begin(void)
{
	const char *why = NULL;

	/* What is mounted goes with this process. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return "no mount namespace";
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (!mkdtemp(dir))
		return "no temporary directory";
	if (!make_swap_file()) {
		why = "no file for swap space";
	} else {
		loop = loop_attach(swap_file, device, sizeof(device));
		if (loop < 0)
			why = "no loop device";
		else if (swapon(device, 0))
			why = "no swap space";
	}
	if (why)
		clean_up();
	else
		enter_cgroup();
	return why;
}

void pageout_end(void)
{
	leave_cgroup();
	if (swapoff(device))
		fail("swapoff: errno %d", errno);
	clean_up();
}

size_t resident_pages(void *mem, size_t size)
{
	size_t nr = 0, pages = size / page_size;
	unsigned char in_core[pages];

	if (mincore(mem, size, in_core))
		return pages;
	for (size_t i = 0; i < pages; i++)
		nr += in_core[i] & 1;
	return nr;
}

static long swap_free(void)
{
	return read_field("/proc/meminfo", "SwapFree:");
}

/*
 * The pages may still be in the swap cache, until the kernel is told to get some memory back. If
 * it cannot be told, the space that they take tells that they were swapped out.
 */
bool pageout(void *mem, size_t size)
{
	const long enough = swap_free() - (long)(size >> 10);
	char reclaim[96];

	snprintf(reclaim, sizeof(reclaim), "%s/memory.reclaim", cgroup);
	for (int i = 0; i < TRIES; i++) {
		madvise(mem, size, MADV_PAGEOUT);
		if (!resident_pages(mem, size))
			return true;
		sleep_ms(i < 5 ? 1 : 5);
		if (*cgroup && write_text(reclaim, "256K"))
			continue;
		if (access(reclaim, W_OK) && swap_free() <= enough)
			return true;
	}
	return !resident_pages(mem, size) || swap_free() <= enough;
}
