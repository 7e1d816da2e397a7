// SPDX-License-Identifier: GPL-2.0
/* Parity cases: registration over the life of a task: fork, exec, threads, exit. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parity.h"

/* An area that fork(2) copies, as the areas of real programs. */
static struct rseq_abi *private_area(void)
{
	unsigned char *p = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, POISON, getpagesize());
	return area_in(p);
}

static void note_private(const char *field, const struct rseq_abi *a)
{
	char buf[256];

	format_area(buf, sizeof(buf), a);
	note(field, "%s", buf);
}

static int get_slice(void)
{
	return result(prctl(PR_RSEQ_SLICE_EXTENSION, PR_RSEQ_SLICE_EXTENSION_GET, 0, 0, 0));
}

static int unregister(struct rseq_abi *a)
{
	return sys_rseq(a, cfg->len, FLAG_UNREGISTER, RSEQ_SIG);
}

static void wait_pid(const char *field, pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, __WALL);
	expect(field, status, 0);
}

/* The registration is inherited, with all its state. */
static void child_fork(const struct test_case *tc)
{
	struct rseq_abi *a = private_area();
	pid_t pid;

	expect("register", sys_rseq(a, cfg->len, cfg->flags, RSEQ_SIG), 0);
	pid = fork();
	if (!pid) {
		note_private("copy", a);
		expect("copy.cpu_id", a->cpu_id, facts.cpu_a);
		expect("copy.slice", get_slice(), cfg->slice && facts.slice_key);
		expect("copy.register", sys_rseq(a, cfg->len, 0, RSEQ_SIG), -EBUSY);
		expect("copy.unregister", unregister(a), 0);
		note_private("copy.reset", a);
		_exit(0);
	}
	wait_pid("wait", pid);
	note_private("original", a);
	expect("original.cpu_id", a->cpu_id, facts.cpu_a);
	expect("original.register", sys_rseq(a, cfg->len, 0, RSEQ_SIG), -EBUSY);
	expect("original.unregister", unregister(a), 0);
}

/* An area of its own that is shared between parent and child of a fork. */
static void child_fork_shared(const struct test_case *tc)
{
	pid_t pid;

	register_area();
	pid = fork();
	if (!pid) {
		expect("copy.cpu_id", area()->cpu_id, facts.cpu_a);
		_exit(0);
	}
	wait_pid("wait", pid);
	note_area("original");
}

/* The child of a fork writes to a page that is not its own yet. */
static void child_fork_in_section(const struct test_case *tc)
{
	struct rseq_abi *a = private_area();
	pid_t pid;

	expect("register", sys_rseq(a, cfg->len, cfg->flags, RSEQ_SIG), 0);
	pid = fork();
	if (!pid) {
		/* A section of the child, in the copied area. */
		uint64_t cs = (unsigned long)valid_cs();

		expect_text("copy.section",
			    section_name(parity_cs_enter(a, cs, TRIGGER_UD2, run)), "abort");
		note_private("copy", a);
		_exit(0);
	}
	wait_pid("wait", pid);
	note_private("original", a);
}

static int clone_vm(void *arg)
{
	struct rseq_abi *a = arg;

	note("clone.slice", "%d", get_slice());
	expect("clone.unregister", unregister(a), -EINVAL);
	a = (struct rseq_abi *)((char *)a + 256);
	expect("clone.register", sys_rseq(a, cfg->len, cfg->flags, RSEQ_SIG), 0);
	expect("clone.cpu_id", a->cpu_id, facts.cpu_a);
	expect("clone.unregister_own", unregister(a), 0);
	return 0;
}

/* CLONE_VM without CLONE_THREAD, as in vfork(2): starts without a registration. */
static void child_clone_vm(const struct test_case *tc)
{
	struct rseq_abi *a = private_area();
	char *stack = mmap(NULL, 16 * getpagesize(), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	expect("register", sys_rseq(a, cfg->len, cfg->flags, RSEQ_SIG), 0);
	pid = clone(clone_vm, stack + 16 * getpagesize(), CLONE_VM | CLONE_VFORK | SIGCHLD, a);
	wait_pid("wait", pid);
	expect("original.cpu_id", a->cpu_id, facts.cpu_a);
	expect("original.unregister", unregister(a), 0);
}

static void *thread_start(void *arg)
{
	clone_vm(arg);
	return NULL;
}

static void child_thread(const struct test_case *tc)
{
	struct rseq_abi *a = private_area();
	pthread_t thread;

	expect("register", sys_rseq(a, cfg->len, cfg->flags, RSEQ_SIG), 0);
	pthread_create(&thread, NULL, thread_start, a);
	pthread_join(thread, NULL);
	expect("original.cpu_id", a->cpu_id, facts.cpu_a);
	expect("original.unregister", unregister(a), 0);
}

/* An area need not outlive the last return of its task to user space. */
static void *thread_exit(void *arg)
{
	struct rseq_abi *a = arg;

	expect("thread.register", sys_rseq(a, cfg->len, cfg->flags, RSEQ_SIG), 0);
	if (!cfg->debug)
		munmap((void *)((unsigned long)a & -(unsigned long)getpagesize()), getpagesize());
	syscall(__NR_exit, 0);
	return NULL;
}

static void child_thread_exit(const struct test_case *tc)
{
	struct rseq_abi *a = private_area();
	pthread_t thread;

	pthread_create(&thread, NULL, thread_exit, a);
	pthread_join(thread, NULL);
	register_area();
	note_area("leader");
}

/* Every field is junk when the task ends; nobody looks. */
static void child_exit_damaged(const struct test_case *tc)
{
	register_area();
	memset(alias(), 0x77, V1_LEN);
	alias()->rseq_cs.ptr64 = cfg->debug ? 0 : UINT64_MAX;
	syscall(__NR_exit_group, 0);
}

static void child_exec(const struct test_case *tc)
{
	char fd[16], config[16];
	char *argv[] = { "parity_test", "--exec-probe", fd, config, NULL };

	snprintf(fd, sizeof(fd), "%d", arena_fd());
	snprintf(config, sizeof(config), "%d", tc->num[0]);
	register_area();
	note("slice", "%d", get_slice());
	execv("/proc/self/exe", argv);
	note("execv", "%d", -errno);
}

/* In the new program: nothing is left of the registration. */
void exec_probe(void)
{
	struct rseq_abi *a = private_area();

	expect("probe.slice", get_slice(), 0);
	expect("probe.yield", result(syscall(__NR_rseq_slice_yield)), 0);
	expect("probe.unregister", unregister(a), -EINVAL);
	expect("probe.register", sys_rseq(a, cfg->len, cfg->flags, RSEQ_SIG), 0);
	note_private("probe.area", a);
	expect("probe.again", unregister(a), 0);
}

static void child_exec_missing(const struct test_case *tc)
{
	char *argv[] = { "missing", NULL };

	register_area();
	execv("/proc/self/missing", argv);
	expect("execv", -errno, -ENOENT);
	note_area("after");
	expect("register", sys_rseq(area(), cfg->len, 0, RSEQ_SIG), -EBUSY);
}

static const struct {
	const char *name;
	void (*child)(const struct test_case *tc);
} cases[] = {
	{ "fork", child_fork },
	{ "fork_shared_area", child_fork_shared },
	{ "fork_in_section", child_fork_in_section },
	{ "clone_vm", child_clone_vm },
	{ "thread", child_thread },
	{ "thread_exit", child_thread_exit },
	{ "exit_damaged", child_exit_damaged },
	{ "exec", child_exec },
	{ "exec_missing", child_exec_missing },
};

static void get_task(size_t i, struct test_case *tc)
{
	snprintf(tc->name, sizeof(tc->name), "%s", cases[i].name);
	tc->child = cases[i].child;
	tc->num[0] = cfg - configs;
	tc->end = END_OK;
	/* The new program faults in its pages, which may sleep. */
	tc->stats = cases[i].child == child_exec ? STATS_CLASS : STATS_EXACT;
}

const struct test_group task_group = { "task", ARRAY_LEN(cases), get_task };
