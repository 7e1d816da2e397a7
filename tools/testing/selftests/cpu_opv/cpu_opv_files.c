// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): memory that belongs to a file. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#define FILE_SIZE	(MEMORY_PAGES * page_size)

static int file;		/* what is mapped */
static int storage;		/* where its data have to arrive */
static int map_flags;
static bool tracked;		/* the kernel has to know when a shared mapping is written to */
static unsigned char *contents;	/* of the file, before */

/* The file has random contents, which no page table has yet. */
static bool map_file(struct arena *a)
{
	if (!arena_adopt(a, mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, map_flags, file, 0),
			 FILE_SIZE)) {
		fail("mmap: errno %d", errno);
		return false;
	}
	for (size_t i = 0; i < FILE_SIZE; i++)
		contents[i] = random64() >> 24;
	if (pwrite(file, contents, FILE_SIZE, 0) != (ssize_t)FILE_SIZE) {
		fail("pwrite: errno %d", errno);
		return false;
	}
	memcpy(a->model, contents, FILE_SIZE);
	return true;
}

static void expect_contents(int fd, const unsigned char *want, const char *what)
{
	unsigned char *got = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pread(fd, got, FILE_SIZE, 0) != (ssize_t)FILE_SIZE)
		fail("pread: errno %d", errno);
	else if (memcmp(got, want, FILE_SIZE))
		fail("%s: not the right data", what);
	munmap(got, FILE_SIZE);
}

/* The data are in the file, stay there, and get to where it is stored. */
static void verify_shared(struct arena *a)
{
	expect_contents(file, a->model, "the file");
	if (msync(a->mem, a->size, MS_SYNC) || fsync(file))
		fail("msync: errno %d", errno);
	expect_contents(storage, a->model, "the file's storage");
	/* Once more after that: pages are clean now, and get dirty again. */
	if (tracked)
		check_random_words(a, 20);
	else
		check_random(a, 5);
	munmap(a->mem, a->size);
	if (fsync(file))
		fail("fsync: errno %d", errno);
	posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	ioctl(file, BLKFLSBUF, 0);
	expect_contents(storage, a->model, "the file's storage, later");
	expect_contents(file, a->model, "the file, read again");
}

static void verify_private(struct arena *a)
{
	expect_contents(file, contents, "the file");
	munmap(a->mem, a->size);
	expect_contents(file, contents, "the file, later");
}

static void unmap_file(struct arena *a)
{
	munmap(a->model, a->size);
}

/*
 * Pages that are written to by others than the program, at any time, would be
 * written back at the wrong one: such stores are only done in place.
 */
void check_refused_stores(struct arena *a)
{
	struct cpu_op vec[] = {
		cpu_op_plus(a->mem + 8, 1, 8), cpu_op_plus(a->mem + page_size, 1, 8),
	};
	struct cpu_op across = cpu_op_memcpy(a->mem + page_size - 4, a->mem, 8);

	check_op(a, across, -EFAULT);
	across.u.memcpy_op.expect_fault_dst = 1;
	check_op(a, across, -EAGAIN);
	check_vec(a, vec, 2, -EFAULT);
	vec[1] = cpu_op_eq(a->mem, a->mem, 8);
	check_vec(a, vec, 2, -EFAULT);
	/* To read them is fine. */
	check_op(a, cpu_op_eq(a->mem + 1, a->mem + 1, page_size), 0);
}

static void check_tracked_file(void)
{
	struct arena a;

	for (int i = 0; i < 3; i++) {
		if (!map_file(&a))
			return;
		if (i == 1)
			check_refused_stores(&a);
		check_random_words(&a, 50);
		if (i == 2)
			check_refused_stores(&a);
		verify_shared(&a);
		unmap_file(&a);
	}
}

static void check_file(int fd, int stored_in, int flags)
{
	file = fd;
	storage = stored_in;
	map_flags = flags;
	tracked = flags == MAP_SHARED && fd != stored_in;
	contents = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (tracked)
		check_tracked_file();
	else
		check_memory(&(struct memory){
			.map = map_file,
			.verify = flags == MAP_SHARED ? verify_shared : verify_private,
			.unmap = unmap_file,
		});
	munmap(contents, FILE_SIZE);
}

void test_memfd(void)
{
	int fd = memfd_create("cpu_opv_test", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, FILE_SIZE)) {
		skip("no memfd: errno %d", errno);
		return;
	}
	check_file(fd, fd, MAP_SHARED);
	check_file(fd, fd, MAP_PRIVATE);
	close(fd);
}

static void test_file(int flags)
{
	int fd = unnamed_file("/tmp", FILE_SIZE);

	if (fd < 0) {
		skip("no temporary file: errno %d", errno);
		return;
	}
	check_file(fd, fd, flags);
	close(fd);
}

void test_file_shared(void)
{
	test_file(MAP_SHARED);
}

void test_file_private(void)
{
	test_file(MAP_PRIVATE);
}

/*
 * Linux 7.3.4 loses what a program itself stores, after msync(2), through the
 * first mapping of a new loop device. A mapping before that one prevents it.
 */
static void first_mapping(int fd)
{
	char *p = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return;
	*p = 1;
	fsync(fd);
	munmap(p, page_size);
}

/* Pages of a file that is not in memory only: they are written back. */
void test_block_device(void)
{
	int loop, fd = unnamed_file("/tmp", FILE_SIZE);
	char path[32];

	if (fd < 0) {
		skip("no temporary file: errno %d", errno);
		return;
	}
	loop = loop_attach(fd, path, sizeof(path));
	if (loop >= 0) {
		first_mapping(loop);
		check_file(loop, fd, MAP_SHARED);
		check_file(loop, fd, MAP_PRIVATE);
		close(loop);
	} else {
		skip("no loop device: errno %d", errno);
	}
	close(fd);
}
