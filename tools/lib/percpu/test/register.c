// SPDX-License-Identifier: GPL-2.0
/*
 * Registration: by the C library, by this one where that has not, by somebody else; the end of
 * threads, fork(2), and sandboxes that deny rseq(2) or cpu_opv(2). Each case is a process of its
 * own, which is called again with the name of the case and without registration by glibc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <percpu/cpu_opv.h>
#include <percpu/percpu.h>

#include "tap.h"

#define NR_CPU_OPV	473

static struct percpu_info info(void)
{
	struct percpu_info found;

	percpu_get_info(&found, sizeof(found));
	return found;
}

/* The operations do what they can, and the counter always counts. */
static bool counts(void)
{
	struct percpu_counter *counter = percpu_counter_create();
	enum rseq_percpu_mode mode = RSEQ_PERCPU_CPU_ID;
	bool can = percpu_available(mode);
	intptr_t v = 0;
	int ret, tries = 0;

	do {
		ret = percpu_addv(mode, &v, 1, percpu_current_index(mode));
	} while (ret && (errno == ENXIO || errno == EAGAIN) && ++tries < 1000);
	percpu_counter_add(counter, 3);
	return percpu_counter_sum(counter) == 3 &&
	       (can ? !ret && v == 1 : ret == -1 && errno == ENOSYS && !v);
}

static int nothing(void)
{
	return 0;
}

/* All threads are registered by themselves, and not any more when they have ended. */
static pthread_key_t later;

static void use_at_the_end(void *arg)
{
	*(bool *)arg = info().owner == PERCPU_OWNER_NONE && counts();
}

static void *thread(void *arg)
{
	pthread_setspecific(later, arg);
	return (void *)(uintptr_t)(!percpu_register_thread() && counts());
}

static int by_itself(void)
{
	pthread_t threads[20];
	bool ended[20] = { false };
	void *passed;

	if (pthread_key_create(&later, use_at_the_end) || info().owner != PERCPU_OWNER_PERCPU ||
	    !info().sequences || !counts())
		return 1;
	for (int i = 0; i < 20; i++)
		pthread_create(&threads[i], NULL, thread, &ended[i]);
	for (int i = 0; i < 20; i++) {
		pthread_join(threads[i], &passed);
		if (!passed || !ended[i])
			return 2;
	}
	return 0;
}

static int unregistered(void)
{
	if (percpu_register_thread() || !info().sequences || percpu_unregister_thread() ||
	    info().sequences || !counts() || percpu_current_index(RSEQ_PERCPU_CPU_ID) < 0)
		return 1;
	return percpu_register_thread() || !info().sequences || !counts();
}

/* An area of somebody else, as an old allocator has it. */
static int by_somebody(void)
{
	static struct percpu_area area __attribute__((aligned(32)));

	if (syscall(SYS_rseq, &area, 32, 0, PERCPU_SIG))
		return TAP_SKIP;
	if (percpu_register_thread() != -1 || errno != EBUSY)
		return 1;
	return info().owner != PERCPU_OWNER_OTHER || info().sequences || !counts();
}

static int forked(void)
{
	int status;
	pid_t child;

	if (!counts())
		return 1;
	child = fork();
	if (!child)
		_exit(!info().sequences || !counts());
	return waitpid(child, &status, 0) != child || status || !counts();
}

static bool deny(int nr, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int without_rseq(int error)
{
	if (!deny(SYS_rseq, error))
		return TAP_SKIP;
	if (percpu_register_thread() != -1 || errno != error)
		return 1;
	return info().owner != PERCPU_OWNER_NONE || info().sequences || !counts();
}

static int rseq_eperm(void)
{
	return without_rseq(EPERM);
}

static int rseq_enosys(void)
{
	return without_rseq(ENOSYS);
}

/* Where @late, the library has found it before. */
static int without_cpu_opv(int error, bool late)
{
	intptr_t v = 0;

	if (late && !info().cpu_opv)
		return TAP_SKIP;
	if (!deny(NR_CPU_OPV, error))
		return TAP_SKIP;
	if (!late && info().cpu_opv)
		return 1;
	if (percpu_addv(RSEQ_PERCPU_CPU_ID, &v, 1, 100000) != -1 || errno != ENXIO || v)
		return 2;
	return percpu_remote_available(RSEQ_PERCPU_CPU_ID) || !counts();
}

static int cpu_opv_eperm(void)
{
	return without_cpu_opv(EPERM, false);
}

static int cpu_opv_enosys(void)
{
	return without_cpu_opv(ENOSYS, false);
}

static int cpu_opv_later(void)
{
	return without_cpu_opv(EPERM, true);
}

/* The kernel's masks tell how many CPUs there can be at most. */
static int without_sys(void)
{
	if (!deny(SYS_openat, EACCES))
		return TAP_SKIP;
	return percpu_nr_indices() <= sched_getcpu() || percpu_nr_indices() % 64 || !counts();
}

/* A vector of one's own; an empty one is a fence. */
static int vector(void)
{
	intptr_t v = 6;
	struct cpu_op op = percpu_op_bitwise(CPU_XOR_OP, &v, 3, sizeof(v));
	int cpu = percpu_current_index(RSEQ_PERCPU_CPU_ID);

	if (percpu_remote_available(RSEQ_PERCPU_CPU_ID))
		return percpu_opv(RSEQ_PERCPU_CPU_ID, &op, 1, cpu) || v != 5 ||
		       percpu_opv(RSEQ_PERCPU_CPU_ID, NULL, 0, cpu);
	return percpu_opv(RSEQ_PERCPU_CPU_ID, &op, 1, cpu) != -1 || errno != ENOSYS || v != 6;
}

/* A thread that the C library has not registered, while it has others. */
static int by_libc_not_here(void)
{
	struct percpu_area *area;

	if (!__rseq_size)
		return TAP_SKIP;
	area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	if (syscall(SYS_rseq, area, 32, 1, PERCPU_SIG))
		return TAP_SKIP;
	return percpu_register_thread() != -1 || errno != ENOSYS || info().sequences ||
	       info().owner != PERCPU_OWNER_NONE || !counts() ||
	       percpu_current_index(RSEQ_PERCPU_CPU_ID) != sched_getcpu();
}

static int by_libc(void)
{
	if (info().owner != PERCPU_OWNER_LIBC)
		return TAP_SKIP;
	return percpu_register_thread() || percpu_unregister_thread() || !info().sequences ||
	       !counts();
}

static const struct {
	const char *name;
	int (*run)(void);
	bool glibc;		/* which registers, if it can */
} cases[] = {
	{ "nothing is used", nothing, true },
	{ "the C library has registered", by_libc, true },
	{ "the C library has not registered this thread", by_libc_not_here, true },
	{ "this library registers", by_itself, false },
	{ "not registered any more, and again", unregistered, false },
	{ "somebody else has registered", by_somebody, false },
	{ "fork, registered by the C library", forked, true },
	{ "fork, registered by this one", forked, false },
	{ "rseq answers EPERM", rseq_eperm, false },
	{ "rseq answers ENOSYS", rseq_enosys, false },
	{ "cpu_opv answers EPERM", cpu_opv_eperm, true },
	{ "cpu_opv answers ENOSYS", cpu_opv_enosys, true },
	{ "cpu_opv answers EPERM later", cpu_opv_later, true },
	{ "no files can be opened", without_sys, true },
	{ "a vector", vector, true },
};

static int run(size_t i, char *self)
{
	char number[12];
	char *argv[] = { self, number, NULL };
	int status;
	pid_t child = fork();

	snprintf(number, sizeof(number), "%zu", i);
	if (!child) {
		setenv("GLIBC_TUNABLES", cases[i].glibc ? "" : "glibc.pthread.rseq=0", 1);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	alarm(60);
	if (argc > 1)
		return cases[atoi(argv[1])].run();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int ret = run(i, argv[0]);

		ok(!ret || ret == TAP_SKIP, "%s%s", cases[i].name,
		   ret == TAP_SKIP ? " # SKIP" : "");
		if (ret && ret != TAP_SKIP)
			printf("# status %d\n", ret);
	}
	return tap_end();
}
