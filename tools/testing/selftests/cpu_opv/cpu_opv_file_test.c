// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): counters in a shared mapping of a file whose dirty pages the kernel tracks, on
 * ext4 and on a block device, while others write to the same pages behind the page cache, and write
 * them back. Nothing that was counted may be lost, be it in memory or on the disk.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#include "../kselftest_harness.h"

#define IMAGE_SIZE	(32UL << 20)
#define FILE_PAGES	16		/* what one large folio can have */
#define FILE_SIZE	(FILE_PAGES * page_size)
#define SECTOR		512
#define INCREMENTS	1500		/* of each thread */
#define NR_ADDERS	2
#define MAX_TRIES	1000

/* Where the counters are: nobody else writes to this sector. */
#define COUNTER_PAGE	5
#define COUNTERS	(COUNTER_PAGE * page_size + 3 * SECTOR)

struct counters {
	intptr_t by_vectors, by_program;
};

FIXTURE(file) {
	char dir[32], device[32];
	int image, loop, fd, direct;
	unsigned char *mem;
	int cpu;
	bool ext4;
	struct shared {
		bool stop;
		int error;
		long written, synced;
	} *shared;
};

FIXTURE_VARIANT(file) {
	const char *remote;	/* NULL: the caller's CPU */
	bool ext4;
};

/*
 * On a block device, with threads on several CPUs, Linux 7.3.4 loses what a program itself stores
 * while others write to the device past the page cache: not tested.
 */

FIXTURE_VARIANT_ADD(file, ext4_local) { NULL, true };
FIXTURE_VARIANT_ADD(file, ext4_interrupt) { "interrupt", true };
FIXTURE_VARIANT_ADD(file, ext4_migrate) { "migrate", true };
FIXTURE_VARIANT_ADD(file, device_local) { NULL, false };

/* Returns why not, or NULL. */
static const char *mount_ext4(FIXTURE_DATA(file) *self)
{
	char command[96], path[48];

	snprintf(command, sizeof(command), "mke2fs -q -F -t ext4 %s >/dev/null 2>&1",
		 self->device);
	setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
	if (system(command))
		return "no mke2fs(8)";
	if (mount(self->device, self->dir, "ext4", 0, NULL))
		return "no ext4";
	snprintf(path, sizeof(path), "%s/counters", self->dir);
	self->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	self->direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	/* With this process, it is gone. */
	umount2(self->dir, MNT_DETACH);
	return NULL;
}

static const char *open_device(FIXTURE_DATA(file) *self)
{
	self->fd = open(self->device, O_RDWR | O_CLOEXEC);
	self->direct = open(self->device, O_RDWR | O_DIRECT | O_CLOEXEC);
	return NULL;
}

FIXTURE_SETUP(file)
{
	const char *why = check_settings(2);
	unsigned char *zeroes;

	if (!why)
		why = set_up(variant->remote);
	if (!why && (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)))
		why = "no mount namespace";
	if (why)
		SKIP(return, "%s", why);
	strcpy(self->dir, "/tmp/cpu_opv_test.XXXXXX");
	ASSERT_TRUE(mkdtemp(self->dir) != NULL);
	self->image = unnamed_file("/tmp", IMAGE_SIZE);
	if (self->image >= 0)
		self->loop = loop_attach(self->image, self->device, sizeof(self->device));
	if (self->image < 0 || self->loop < 0)
		why = "no loop device";
	else
		why = variant->ext4 ? mount_ext4(self) : open_device(self);
	rmdir(self->dir);
	if (why)
		SKIP(return, "%s: errno %d", why, errno);
	ASSERT_GE(self->fd, 0);
	ASSERT_GE(self->direct, 0);

	/* In one go, for large folios. */
	zeroes = calloc(1, FILE_SIZE);
	ASSERT_EQ(pwrite(self->fd, zeroes, FILE_SIZE, 0), FILE_SIZE);
	ASSERT_EQ(fsync(self->fd), 0);
	free(zeroes);
	self->mem = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_TRUE(self->mem != MAP_FAILED);
	/* See test_block_device(): the first mapping of a new loop device. */
	self->mem[0] = 0;
	ASSERT_EQ(fsync(self->fd), 0);
	munmap(self->mem, FILE_SIZE);
	self->mem = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_TRUE(self->mem != MAP_FAILED);
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->shared != MAP_FAILED);
	self->cpu = cpus[0];
	self->ext4 = variant->ext4;
}

FIXTURE_TEARDOWN_PARENT(file)
{
	restore_settings();
}

/* ---- those who get in the way ---- */

/*
 * Other pages of the same folio, past the page cache, or sectors next to the counters. What a file
 * system does to those who map what others write like that is less clear than for a device.
 */
static int write_directly(void *arg)
{
	FIXTURE_DATA(file) *self = arg;
	static const int sectors[] = {
		0, (COUNTER_PAGE + 1) * 8, (FILE_PAGES - 1) * 8, (COUNTER_PAGE - 1) * 8,
		COUNTER_PAGE * 8 + 1, COUNTER_PAGE * 8 + 7,
	};
	int nr = NR_ELEMS(sectors) - (self->ext4 ? 2 : 0);
	struct shared *shared = self->shared;
	void *buf;

	if (posix_memalign(&buf, page_size, page_size))
		return KSFT_FAIL;
	for (int i = 0; !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED); i++) {
		int sector = sectors[i % nr];
		size_t len = sector % 8 ? SECTOR : page_size;

		memset(buf, i, len);
		if (pwrite(self->direct, buf, len, sector * SECTOR) == (ssize_t)len)
			shared->written++;
		/* Pages that are dirty again may be in its way. */
		else if (errno != EIO && errno != EBUSY)
			shared->error = errno;
		usleep(100);
	}
	return KSFT_PASS;
}

static void *write_back(void *arg)
{
	FIXTURE_DATA(file) *self = arg;
	struct shared *shared = self->shared;

	for (int i = 0; !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED); i++) {
		if (i % 3 == 0)
			msync(self->mem, FILE_SIZE, MS_SYNC);
		else if (i % 3 == 1)
			fdatasync(self->fd);
		else
			posix_fadvise(self->fd, 0, FILE_SIZE, POSIX_FADV_DONTNEED);
		shared->synced++;
		usleep(100);
	}
	return NULL;
}

static void *add(void *arg)
{
	FIXTURE_DATA(file) *self = arg;
	struct counters *counters = (struct counters *)(self->mem + COUNTERS);
	int tries = 0;

	for (int i = 0; i < INCREMENTS; i++) {
		/* As the program itself does it. */
		__atomic_add_fetch(&counters->by_program, 1, __ATOMIC_RELAXED);
		while (cpu_op_addv(&counters->by_vectors, 1, self->cpu)) {
			if (errno == EAGAIN && ++tries < MAX_TRIES)
				continue;
			self->shared->error = errno;
			return NULL;
		}
		/* Migration leaves it there. */
		if (current_cpu() == self->cpu && remote())
			stay_anywhere();
	}
	return NULL;
}

TEST_F_TIMEOUT(file, nothing_lost, 120)
{
	struct counters *counters = (struct counters *)(self->mem + COUNTERS), *stored;
	pthread_t adders[NR_ADDERS], syncer;
	pid_t writer;
	void *sector;
	int status;

	writer = start_child(write_directly, self);
	ASSERT_GT(writer, 0);
	/* A task of another process on the CPU; where vectors run there, it goes elsewhere. */
	if (remote())
		pin(writer, self->cpu);
	ASSERT_EQ(pthread_create(&syncer, NULL, write_back, self), 0);
	for (int i = 0; i < NR_ADDERS; i++)
		ASSERT_EQ(pthread_create(&adders[i], NULL, add, self), 0);
	for (int i = 0; i < NR_ADDERS; i++)
		pthread_join(adders[i], NULL);
	__atomic_store_n(&self->shared->stop, true, __ATOMIC_RELAXED);
	pthread_join(syncer, NULL);
	ASSERT_TRUE(wait_child(writer, &status, 10000));
	EXPECT_EQ(status, 0);
	TH_LOG("%ld direct writes, written back %ld times", self->shared->written,
	       self->shared->synced);
	EXPECT_GT(self->shared->written, 0);
	EXPECT_GT(self->shared->synced, 0);
	EXPECT_EQ(self->shared->error, 0);
	EXPECT_EQ(counters->by_program, NR_ADDERS * INCREMENTS);
	EXPECT_EQ(counters->by_vectors, NR_ADDERS * INCREMENTS);

	/* On the disk, too. */
	ASSERT_EQ(fsync(self->fd), 0);
	munmap(self->mem, FILE_SIZE);
	ASSERT_EQ(posix_memalign(&sector, page_size, SECTOR), 0);
	ASSERT_EQ(pread(self->direct, sector, SECTOR, COUNTERS), SECTOR);
	stored = sector;
	EXPECT_EQ(stored->by_program, NR_ADDERS * INCREMENTS);
	EXPECT_EQ(stored->by_vectors, NR_ADDERS * INCREMENTS);
	EXPECT_TRUE(nothing_held());
}

/* The same words, by vectors that cannot do without pins. */
TEST_F(file, refused)
{
	struct arena a;

	ASSERT_TRUE(arena_adopt(&a, self->mem, FILE_SIZE));
	check_refused_stores(&a);
	check_random_words(&a, 50);
	ASSERT_EQ(msync(self->mem, FILE_SIZE, MS_SYNC), 0);
	check_refused_stores(&a);
	check_random_words(&a, 50);
	EXPECT_EQ(failures(), 0);
	EXPECT_TRUE(nothing_held());
}

/* No block is there yet, and none to be had; behind the end of the file. */
TEST_F(file, no_block)
{
	const off_t hole = 64UL << 20;
	unsigned char *mem, *buf;
	off_t end = FILE_SIZE;

	if (!variant->ext4)
		SKIP(return, "a block device has all blocks");
	ASSERT_EQ(ftruncate(self->fd, hole + page_size), 0);
	mem = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, hole);
	ASSERT_TRUE(mem != MAP_FAILED);
	EXPECT_EQ(cpu_op_addv((intptr_t *)mem, 42, target_cpu()), 0);
	EXPECT_EQ(*(intptr_t *)mem, 42);
	EXPECT_EQ(cpu_op_addv((intptr_t *)(mem + page_size), 1, target_cpu()), -1);
	EXPECT_EQ(errno, EFAULT);
	munmap(mem, 2 * page_size);

	buf = calloc(1, 1 << 20);
	ASSERT_TRUE(buf != NULL);
	while (pwrite(self->fd, buf, 1 << 20, end) > 0)
		end += 1 << 20;
	while (pwrite(self->fd, buf, page_size, end) > 0)
		end += page_size;
	EXPECT_EQ(errno, ENOSPC);
	free(buf);
	mem = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		   hole - page_size);
	ASSERT_TRUE(mem != MAP_FAILED);
	/* To read a hole needs none. */
	EXPECT_EQ(cpu_op_cmpeqv_storev((intptr_t *)mem, 1, 2, target_cpu()), 1);
	EXPECT_EQ(cpu_op_addv((intptr_t *)mem, 1, target_cpu()), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(*(intptr_t *)mem, 0);
	munmap(mem, page_size);
	EXPECT_TRUE(nothing_held());
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
