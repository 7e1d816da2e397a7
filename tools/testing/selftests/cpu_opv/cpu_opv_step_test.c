// SPDX-License-Identifier: GPL-2.0
/*
 * Why cpu_opv(2) exists: a program that is single-stepped. Each step aborts a restartable sequence,
 * so that none comes to its end, however often it is tried. What falls back to cpu_opv(2), as
 * percpu-op.h does, goes on.
 *
 *	cpu_opv_step_test --work rseq|percpu-op [cpu|mm_cid [trap]]
 *
 * is the program that is stepped, from its first instruction or a trap to its last instruction: it
 * changes data that is indexed by CPU (the default) or by concurrency ID, by restartable sequences
 * only or by percpu-op.h. Its exit status tells whether the result was exact, or that it is STUCK:
 * a program would go on trying, this one gives up.
 *
 * It does not ask for the time: where a step takes as long as a tick, the vDSO would try for ever,
 * too. And it is linked statically: the dynamic linker would take a hundred thousand steps.
 */
#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "percpu-op.h"
#include "percpu_data.h"

#include "../kselftest_harness.h"

#define ROUNDS		1
#define ATTEMPTS	20	/* to do one operation */
#define STUCK		9

static enum rseq_percpu_mode mode_of(const char *index)
{
	return strcmp(index, "mm_cid") ? RSEQ_PERCPU_CPU_ID : RSEQ_PERCPU_MM_CID;
}

/* Not inlined, for gdb to find it. */
static __attribute__((noinline)) int work(const char *by, enum rseq_percpu_mode mode)
{
	static const enum percpu_what kinds[] = { PERCPU_COUNTER, PERCPU_LIST, PERCPU_RING };
	const int rounds = ROUNDS * ARRAY_SIZE(kinds);
	struct percpu_worker w = {
		.ops = strcmp(by, "rseq") ? &percpu_by_either : &percpu_by_rseq,
		.data = percpu_create(mode, 0, sysconf(_SC_NPROCESSORS_CONF) - 1),
		.max_failures = ATTEMPTS,
	};
	const char *wrong;
	bool stuck;

	if (!w.data || rseq_register_current_thread())
		return KSFT_SKIP;
	for (int i = 0; i < rounds; i++) {
		if (!percpu_round(&w, kinds[i % ARRAY_SIZE(kinds)]))
			break;
	}
	percpu_account(&w);
	stuck = w.data->error == EAGAIN;
	wrong = stuck ? "then stuck" : percpu_check(w.data);
	printf("# %s: %ld of %d changes made, %s; %ld restartable sequences, %ld of them aborted\n",
	       by, w.sums.rounds, rounds, *wrong ? wrong : "all exact", percpu_used.tries,
	       percpu_used.aborts);
	return stuck ? STUCK : *wrong ? KSFT_FAIL : KSFT_PASS;
}

FIXTURE(step) {
	pid_t pid;
	int status;
};

FIXTURE_VARIANT(step) {
	const char *by, *index;
	int stepped;		/* the exit status then */
	const char *from;	/* NULL: from the start, which takes most of the steps */
};

FIXTURE_VARIANT_ADD(step, rseq_only) { "rseq", "cpu", STUCK };
FIXTURE_VARIANT_ADD(step, percpu_op) { "percpu-op", "cpu", KSFT_PASS };
FIXTURE_VARIANT_ADD(step, mm_cid_rseq_only) { "rseq", "mm_cid", STUCK, "trap" };
FIXTURE_VARIANT_ADD(step, mm_cid_percpu_op) { "percpu-op", "mm_cid", KSFT_PASS, "trap" };

FIXTURE_SETUP(step)
{
	cpu_set_t cpus;

	if (!rseq_available())
		SKIP(return, "the kernel has no rseq");
	if (variant->stepped == KSFT_PASS && !percpu_op_available(mode_of(variant->index)))
		SKIP(return, "the kernel has no such cpu_opv");
	/* Both processes on one CPU: they take turns. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	ASSERT_EQ(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

FIXTURE_TEARDOWN(step)
{
}

/* As few instructions as possible: no environment. */
static void start(FIXTURE_DATA(step) *self, char *const argv[], bool traced)
{
	char *const no_environment[] = { NULL };
	pid_t parent = getpid();

	self->pid = fork();
	if (self->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		_exit(KSFT_FAIL);
	if (*argv[0] == '/')
		execve(argv[0], argv, no_environment);
	else
		execvp(argv[0], argv);
	_exit(errno == ENOENT ? KSFT_SKIP : KSFT_FAIL);
}

/* Whether the program has ended. */
static bool ended(FIXTURE_DATA(step) *self)
{
	return waitpid(self->pid, &self->status, 0) != self->pid || !WIFSTOPPED(self->status);
}

TEST_F(step, alone)
{
	char *argv[] = {
		"/proc/self/exe", "--work", (char *)variant->by, (char *)variant->index, NULL,
	};

	start(self, argv, false);
	ASSERT_TRUE(ended(self));
	ASSERT_TRUE(WIFEXITED(self->status));
	EXPECT_EQ(WEXITSTATUS(self->status), KSFT_PASS);
}

TEST_F_TIMEOUT(step, by_ptrace, 240)
{
	char *argv[] = {
		"/proc/self/exe", "--work", (char *)variant->by, (char *)variant->index,
		(char *)variant->from, NULL,
	};
	int request = variant->from ? PTRACE_CONT : PTRACE_SINGLESTEP;
	long steps = 0;

	start(self, argv, true);
	while (!ended(self)) {
		long sig = WSTOPSIG(self->status);

		ASSERT_EQ(ptrace(request, self->pid, NULL, sig == SIGTRAP ? 0 : sig), 0);
		request = PTRACE_SINGLESTEP;
		steps++;
	}
	TH_LOG("%ld steps", steps);
	ASSERT_TRUE(WIFEXITED(self->status));
	EXPECT_EQ(WEXITSTATUS(self->status), variant->stepped);
	EXPECT_GT(steps, 1000);
}

/* As by hand; the steps end when the program does. */
TEST_F_TIMEOUT(step, by_gdb, 240)
{
	char path[200] = "";
	char *argv[] = {
		"gdb", "-nx", "-batch", "-return-child-result", "-ex", "break work", "-ex", "run",
		"-ex", "stepi 100000000", "--args", path, "--work", (char *)variant->by,
		(char *)variant->index, NULL,
	};

	ASSERT_GT(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
	start(self, argv, false);
	ASSERT_TRUE(ended(self));
	ASSERT_TRUE(WIFEXITED(self->status));
	if (WEXITSTATUS(self->status) == KSFT_SKIP)
		SKIP(return, "no gdb");
	EXPECT_EQ(WEXITSTATUS(self->status), variant->stepped);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "--work")) {
		if (argc > 4)
			raise(SIGTRAP);
		return work(argv[2], mode_of(argc > 3 ? argv[3] : "cpu"));
	}
	return test_harness_run(argc, argv);
}
