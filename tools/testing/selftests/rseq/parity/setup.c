// SPDX-License-Identifier: GPL-2.0
/* Set-up of the parity tests: facts, shared memory, priorities. */
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "parity.h"
#include "run.h"

const struct config *cfg;
struct facts facts;
struct run *run;

static int memfd = -1;
static size_t page;

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

bool wait_for(volatile uint32_t *flag, long ms)
{
	for (; !*flag && ms > 0; ms--)
		sleep_us(1000);
	return *flag;
}

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
	return size - getpagesize();
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
	set_cpu(0, facts.cpu_b);
	set_fifo(0, PRIO_PARENT);
	if (start_rival())
		return -1;
	return stop_fair_servers();
}

/* What the tests changed in the kernel goes back to what it was. */
void tear_down(void)
{
	set_debug(false);
	restart_fair_servers();
}
