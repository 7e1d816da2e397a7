// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2) by concurrency ID: for each owner that an ID can have, while IDs belong to
 * threads and while they belong to CPUs. Nobody else may call meanwhile.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rseq.h"

#include "cpu_opv_cid.h"
#include "cpu_opv_fence.h"

#include "../kselftest_harness.h"

#define FLAG		CPU_OP_MM_CID_FLAG
#define ALL_FLAGS	15
#define ARENA_PAGES	4
#define CALLS		10	/* of each vector */
#define STRAYS		3	/* of them, where a thread of the kernel just runs */
#define FENCES		20
#define STACK		65536
#define AREA_LEN	32	/* has mm_cid */

/* Of earlier tests */
static int old_failures;

static int new_failures(void)
{
	return failures() - old_failures;
}

static const char *check(void)
{
	struct exclusions now;

	old_failures = failures();
	return check_cids(2) ?: exclusions_now(&now) ? NULL :
	       "the kernel has no statistics of cpu_opv(2)";
}

/* ---- what is refused ---- */

FIXTURE(args) {
	struct arena arena;
	struct cpu_op vec[2];
};

FIXTURE_SETUP(args)
{
	const char *why = check();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_TRUE(arena_map(&self->arena, ARENA_PAGES));
	arena_fill(&self->arena);
	self->vec[0] = cpu_op_plus(self->arena.mem, 1, 8);
	self->vec[1] = cpu_op_plus(self->arena.mem + 8, 1, 8);
}

FIXTURE_TEARDOWN_PARENT(args)
{
	restore_settings();
}

TEST_F(args, ids)
{
	const int bad[] = { -1, -2, INT_MIN, nr_ids, nr_ids + 1, nr_ids + 64, 1 << 16, INT_MAX };

	for (int cid = 0; cid < nr_ids; cid++) {
		check_call(&self->arena, NULL, 0, cid, FLAG, 0);
		check_call(&self->arena, self->vec, 1, cid, FLAG, 0);
		check_call(&self->arena, self->vec, 2, cid, FLAG, 0);
	}
	for (int i = 0; i < NR_ELEMS(bad); i++) {
		for (int cnt = 0; cnt <= 2; cnt++)
			check_call(&self->arena, self->vec, cnt, bad[i], FLAG, -EINVAL);
	}
	/* That comes before operands, and not before the vector. */
	self->vec[0].u.arithmetic_op.p = 0;
	check_call(&self->arena, self->vec, 1, 0, FLAG, -EFAULT);
	check_call(&self->arena, self->vec, 1, nr_ids, FLAG, -EINVAL);
	check_call(&self->arena, self->vec, 2, nr_ids, FLAG, -EINVAL);
	EXPECT_EQ(call(NULL, 1, 0, FLAG), -EFAULT);
	EXPECT_EQ(call(NULL, 1, -1, FLAG), -EINVAL);
	EXPECT_EQ(call(NULL, 1, nr_ids, FLAG), -EFAULT);
	EXPECT_EQ(new_failures(), 0);
}

TEST_F(args, flags)
{
	int cid = own_cid();

	EXPECT_EQ(cpu_opv(NULL, 0, 0, CPU_OP_FLAGS_FLAG), ALL_FLAGS);
	EXPECT_EQ(cpu_opv(NULL, -1, -1, CPU_OP_NR_FLAG), NR_CPU_OPS);
	EXPECT_EQ(cpu_opv(NULL, -1, -1, CPU_OP_VEC_LEN_MAX_FLAG), CPU_OP_VEC_LEN_MAX);
	for (unsigned int flags = 1; flags; flags <<= 1) {
		if (flags > ALL_FLAGS)
			check_call(&self->arena, self->vec, 1, cid, flags, -EINVAL);
		if (flags != FLAG)
			check_call(&self->arena, self->vec, 1, cid, FLAG | flags, -EINVAL);
	}
	check_call(&self->arena, self->vec, 1, cid, FLAG | ALL_FLAGS, -EINVAL);
	check_call(&self->arena, self->vec, 1, cid, ~0U, -EINVAL);
	EXPECT_EQ(new_failures(), 0);
}

/* ---- each owner of an ID ---- */

enum owner {
	OWN,
	RUNNING,		/* a thread on another CPU */
	SLEEPING,		/* a thread that sleeps, or the CPU where it did run */
	NOBODY,
};

FIXTURE(ways) {
	struct arena arena;
	struct exclusions before, since;
};

FIXTURE_VARIANT(ways) {
	bool many;		/* threads: IDs belong to CPUs */
	enum owner owner;
	int policy;		/* of the other thread */
};

FIXTURE_VARIANT_ADD(ways, few_own) { false, OWN, SCHED_OTHER };
FIXTURE_VARIANT_ADD(ways, few_running) { false, RUNNING, SCHED_OTHER };
FIXTURE_VARIANT_ADD(ways, few_running_realtime) { false, RUNNING, SCHED_FIFO };
FIXTURE_VARIANT_ADD(ways, few_sleeping) { false, SLEEPING, SCHED_OTHER };
FIXTURE_VARIANT_ADD(ways, few_nobody) { false, NOBODY, SCHED_OTHER };
FIXTURE_VARIANT_ADD(ways, many_own) { true, OWN, SCHED_OTHER };
FIXTURE_VARIANT_ADD(ways, many_running) { true, RUNNING, SCHED_OTHER };
FIXTURE_VARIANT_ADD(ways, many_running_realtime) { true, RUNNING, SCHED_FIFO };
FIXTURE_VARIANT_ADD(ways, many_sleeping) { true, SLEEPING, SCHED_OTHER };
FIXTURE_VARIANT_ADD(ways, many_nobody) { true, NOBODY, SCHED_OTHER };

/* Not in the fixture: threads need no shared memory. */
static struct other other;

/* The other thread is on cpus[1], the caller on cpus[0], which is all that its mask has. */
FIXTURE_SETUP(ways)
{
	const char *why = check();

	if (why)
		SKIP(return, "%s", why);
	pin(0, cpus[0]);
	ASSERT_TRUE(other_start(&other, cpus[1], variant->policy));
	if (variant->many)
		ASSERT_TRUE(sleepers_start(nr_ids));
	ASSERT_EQ(cpus_own_cids(), variant->many);
	ASSERT_TRUE(arena_map(&self->arena, ARENA_PAGES));
	arena_fill(&self->arena);
}

FIXTURE_TEARDOWN_PARENT(ways)
{
	restore_settings();
}

/* One of each kind. Returns how many operations it has, or -1; @want: what it has to return. */
static int make_case(int i, const struct arena *a, struct cpu_op *vec, int *want)
{
	unsigned char *m = a->mem, *crossing = m + page_size - 100, *missing = m + a->size;
	struct cpu_op stops = cpu_op_ne(m, m, 8), goes_on = cpu_op_eq(m, m, 8);

	*want = 0;
	switch (i) {
	case 0:
		return 0;
	/* In place */
	case 1:
		vec[0] = cpu_op_plus(m, 3, 8);
		return 1;
	case 2:
		vec[0] = goes_on;
		vec[1] = cpu_op_memcpy(m + 8, m, 8);
		return 2;
	case 3:
		vec[0] = goes_on;
		vec[1] = stops;
		vec[2] = cpu_op_bitwise(CPU_XOR_OP, m, 5, 4);
		*want = 2;
		return 3;
	/* Pinned */
	case 4:
		vec[0] = cpu_op_plus(m + 16, 5, 8);
		vec[1] = cpu_op_plus(m + 24, 7, 2);
		return 2;
	case 5:
		vec[0] = cpu_op_memcpy(crossing, crossing + 2 * page_size, 200);
		return 1;
	case 6:
		vec[0] = cpu_op_plus(m, 1, 8);
		vec[1] = stops;
		vec[2] = cpu_op_plus(m + 8, 1, 8);
		*want = 2;
		return 3;
	/* A comparison decides before an operand that is not there. */
	case 7:
		vec[0] = goes_on;
		vec[1] = stops;
		vec[2] = cpu_op_plus(missing, 1, 8);
		*want = 2;
		return 3;
	/* What does not run */
	case 8:
		vec[0] = goes_on;
		vec[1] = cpu_op_plus(missing, 1, 8);
		*want = -EFAULT;
		return 2;
	case 9:
		vec[0] = cpu_op_plus(m, 1, 8);
		vec[1] = cpu_op_plus(missing, 1, 8);
		vec[1].u.arithmetic_op.expect_fault_p = 1;
		*want = -EAGAIN;
		return 2;
	}
	return -1;
}

/* Returns the ID, which is of @owner then, or -1. */
static int make_owner(enum owner owner)
{
	switch (owner) {
	case OWN:
		return own_cid();
	case RUNNING:
		return other_spin(&other) ? cid_in(other.area) : -1;
	case SLEEPING:
		/* From nobody it gets another one, or the same. */
		return other_spin(&other) && other_sleep(&other) ? cid_in(other.area) : -1;
	case NOBODY:
		return other_cid(own_cid(), cid_in(other.area));
	}
	return -1;
}

static long *way_of(struct exclusions *e, enum owner owner)
{
	return owner == OWN ? &e->local : owner == RUNNING ? &e->interrupted : &e->taken;
}

TEST_F_TIMEOUT(ways, vectors, 60)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int want, cnt, cid;
	long ran, strays;

	for (int i = 0; (cnt = make_case(i, &self->arena, vec, &want)) >= 0; i++) {
		exclusions_now(&self->before);
		for (int n = 0; n < CALLS; n++) {
			cid = make_owner(variant->owner);
			ASSERT_GE(cid, 0);
			check_call(&self->arena, vec, cnt, cid, FLAG, want);
		}
		exclusions_since(&self->before, &self->since);
		ran = self->since.local + self->since.interrupted + self->since.taken;
		strays = ran - *way_of(&self->since, variant->owner);
		EXPECT_EQ(ran, want < 0 ? 0 : CALLS)
			TH_LOG("vector %d", i);
		EXPECT_LE(strays, variant->owner == OWN || variant->owner == NOBODY ? 0 : STRAYS)
			TH_LOG("vector %d: %ld local, %ld interrupted, %ld taken", i,
			       self->since.local, self->since.interrupted, self->since.taken);
		EXPECT_EQ(self->since.locked + self->since.migrated, 0);
	}
	EXPECT_EQ(new_failures(), 0);
	EXPECT_TRUE(nothing_held());
}

/* In place, if the vector can be, as all threads have the same memory. */
TEST_F(ways, operands)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int want, cnt;

	for (int i = 0; (cnt = make_case(i, &self->arena, vec, &want)) >= 0 && i <= 6; i++) {
		long in_place = read_stat("in_place"), pinned = read_stat("pinned");

		for (int n = 0; n < CALLS; n++)
			check_call(&self->arena, vec, cnt, make_owner(variant->owner), FLAG, want);
		in_place = read_stat("in_place") - in_place;
		pinned = read_stat("pinned") - pinned;
		EXPECT_EQ(in_place + pinned, CALLS);
		EXPECT_GE(i < 4 ? in_place : pinned, CALLS - (i < 4 ? STRAYS : 0))
			TH_LOG("vector %d: %ld in place, %ld pinned", i, in_place, pinned);
	}
	EXPECT_EQ(new_failures(), 0);
}

/* Nobody goes anywhere, and threads that run at the same time still have different IDs. */
TEST_F(ways, threads_stay)
{
	struct cpu_op vec = cpu_op_plus(self->arena.mem, 1, 8);
	cpu_set_t set;

	for (int i = 0; i < CALLS; i++) {
		int cid = make_owner(variant->owner), own = own_cid();

		check_call(&self->arena, &vec, 1, cid, FLAG, 0);
		EXPECT_EQ(current_cpu(), cpus[0]);
		EXPECT_EQ(own_cid(), own);
		ASSERT_TRUE(other_spin(&other));
		EXPECT_EQ(RSEQ_READ_ONCE(other.area->cpu_id), cpus[1]);
		EXPECT_NE(cid_in(other.area), own_cid());
	}
	EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	EXPECT_EQ(CPU_COUNT(&set), 1);
	EXPECT_EQ(cpus_own_cids(), variant->many);
	EXPECT_EQ(new_failures(), 0);
}

/* The ID of a thread that has ended is nobody's, unless it is that of the CPU. */
TEST_F(ways, thread_ends)
{
	struct cpu_op vec = cpu_op_plus(self->arena.mem, 1, 8);
	int cid = cid_in(other.area);

	other_end(&other);
	exclusions_now(&self->before);
	for (int i = 0; i < CALLS; i++)
		check_call(&self->arena, &vec, 1, cid, FLAG, 0);
	exclusions_since(&self->before, &self->since);
	EXPECT_EQ(self->since.taken, CALLS);
	EXPECT_EQ(new_failures(), 0);
}

/* ---- as a fence ---- */

FIXTURE(fence) {
};

FIXTURE_VARIANT(fence) {
	bool many;
	struct cpu_op *vec;
	int cnt;
};

static intptr_t counters[2];
static struct cpu_op adds[2];

FIXTURE_VARIANT_ADD(fence, few) { false, NULL, 0 };
FIXTURE_VARIANT_ADD(fence, few_in_place) { false, adds, 1 };
FIXTURE_VARIANT_ADD(fence, few_pinned) { false, adds, 2 };
FIXTURE_VARIANT_ADD(fence, many) { true, NULL, 0 };
FIXTURE_VARIANT_ADD(fence, many_in_place) { true, adds, 1 };
FIXTURE_VARIANT_ADD(fence, many_pinned) { true, adds, 2 };

static struct fence fence;

FIXTURE_SETUP(fence)
{
	const char *why = check();

	if (why)
		SKIP(return, "%s", why);
	pin(0, cpus[0]);
	if (variant->many)
		ASSERT_TRUE(sleepers_start(nr_ids));
	ASSERT_EQ(cpus_own_cids(), variant->many);
	why = fence_start(&fence, cpus[1]);
	if (why)
		SKIP(return, "%s", why);
	for (int i = 0; i < 2; i++)
		adds[i] = cpu_op_plus(&counters[i], 1, sizeof(counters[i]));
}

FIXTURE_TEARDOWN_PARENT(fence)
{
	restore_settings();
}

/* Returns how many sequences were aborted, by calls for their ID, or for all others. */
static int count_aborted(const FIXTURE_VARIANT(fence) *variant, bool same)
{
	int aborted = 0;

	for (int i = 0; i < FENCES; i++) {
		int with;

		fence_enter(&fence);
		with = cid_in(fence.area);
		for (int cid = 0; cid < nr_ids; cid++) {
			if ((cid == with) != same)
				continue;
			expect("call", call(variant->vec, variant->cnt, cid, FLAG), 0);
		}
		aborted += fence_leave(&fence);
	}
	return aborted;
}

TEST_F(fence, aborts_its_id)
{
	int by_others, by_same = count_aborted(variant, true);

	EXPECT_EQ(by_same, FENCES);
	by_others = count_aborted(variant, false);
	EXPECT_LE(by_others, STRAYS);
	TH_LOG("%d of %d sequences aborted by calls for their ID, %d by those for others", by_same,
	       FENCES, by_others);
	fence_stop(&fence);
	EXPECT_EQ(new_failures(), 0);
}

/* ---- programs that are not many threads ---- */

static intptr_t counter;

/* Calls for all IDs, of which one is the caller's own. */
static void call_for_all(void)
{
	struct cpu_op add = cpu_op_plus(&counter, 1, sizeof(counter));
	long local = read_stat("local");

	for (int i = 0; i < CALLS; i++) {
		for (int cid = 0; cid < nr_ids; cid++)
			expect("call", call(&add, 1, cid, FLAG), 0);
		sleep_ms(1);
	}
	expect("calls for the caller's own ID", read_stat("local") - local, CALLS);
}

FIXTURE(alone) {
};

FIXTURE_SETUP(alone)
{
	const char *why = check();

	if (why)
		SKIP(return, "%s", why);
	pin(0, cpus[0]);
}

FIXTURE_TEARDOWN_PARENT(alone)
{
	restore_settings();
}

TEST_F(alone, one_thread)
{
	struct exclusions before, since;

	EXPECT_EQ(syscall(SYS_gettid), getpid());
	exclusions_now(&before);
	call_for_all();
	exclusions_since(&before, &since);
	EXPECT_EQ(counter, CALLS * nr_ids);
	EXPECT_EQ(since.taken, CALLS * (nr_ids - 1));
	EXPECT_EQ(call(NULL, 0, own_cid(), FLAG), 0);
	EXPECT_EQ(new_failures(), 0);
}

/* It has an ID of its own, and that of the parent is one that sleeps. */
TEST_F(alone, vfork)
{
	int status;
	pid_t pid = vfork();

	if (!pid) {
		call_for_all();
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(counter, CALLS * nr_ids);
	call_for_all();
	EXPECT_EQ(counter, 2 * CALLS * nr_ids);
	EXPECT_EQ(new_failures(), 0);
}

/* ---- a process that shares the address space ---- */

FIXTURE(clone) {
	struct cpuset cpuset;
	struct exclusions before, since;
};

FIXTURE_VARIANT(clone) {
	bool many;
};

FIXTURE_VARIANT_ADD(clone, few) { false };
FIXTURE_VARIANT_ADD(clone, many) { true };

static char stack[STACK] __attribute__((aligned(64)));

FIXTURE_SETUP(clone)
{
	const char *why = check();

	if (why)
		SKIP(return, "%s", why);
	pin(0, cpus[0]);
	if (variant->many)
		ASSERT_TRUE(sleepers_start(nr_ids));
	ASSERT_EQ(cpus_own_cids(), variant->many);
}

FIXTURE_TEARDOWN_PARENT(clone)
{
	cpuset_remove(&self->cpuset);
	restore_settings();
}

static pid_t start_clone(int (*fn)(void *))
{
	return clone(fn, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
}

/* What libc has registered is the caller's. */
static int spin_in_clone(void *arg)
{
	static struct rseq_abi area;

	if (syscall(__NR_rseq, &area, AREA_LEN, 0, RSEQ_SIG))
		return KSFT_FAIL;
	return other_main(&other, &area) ? KSFT_FAIL : KSFT_PASS;
}

TEST_F(clone, runs)
{
	int status, cid;
	pid_t pid;

	other = (struct other) { .cpu = cpus[1], .policy = SCHED_OTHER };
	pid = start_clone(spin_in_clone);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(other_spin(&other));
	cid = cid_in(other.area);
	EXPECT_NE(cid, own_cid());

	exclusions_now(&self->before);
	call_for_all();
	exclusions_since(&self->before, &self->since);
	EXPECT_EQ(counter, CALLS * nr_ids);
	EXPECT_GE(self->since.interrupted, CALLS - STRAYS);

	ASSERT_TRUE(other_sleep(&other));
	exclusions_now(&self->before);
	EXPECT_EQ(call(NULL, 0, cid_in(other.area), FLAG), 0);
	exclusions_since(&self->before, &self->since);
	EXPECT_EQ(self->since.taken, 1);

	other_tell_end(&other);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(call(NULL, 0, cid, FLAG), 0);
	EXPECT_EQ(new_failures(), 0);
}

/* Its cpuset has not the CPU where a thread of the address space runs. */
static int call_in_cpuset(void *arg)
{
	if (cpuset_enter())
		return KSFT_SKIP;
	expect("call for the CPU", call(NULL, 0, cpus[1], 0), -ENXIO);
	call_for_all();
	return KSFT_PASS;
}

TEST_F(clone, other_cpuset)
{
	const char *why = cpuset_create(&self->cpuset);
	int status;
	pid_t pid;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(cpuset_set(cpus, 1), 0);
	ASSERT_TRUE(other_start(&other, cpus[1], SCHED_OTHER));
	exclusions_now(&self->before);
	pid = start_clone(call_in_cpuset);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	exclusions_since(&self->before, &self->since);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(counter, CALLS * nr_ids);
	EXPECT_GE(self->since.interrupted, CALLS - STRAYS);
	EXPECT_EQ(new_failures(), 0);
}

int main(int argc, char **argv)
{
	save_settings();
	return test_harness_run(argc, argv);
}
