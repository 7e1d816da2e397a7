// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): a caller whose page fault nobody handles, be it of userfaultfd(2) or of a
 * file of FUSE, keeps neither a CPU nor memory from going offline: it holds nothing.
 *
 * Memory goes offline where it can be moved: boot with movablecore=.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_opv_block.h"
#include "cpu_opv_bystander.h"
#include "cpu_opv_fuse.h"

#include "../kselftest_harness.h"

#define CALLERS		4
#define LIMIT_MS	5000	/* for what takes a second at most */
#define STUCK_MS	20	/* who waits for so long is stuck */
#define LEN		64

enum missing { USERFAULTFD, FUSE_SHARED, FUSE_PRIVATE };

struct stuck {
	int target, file;
	long offset;
	enum missing missing;
	bool place;		/* its page in memory that can go offline */
	char *mem;		/* a page that is there, and one that is not */
	int ready;
	pid_t tid;
	bool came_back;
	int ret, error;
};

FIXTURE(offlining) {
	struct stuck *stuck;
	struct fuse *fuse;
	pid_t pids[CALLERS];
};

FIXTURE_VARIANT(offlining) {
	enum missing missing;
	bool remote;		/* for the CPU that goes offline, or those where callers are */
};

FIXTURE_VARIANT_ADD(offlining, userfaultfd) { USERFAULTFD, false };
FIXTURE_VARIANT_ADD(offlining, userfaultfd_remote) { USERFAULTFD, true };
FIXTURE_VARIANT_ADD(offlining, fuse_shared) { FUSE_SHARED, false };
FIXTURE_VARIANT_ADD(offlining, fuse_shared_remote) { FUSE_SHARED, true };
FIXTURE_VARIANT_ADD(offlining, fuse_private) { FUSE_PRIVATE, false };
FIXTURE_VARIANT_ADD(offlining, fuse_private_remote) { FUSE_PRIVATE, true };

/* ---- callers ---- */

/* Whether the second page could be made one that is missing. */
static bool map_missing(struct stuck *stuck, int *uffd)
{
	char *missing = stuck->mem + page_size;
	int flags = stuck->missing == FUSE_SHARED ? MAP_SHARED : MAP_PRIVATE;

	if (stuck->missing == USERFAULTFD) {
		*uffd = missing_memory(missing, page_size);
		return *uffd >= 0;
	}
	return mmap(missing, page_size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, stuck->file,
		    stuck->offset) == missing;
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
	vec[cnt++] = cpu_op_memcpy(stuck->mem + page_size / 2, missing, LEN);
	__atomic_store_n(&stuck->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	stuck->ret = cpu_opv(vec, cnt, stuck->target, 0);
	stuck->error = errno;
	__atomic_store_n(&stuck->came_back, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Waits for what only others can do. */
static bool sleeps(pid_t tid)
{
	char path[64], stat[512], *state;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (!tid || !read_text(path, stat, sizeof(stat)))
		return false;
	state = strrchr(stat, ')');
	return state && (state[2] == 'D' || state[2] == 'S');
}

static int be_stuck(void *arg)
{
	struct stuck *stuck = arg;
	pthread_t thread;
	int uffd;

	stuck->mem = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stuck->mem == MAP_FAILED || !map_missing(stuck, &uffd))
		return KSFT_FAIL;
	if (stuck->place && !place_page(stuck->mem))
		stuck->place = false;
	memset(stuck->mem, 0, page_size);
	if (pthread_create(&thread, NULL, call_stuck, stuck))
		return KSFT_FAIL;
	for (int ms = 0; ms < STUCK_MS; ms++) {
		if (!sleeps(__atomic_load_n(&stuck->tid, __ATOMIC_ACQUIRE)))
			ms = 0;
		sleep_ms(1);
	}
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
	if (variant->missing == USERFAULTFD) {
		fd = syscall(SYS_userfaultfd, O_CLOEXEC);
		if (fd < 0)
			SKIP(return, "no userfaultfd(2): errno %d", errno);
		close(fd);
	} else {
		why = fuse_start(&self->fuse, CALLERS * page_size);
		if (why)
			SKIP(return, "%s", why);
	}
	self->stuck = mmap(NULL, CALLERS * sizeof(*self->stuck), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->stuck != MAP_FAILED);
}

FIXTURE_TEARDOWN_PARENT(offlining)
{
	restore_settings();
}

/* @place: see struct stuck */
static void start_stuck(struct __test_metadata *_metadata, FIXTURE_DATA(offlining) *self,
			const FIXTURE_VARIANT(offlining) *variant, bool place)
{
	for (int i = 0; i < CALLERS; i++) {
		struct stuck *stuck = &self->stuck[i];

		/* Half of them there, where they will have to leave. */
		start_on(cpus[i % 2]);
		stuck->target = variant->remote ? TARGET : cpus[i % 2];
		stuck->missing = variant->missing;
		if (self->fuse)
			stuck->file = self->fuse->file;
		stuck->offset = i * page_size;
		stuck->place = place && !i;
		self->pids[i] = start_child(be_stuck, stuck);
		ASSERT_GT(self->pids[i], 0);
		ASSERT_TRUE(wait_until(&stuck->ready, 1));
	}
}

/* None of them came back. They can be killed, or go on when FUSE answers. */
static void expect_stuck(struct __test_metadata *_metadata, FIXTURE_DATA(offlining) *self)
{
	for (int i = 0; i < CALLERS; i++) {
		EXPECT_FALSE(self->stuck[i].came_back);
		if (!self->fuse || i == 0) {
			EXPECT_TRUE(kill_child(self->pids[i], LIMIT_MS));
		}
	}
	if (self->fuse)
		fuse_answer(self->fuse);
	for (int i = 1; self->fuse && i < CALLERS; i++) {
		struct stuck *stuck = &self->stuck[i];
		long long end = time_us() + LIMIT_MS * 1000;

		while (!__atomic_load_n(&stuck->came_back, __ATOMIC_ACQUIRE) && time_us() < end)
			sleep_ms(1);
		EXPECT_TRUE(stuck->came_back);
		EXPECT_EQ(stuck->ret, 0) {
			TH_LOG("errno %d", stuck->error);
		}
		EXPECT_TRUE(kill_child(self->pids[i], LIMIT_MS));
	}
	EXPECT_TRUE(nothing_held());
	fuse_stop(self->fuse);
}

/* ---- what goes offline ---- */

static int take_offline(void *arg)
{
	return set_online(*(int *)arg, false) ? KSFT_FAIL : KSFT_PASS;
}

static int take_online(void *arg)
{
	return set_online(*(int *)arg, true) ? KSFT_FAIL : KSFT_PASS;
}

TEST_F_TIMEOUT(offlining, cpu, 60)
{
	int cpu = TARGET;
	long long start;
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	if (access(path, W_OK))
		SKIP(return, "CPU %d cannot be set offline", cpu);
	start_stuck(_metadata, self, variant, false);
	EXPECT_TRUE(nothing_held());
	start_on(cpus[1]);
	start = time_us();
	EXPECT_EQ(run_child(take_offline, &cpu, LIMIT_MS), KSFT_PASS);
	EXPECT_EQ(run_child(use_every_cpu, NULL, LIMIT_MS), KSFT_PASS);
	EXPECT_EQ(run_child(take_online, &cpu, LIMIT_MS), KSFT_PASS);
	TH_LOG("offline and online again in %lld ms", (time_us() - start) / 1000);
	expect_stuck(_metadata, self);
}

static int take_memory_offline(void *arg)
{
	return block_set(*(long *)arg, "offline");
}

TEST_F_TIMEOUT(offlining, memory, 60)
{
	struct stuck *stuck = &self->stuck[0];
	long long start;
	long block, now;
	int err;

	if (block_size() < 0)
		SKIP(return, "build the kernel with CONFIG_MEMORY_HOTPLUG=y");
	if (access("/proc/kpageflags", R_OK))
		SKIP(return, "build the kernel with CONFIG_PROC_PAGE_MONITOR=y");
	start_stuck(_metadata, self, variant, true);
	if (!stuck->place)
		SKIP(return, "no movable memory: boot with movablecore=384M");
	block = block_of(self->pids[0], stuck->mem);
	start = time_us();
	err = run_child(take_memory_offline, &block, LIMIT_MS);
	TH_LOG("block %ld offline after %lld ms: errno %d", block, (time_us() - start) / 1000, err);
	EXPECT_EQ(err, 0);
	now = block_of(self->pids[0], stuck->mem);
	EXPECT_GE(now, 0);
	EXPECT_NE(now, block);
	if (!err) {
		EXPECT_EQ(block_set(block, "online_movable"), 0);
	}
	expect_stuck(_metadata, self);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
