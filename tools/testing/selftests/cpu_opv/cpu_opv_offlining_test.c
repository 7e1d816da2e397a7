// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a caller whose page fault nobody handles, by userfaultfd(2),
 * keeps neither a CPU nor memory from going offline: it holds nothing.
 *
 * Memory goes offline where it can be moved: boot with movablecore=.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_opv_bystander.h"

#include "../kselftest_harness.h"

#define CALLERS		4
#define LIMIT_MS	5000	/* for what takes a second at most */
#define MEMORY		"/sys/devices/system/memory"

struct stuck {
	int target;
	char *mem;		/* two pages; the second one is missing */
	int uffd;
	int ready;
	bool came_back;
};

FIXTURE(offlining) {
	struct stuck *stuck;
	pid_t pids[CALLERS];
};

FIXTURE_VARIANT(offlining) {
	bool remote;		/* for the CPU that goes offline */
};

FIXTURE_VARIANT_ADD(offlining, callers_here) { false };
FIXTURE_VARIANT_ADD(offlining, callers_for_it) { true };

static int missing_memory(char *mem, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)mem, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *call_stuck(void *arg)
{
	struct stuck *stuck = arg;
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	char *missing = stuck->mem + page_size;
	int cnt = 0;

	/* Everything is there but the last operand. */
	for (; cnt < CPU_OP_VEC_LEN_MAX - 1; cnt++)
		vec[cnt] = cpu_op_plus(stuck->mem + 8 * cnt, 1, 8);
	vec[cnt++] = cpu_op_memcpy(stuck->mem + page_size / 2, missing, 64);
	cpu_opv(vec, cnt, stuck->target, 0);
	stuck->came_back = true;
	return NULL;
}

static int be_stuck(void *arg)
{
	struct pollfd pfd = { .events = POLLIN };
	struct stuck *stuck = arg;
	pthread_t thread;

	stuck->mem = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stuck->mem == MAP_FAILED)
		return KSFT_FAIL;
	madvise(stuck->mem, 2 * page_size, MADV_NOHUGEPAGE);
	memset(stuck->mem, 0, page_size);
	stuck->uffd = missing_memory(stuck->mem + page_size, page_size);
	if (stuck->uffd < 0 || pthread_create(&thread, NULL, call_stuck, stuck))
		return KSFT_FAIL;
	/* There is an event: it is in the page fault. */
	pfd.fd = stuck->uffd;
	if (poll(&pfd, 1, 10000) != 1 || pfd.revents != POLLIN)
		return KSFT_FAIL;
	__atomic_store_n(&stuck->ready, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return 0;
}

FIXTURE_SETUP(offlining)
{
	const char *why = check_settings(2);
	int fd;

	if (why)
		SKIP(return, "%s", why);
	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no userfaultfd(2): errno %d", errno);
	close(fd);
	self->stuck = mmap(NULL, CALLERS * sizeof(*self->stuck), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->stuck != MAP_FAILED);
	for (int i = 0; i < CALLERS; i++) {
		struct stuck *stuck = &self->stuck[i];

		/* Half of them there, where they will have to leave. */
		start_on(cpus[i % 2]);
		stuck->target = variant->remote ? TARGET : cpus[i % 2];
		self->pids[i] = start_child(be_stuck, stuck);
		ASSERT_GT(self->pids[i], 0);
		ASSERT_TRUE(wait_until(&stuck->ready, 1));
	}
}

FIXTURE_TEARDOWN_PARENT(offlining)
{
	restore_settings();
}

/* None of them came back, and they can be killed. */
static void expect_stuck(struct __test_metadata *_metadata, FIXTURE_DATA(offlining) *self)
{
	for (int i = 0; i < CALLERS; i++) {
		EXPECT_FALSE(self->stuck[i].came_back);
		EXPECT_TRUE(kill_child(self->pids[i], LIMIT_MS));
	}
	EXPECT_TRUE(nothing_held());
}

static int take_offline(void *arg)
{
	int err = set_online(*(int *)arg, false);

	return err ? KSFT_FAIL : KSFT_PASS;
}

static int take_online(void *arg)
{
	return set_online(*(int *)arg, true) ? KSFT_FAIL : KSFT_PASS;
}

TEST_F_TIMEOUT(offlining, cpu, 60)
{
	long long start = time_ns();
	int cpu = TARGET;
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	if (access(path, W_OK))
		SKIP(return, "CPU %d cannot be set offline", cpu);
	start_on(cpus[1]);
	EXPECT_EQ(run_child(take_offline, &cpu, LIMIT_MS), KSFT_PASS);
	EXPECT_EQ(run_child(use_every_cpu, NULL, LIMIT_MS), KSFT_PASS);
	EXPECT_EQ(run_child(take_online, &cpu, LIMIT_MS), KSFT_PASS);
	TH_LOG("offline and online again in %lld ms", (time_ns() - start) / 1000000);
	expect_stuck(_metadata, self);
}

TEST_F(offlining, nothing_is_pinned)
{
	EXPECT_TRUE(nothing_held());
	expect_stuck(_metadata, self);
}

/* ---- memory ---- */

/* The number of the block that has the page at @addr of process @pid; -1: not known */
static long block_of(pid_t pid, const void *addr)
{
	uint64_t entry = 0;
	char path[64], size[32];
	long long block;
	int fd;

	if (!read_text(MEMORY "/block_size_bytes", size, sizeof(size)))
		return -1;
	block = strtoll(size, NULL, 16);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)addr / page_size * sizeof(entry)) !=
	    sizeof(entry))
		entry = 0;
	close(fd);
	/* Present, and its number */
	if (!(entry >> 63) || !(entry & ((1ULL << 55) - 1)) || block <= 0)
		return -1;
	return (entry & ((1ULL << 55) - 1)) * page_size / block;
}

static int set_memory(long block, const char *state)
{
	char path[96];

	snprintf(path, sizeof(path), MEMORY "/memory%ld/state", block);
	return write_setting(path, state);
}

static int take_memory_offline(void *arg)
{
	return set_memory(*(long *)arg, "offline");
}

TEST_F_TIMEOUT(offlining, memory, 60)
{
	pid_t pid = self->pids[0];
	char *mem = self->stuck[0].mem, path[96], zones[64];
	long long start = time_ns();
	long block, now;
	int err;

	if (access(MEMORY "/block_size_bytes", R_OK))
		SKIP(return, "memory cannot be set offline: no CONFIG_MEMORY_HOTPLUG");
	block = block_of(pid, mem);
	if (block < 0)
		SKIP(return, "cannot tell where a page is: no CONFIG_PROC_PAGE_MONITOR");
	/* Whatever else is there can be moved. */
	snprintf(path, sizeof(path), MEMORY "/memory%ld/valid_zones", block);
	if (!read_text(path, zones, sizeof(zones)) || strncmp(zones, "Movable", 7))
		SKIP(return, "block %ld is not movable: boot with movablecore=", block);
	start = time_ns();
	err = run_child(take_memory_offline, &block, LIMIT_MS);
	TH_LOG("block %ld offline after %lld ms: %d", block, (time_ns() - start) / 1000000, err);
	EXPECT_EQ(err, 0);
	now = block_of(pid, mem);
	EXPECT_GE(now, 0);
	EXPECT_NE(now, block);
	if (!err) {
		EXPECT_EQ(set_memory(block, "online_movable"), 0);
	}
	expect_stuck(_metadata, self);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
