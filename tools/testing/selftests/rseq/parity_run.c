// SPDX-License-Identifier: GPL-2.0
/*
 * Runs one case of the parity tests in a child process and observes it.
 *
 * The child is a real-time task on a CPU of its own. It is preempted exactly
 * when the rival, a sleeping task of higher priority on that CPU, is woken up;
 * the parent does that from another CPU. Where a slow machine spoils the order,
 * the attempt is thrown away and repeated.
 */
#include <elf.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "parity.h"

#define PRIO_CHILD	50
#define PRIO_PARENT	60
#define ATTEMPTS	20
#define CHILD_MS	10000	/* no case takes longer */

const struct config *cfg;
struct facts facts;
struct run *run;

static int memfd = -1;
static int rival_fd = -1;	/* eventfd that wakes the rival */
static int moved_fd = -1;	/* eventfd by which the rival answers */
static int chld_fd = -1;	/* signalfd of SIGCHLD */
static size_t page;

/* ---- the record ---- */

static void append(char *buf, size_t size, size_t *len, const char *fmt, va_list ap)
{
	int n = vsnprintf(buf + *len, size - *len, fmt, ap);

	if (n > 0)
		*len += (size_t)n < size - *len ? (size_t)n : size - *len - 1;
}

static void add(char *buf, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(buf, size, len, fmt, ap);
	va_end(ap);
}

void note(const char *field, const char *fmt, ...)
{
	va_list ap;

	add(run->log, sizeof(run->log), &run->len, "%s=", field);
	va_start(ap, fmt);
	append(run->log, sizeof(run->log), &run->len, fmt, ap);
	va_end(ap);
	add(run->log, sizeof(run->log), &run->len, "\n");
}

static void differs(const char *field, const char *got, const char *want)
{
	run->failed++;
	add(run->why, sizeof(run->why), &run->why_len, "%s: got %s, expected %s\n", field, got,
	    want);
}

void expect_text(const char *field, const char *got, const char *want)
{
	note(field, "%s", got);
	if (strcmp(got, want))
		differs(field, got, want);
}

void expect(const char *field, long got, long want)
{
	char a[24], b[24];

	snprintf(a, sizeof(a), "%ld", got);
	snprintf(b, sizeof(b), "%ld", want);
	expect_text(field, a, b);
}

void expect_true(const char *field, bool holds)
{
	expect_text(field, holds ? "yes" : "no", "yes");
}

/* ---- scheduling ---- */

void set_cpu(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(pid, sizeof(set), &set);
}

void set_fifo(pid_t pid, int prio)
{
	struct sched_param param = { .sched_priority = prio };

	sched_setscheduler(pid, SCHED_FIFO, &param);
}

void sleep_us(long us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

static void write_event(int fd)
{
	uint64_t n = 1;

	if (write(fd, &n, sizeof(n)) != sizeof(n))
		perror("# eventfd");
}

bool wait_for(volatile uint32_t *flag, long ms)
{
	for (; !*flag && ms > 0; ms--)
		sleep_us(1000);
	return *flag;
}

/* ---- the child ---- */

unsigned long get_ip(const ucontext_t *uc)
{
#ifdef __x86_64__
	return uc->uc_mcontext.gregs[REG_RIP];
#else
	return uc->uc_mcontext.gregs[REG_EIP];
#endif
}

void set_ip(ucontext_t *uc, const char *ip)
{
#ifdef __x86_64__
	uc->uc_mcontext.gregs[REG_RIP] = (unsigned long)ip;
#else
	uc->uc_mcontext.gregs[REG_EIP] = (unsigned long)ip;
#endif
}

/* Entered through parity_handler. */
void parity_on_signal(int sig, siginfo_t *info, ucontext_t *uc)
{
	unsigned long ip = get_ip(uc);

	run->seen |= 1U << sig;
	note("handler", "signal:%d code:%d ip:%s", sig, info->si_code, ip_name(ip));
	note_area("handler.area");
	if (sig == SIGSEGV)
		_exit(EXIT_CAUGHT);
	/* What did not abort goes on behind the instruction that waits. */
	if (sig == SIGILL && ip == (unsigned long)parity_cs_ud2)
		set_ip(uc, parity_cs_commit);
	if (sig == SIGUSR2 && ip == (unsigned long)parity_cs_spin)
		set_ip(uc, parity_cs_commit);
	else if (sig == SIGUSR2)
		run->late = 1;
}

void on_signals(void)
{
	static const int sigs[] = { SIGSEGV, SIGILL, SIGUSR1, SIGUSR2, SIGTRAP };
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_sp = run + 1, .ss_size = 4 * page };

	sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))parity_handler;
	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		sigfillset(&sa.sa_mask);
		/* SIGSEGV on top of another signal is part of what is observed. */
		if (sigs[i] != SIGSEGV)
			sigdelset(&sa.sa_mask, SIGSEGV);
		sigaction(sigs[i], &sa, NULL);
	}
}

static void child_main(const struct test_case *tc, bool gate)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	while (gate && !run->go)
		sleep_us(100);
	set_cpu(0, facts.cpu_a);
	set_fifo(0, PRIO_CHILD);
	on_signals();
	tc->child(tc);
	_exit(0);
}

/* ---- the parent ---- */

struct child {
	pid_t pid;
	bool traced, done;
	int status;
	long switches;		/* involuntary ones, in all */
	long preemptions;	/* of these, by the rival */
};

static unsigned long traced_ip(pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov))
		return 0;
#ifdef __x86_64__
	return regs.rip;
#else
	return regs.eip;
#endif
}

/* A traced child stopped: record where, and let it go on. */
static void on_stop(struct child *c)
{
	int sig = WSTOPSIG(c->status), event = c->status >> 16;
	siginfo_t info = { 0 };

	if (event == PTRACE_EVENT_EXIT) {
		note("traced.exit", "ip:%s", ip_name(traced_ip(c->pid)));
		sig = 0;
	} else if (event) {
		sig = 0;
	} else {
		ptrace(PTRACE_GETSIGINFO, c->pid, NULL, &info);
		note("traced.stop", "signal:%d code:%d ip:%s", sig, info.si_code,
		     ip_name(traced_ip(c->pid)));
	}
	ptrace(PTRACE_CONT, c->pid, NULL, (void *)(long)sig);
}

/* Wait at most @ms for the child's end. */
static bool reap(struct child *c, long ms)
{
	struct timespec now, end, left;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000;
	while (!c->done) {
		struct rusage usage;
		long ns;

		while (wait4(c->pid, &c->status, WNOHANG | __WALL, &usage) == c->pid) {
			if (!WIFSTOPPED(c->status)) {
				c->switches = usage.ru_nivcsw;
				c->done = true;
				return true;
			}
			on_stop(c);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = (end.tv_sec - now.tv_sec) * 1000000000L + end.tv_nsec - now.tv_nsec;
		if (ns <= 0)
			break;
		left.tv_sec = ns / 1000000000;
		left.tv_nsec = ns % 1000000000;
		sigtimedwait(&chld, NULL, &left);
	}
	return c->done;
}

/*
 * What was done to the child is done when it is back in user mode: its handler
 * ran, or the kernel counts a return (@fastp: the count before).
 */
static bool settled(long fastp)
{
	return run->seen || run->outside || stat_of("fastp") != fastp;
}

/*
 * If the section does not end by itself, end it. Should the signal come too late
 * for that, its handler tells.
 */
static void release(struct child *c, long fastp)
{
	for (int i = 0; i < 5000 && !settled(fastp); i++) {
		if (reap(c, 0))
			return;
		sleep_us(200);
	}
	if (!reap(c, 10) && !run->outside)
		kill(c->pid, SIGUSR2);
}

/* Wait until the child is in its section, or ends before it. */
static bool inside(struct child *c)
{
	for (long us = 0; !run->inside && us < CHILD_MS * 1000; us += 100) {
		if (reap(c, 0))
			return false;
		sleep_us(100);
	}
	return run->inside;
}

static void single_step(struct child *c)
{
	bool inside = false;

	while (waitpid(c->pid, &c->status, __WALL) == c->pid) {
		unsigned long ip;

		if (!WIFSTOPPED(c->status)) {
			c->done = true;
			return;
		}
		if (WSTOPSIG(c->status) != SIGTRAP) {
			ptrace(PTRACE_CONT, c->pid, NULL, (void *)(long)WSTOPSIG(c->status));
			continue;
		}
		/* The child calls for it by a breakpoint in front of its section. */
		ip = traced_ip(c->pid);
		if (ip == (unsigned long)parity_cs_start)
			inside = true;
		if (inside)
			note("step", "ip:%s", ip_name(ip));
		if (run->outside || (c->status >> 16))
			ptrace(PTRACE_CONT, c->pid, NULL, NULL);
		else
			ptrace(PTRACE_SINGLESTEP, c->pid, NULL, NULL);
	}
}

/* ---- the rival ---- */

static void rival(void)
{
	uint64_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_cpu(0, facts.cpu_a);
	while (read(rival_fd, &n, sizeof(n)) == sizeof(n)) {
		if (run->move) {
			set_cpu(run->move, facts.cpu_b);
			write_event(moved_fd);
		}
		run->preempted = 1;
	}
	_exit(0);
}

static void preempt(struct child *c)
{
	run->preempted = 0;
	write_event(rival_fd);
	while (!run->preempted && !reap(c, 0))
		sleep_us(100);
	c->preemptions += run->preempted;
}

/*
 * Have the rival move the child to the other CPU while it waits for its own.
 * Nothing else may disturb it there: the parent goes out of its way first, and
 * leaves it to the watcher to see when the child is in its section.
 */
static pid_t start_watcher(pid_t child)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!run->inside)
		sleep_us(100);
	run->fastp = stat_of("fastp");
	run->move = child;
	write_event(rival_fd);
	for (;;)
		pause();
}

static void migrate(struct child *c)
{
	pid_t watcher = start_watcher(c->pid);
	struct pollfd fds[] = { { moved_fd, POLLIN }, { chld_fd, POLLIN } };
	struct signalfd_siginfo info;
	bool moved = false;
	uint64_t n;

	set_cpu(0, facts.cpu_a);
	run->go = 1;
	while (!reap(c, 0) && poll(fds, ARRAY_LEN(fds), CHILD_MS) > 0) {
		if (fds[1].revents && read(chld_fd, &info, sizeof(info)) < 0)
			break;
		if (fds[0].revents) {
			moved = read(moved_fd, &n, sizeof(n)) == sizeof(n);
			break;
		}
	}
	/* If it was not the rival, it was the parent, when the child ended beside it. */
	c->preemptions++;
	if (moved)
		release(c, run->fastp);
	reap(c, CHILD_MS);
	kill(watcher, SIGKILL);
	waitpid(watcher, NULL, 0);
}

static void drive(const struct test_case *tc, struct child *c)
{
	long fastp;

	switch (tc->drive) {
	case DRIVE_WAIT:
		break;
	case DRIVE_STEP:
		single_step(c);
		break;
	case DRIVE_TICK:
		while (!reap(c, 0)) {
			preempt(c);
			sleep_us(500);
		}
		break;
	case DRIVE_PREEMPT:
		if (!inside(c))
			break;
		fastp = stat_of("fastp");
		preempt(c);
		release(c, fastp);
		break;
	case DRIVE_SIGNAL:
		if (!inside(c))
			break;
		kill(c->pid, SIGUSR1);
		release(c, stat_of("fastp"));
		break;
	case DRIVE_MIGRATE:
		migrate(c);
		break;
	}
}

/*
 * What the child left behind is the parent's, and nobody else's: the task that
 * gets orphans otherwise may use rseq itself.
 */
static void reap_partners(const struct child *c)
{
	kill(-c->pid, SIGKILL);
	while (waitpid(-c->pid, NULL, __WALL) > 0)
		;
}

/* Any context switch shows in the statistics: were there only those wanted? */
static bool undisturbed(const struct test_case *tc, const struct child *c)
{
	if (tc->switches < 0 || tc->stats != STATS_EXACT || !run->started)
		return true;
	return c->switches - run->switches == c->preemptions + tc->switches;
}

/* Returns false if it does not count. */
static bool attempt(const struct test_case *tc, struct child *c, bool traced)
{
	bool gate = traced || tc->drive == DRIVE_MIGRATE;

	memset(run, 0, sizeof(*run));
	poison_area();
	memset(cs_page, POISON, page);
	*c = (struct child){ .traced = traced };
	set_cpu(0, facts.cpu_b);
	c->pid = fork();
	if (c->pid < 0)
		return false;
	if (!c->pid)
		child_main(tc, gate);
	if (traced)
		ptrace(PTRACE_SEIZE, c->pid, NULL,
		       (void *)(long)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL));
	if (tc->drive != DRIVE_MIGRATE)
		run->go = 1;
	drive(tc, c);
	if (!reap(c, CHILD_MS)) {
		kill(c->pid, SIGKILL);
		reap(c, CHILD_MS);
	}
	run->stop = 1;
	reap_partners(c);
	return !run->late && (traced || undisturbed(tc, c));
}

static void name_end(char *buf, size_t size, int status)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "killed:%d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == EXIT_CAUGHT)
		snprintf(buf, size, END_CAUGHT);
	else if (WEXITSTATUS(status))
		snprintf(buf, size, "exit:%d", WEXITSTATUS(status));
	else
		snprintf(buf, size, END_OK);
}

static void note_stats(const struct test_case *tc, const long before[NR_STATS],
		       const long after[NR_STATS])
{
	char buf[512];
	size_t len = 0;

	for (size_t i = 0; i < NR_STATS; i++) {
		long delta = after[i] - before[i];

		if (after[i] < 0)
			continue;
		if (tc->stats == STATS_EXACT)
			add(buf, sizeof(buf), &len, " %s:%ld", stat_names[i], delta);
		else
			add(buf, sizeof(buf), &len, " %s:%s", stat_names[i], delta ? "some" : "0");
		if (!strcmp(stat_names[i], "fixup") && tc->fixups >= 0 && delta != tc->fixups) {
			char got[24], want[24];

			snprintf(got, sizeof(got), "%ld", delta);
			snprintf(want, sizeof(want), "%d", tc->fixups);
			differs("stats.fixup", got, want);
		}
	}
	note("stats", "%s", buf + 1);
}

/* One more run of a case that kills its process: where does it die? */
static void trace_death(const struct test_case *tc, struct outcome *out, size_t *len)
{
	struct child c;

	for (int i = 0; i < ATTEMPTS && !attempt(tc, &c, true); i++)
		;
	for (char *line = strtok(run->log, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strncmp(line, "traced.", 7))
			add(out->text, sizeof(out->text), len, "%s\n", line);
		if (strstr(line, "traced.exit=ip:abort")) {
			out->failed = true;
			snprintf(out->why + strlen(out->why),
				 sizeof(out->why) - strlen(out->why),
				 "%s: it went to the abort target and died there\n", line);
		}
	}
}

void run_case(const struct test_case *tc, struct outcome *out)
{
	long before[NR_STATS], after[NR_STATS];
	char end[24], buf[256];
	bool stats = false;
	struct child c;
	size_t len = 0;
	int i;

	*out = (struct outcome){ 0 };
	if (tc->skip) {
		out->skipped = true;
		snprintf(out->text, sizeof(out->text), "skip=%s\n", tc->skip);
		return;
	}
	for (i = 0; i < ATTEMPTS; i++) {
		stats = tc->stats != STATS_NONE && read_stats(before);
		if (attempt(tc, &c, false))
			break;
	}
	if (i == ATTEMPTS)
		differs("attempts", "none in the right order", "one");
	if (stats && read_stats(after))
		note_stats(tc, before, after);
	name_end(end, sizeof(end), c.status);
	if (tc->end)
		expect_text("end", end, tc->end);
	else
		note("end", "%s", end);
	format_area(buf, sizeof(buf), alias());
	note("area", "%s", buf);
	add(out->text, sizeof(out->text), &len, "%s", run->log);
	out->failed = run->failed;
	snprintf(out->why, sizeof(out->why), "%s", run->why);
	if (WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGSEGV)
		trace_death(tc, out, &len);
}

/* ---- set-up ---- */

static uint64_t find_task_size(void)
{
	char line[4096];
	uint64_t size = 1ULL << 47;
	FILE *f;

	if (!BITS64)
		return 0xffffe000;
	f = fopen("/proc/cpuinfo", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "flags", 5) && strstr(line, " la57"))
			size = 1ULL << 56;
	}
	if (f)
		fclose(f);
	return size - page;
}

static void find_cpus(void)
{
	cpu_set_t set;

	facts.cpu_a = -1;
	facts.cpu_b = -1;
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	/* Prefer CPUs that are not 0, a number that is there without the kernel's doing. */
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (facts.cpu_a < 0)
			facts.cpu_a = cpu;
		else if (facts.cpu_b < 0)
			facts.cpu_b = cpu;
	}
}

int arena_fd(void)
{
	return memfd;
}

/* struct run, the signal stack behind it, then the area's page. */
static size_t run_pages(void)
{
	return (sizeof(struct run) + page - 1) / page + 4;
}

void *arena_map(int fd)
{
	page = getpagesize();
	memfd = fd;
	run = mmap(NULL, (run_pages() + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		return NULL;
	alias_page = (unsigned char *)run + run_pages() * page;
	return run;
}

/* Two pages, each with nothing mapped on both sides. */
static int map_guarded(void)
{
	unsigned char *base = mmap(NULL, 5 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at = run_pages() * page;

	if (base == MAP_FAILED)
		return -1;
	area_page = mmap(base + page, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 memfd, at);
	cs_page = mmap(base + 3 * page, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		       memfd, at + page);
	return area_page == MAP_FAILED || cs_page == MAP_FAILED ? -1 : 0;
}

void find_facts(void)
{
	facts.task_size = find_task_size();
	facts.slice_key = result(prctl(PR_RSEQ_SLICE_EXTENSION, PR_RSEQ_SLICE_EXTENSION_SET,
				       PR_RSEQ_SLICE_EXT_ENABLE, 0, 0)) != -ENOTSUPP;
	find_cpus();
}

/* Returns 0, or -1 with a message if this cannot be tested here. */
int set_up(void)
{
	sigset_t chld;
	int fd;

	page = getpagesize();
	if (geteuid()) {
		fprintf(stderr, "# must run as root\n");
		return -1;
	}
	if (debugfs_setup()) {
		fprintf(stderr, "# no debugfs rseq/: mount debugfs on /sys/kernel/debug\n");
		return -1;
	}
	fd = memfd_create("parity", 0);
	if (fd < 0 || ftruncate(fd, (run_pages() + 2) * page) || !arena_map(fd) || map_guarded()) {
		perror("# shared memory");
		return -1;
	}
	find_facts();
	if (facts.cpu_b < 0) {
		fprintf(stderr, "# needs two CPUs\n");
		return -1;
	}
	mlockall(MCL_CURRENT);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	rival_fd = eventfd(0, EFD_CLOEXEC);
	moved_fd = eventfd(0, EFD_CLOEXEC);
	chld_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	set_cpu(0, facts.cpu_b);
	set_fifo(0, PRIO_PARENT);
	if (!fork())
		rival();
	return 0;
}
