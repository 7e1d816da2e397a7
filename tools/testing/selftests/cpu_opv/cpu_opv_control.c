// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): settings, CPUs and statistics: see cpu_opv_control.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#define STATS	"/sys/kernel/debug/cpu_opv/stats"

int nr_cpus, cpus[MAX_CPUS];

static char old_remote[32];
static pid_t program;

long long time_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

int write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;
	ssize_t len;

	if (fd < 0)
		return errno;
	len = write(fd, value, strlen(value));
	if (len != (ssize_t)strlen(value))
		err = len < 0 ? errno : EIO;
	close(fd);
	return err;
}

static void online_path(char *path, size_t size, int cpu)
{
	snprintf(path, size, "/sys/devices/system/cpu/cpu%d/online", cpu);
}

int set_online(int cpu, bool online)
{
	char path[64];

	online_path(path, sizeof(path), cpu);
	return write_setting(path, online ? "1" : "0");
}

void restore_settings(void)
{
	char path[64], buf[8];

	if (*old_remote)
		write_setting(REMOTE, old_remote);
	for (int i = 0; i < nr_cpus; i++) {
		online_path(path, sizeof(path), cpus[i]);
		if (read_text(path, buf, sizeof(buf)) && *buf == '0')
			set_online(cpus[i], true);
	}
}

static void restore_at_exit(void)
{
	if (getpid() == program)
		restore_settings();
}

void save_settings(void)
{
	cpu_set_t set;

	set_up_program();
	program = getpid();
	if (!read_text(REMOTE, old_remote, sizeof(old_remote)))
		*old_remote = 0;
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && nr_cpus < MAX_CPUS; cpu--) {
		if (CPU_ISSET(cpu, &set))
			cpus[nr_cpus++] = cpu;
	}
	atexit(restore_at_exit);
}

const char *check_settings(int cpus_needed)
{
	if (!cpu_op_available())
		return "the kernel has no cpu_opv(2)";
	if (nr_cpus < cpus_needed)
		return "needs more CPUs";
	restore_settings();
	return NULL;
}

/* @tid: 0 for the calling thread */
void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

/* Goes to @cpu, and may run anywhere. */
void start_on(int cpu)
{
	cpu_set_t set;

	pin(0, cpu);
	CPU_ZERO(&set);
	for (int i = 0; i < nr_cpus; i++)
		CPU_SET(cpus[i], &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* As the kernel says, and not the rseq area, as sched_getcpu() does. */
int current_cpu(void)
{
	unsigned int cpu;

	return syscall(SYS_getcpu, &cpu, NULL, NULL) ? -1 : (int)cpu;
}

/* What /proc/PID/status has in the line "@name:" for the calling thread. */
bool status_line(const char *name, char *buf, size_t size)
{
	FILE *f = fopen("/proc/thread-self/status", "re");
	size_t len = strlen(name);
	char line[1024];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		found = !strncmp(line, name, len) && line[len] == ':';
		if (found)
			snprintf(buf, size, "%s", line + len + 1);
	}
	if (f)
		fclose(f);
	return found;
}

/* Whether @cpu, which may be offline, is in the calling thread's mask. */
bool may_run_on(int cpu)
{
	char list[256], *item, *save;

	if (!status_line("Cpus_allowed_list", list, sizeof(list)))
		return false;
	for (item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		int first, last, n = sscanf(item, "%d-%d", &first, &last);

		if ((n == 1 && cpu == first) || (n == 2 && cpu >= first && cpu <= last))
			return true;
	}
	return false;
}

/* Numbers that are not below this one are of no CPU; -1: not known. */
long possible_cpus(void)
{
	char buf[256], *last;

	if (!read_text("/sys/devices/system/cpu/possible", buf, sizeof(buf)))
		return -1;
	last = strpbrk(buf, ",-") ? buf + strcspn(buf, "\n") : buf;
	while (last > buf && last[-1] != ',' && last[-1] != '-')
		last--;
	return atol(last) + 1;
}

long read_stat(const char *name)
{
	char start[64];

	snprintf(start, sizeof(start), "%s:", name);
	return read_field(STATS, start);
}

bool wait_for_stat(const char *name, long value, long ms)
{
	long long end = time_us() + ms * 1000;

	while (read_stat(name) < value) {
		if (time_us() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

/* No page is pinned, as it has to be when there are no calls. */
bool nothing_held(void)
{
	long pinned = read_stat("pinned_now"), all = pages_pinned();

	if (pinned > 0 || all > 0)
		fail("%ld pages are still pinned (%ld in the whole kernel)", pinned, all);
	return pinned <= 0 && all <= 0;
}

bool exclusions_now(struct exclusions *now)
{
	*now = (struct exclusions) {
		.local = read_stat("local"),
		.locked = read_stat("locked"),
		.interrupted = read_stat("interrupted"),
		.migrated = read_stat("migrated"),
		.taken = read_stat("taken"),
	};
	return now->locked >= 0;
}

bool exclusions_since(const struct exclusions *before, struct exclusions *since)
{
	if (!exclusions_now(since))
		return false;
	since->local -= before->local;
	since->locked -= before->locked;
	since->interrupted -= before->interrupted;
	since->migrated -= before->migrated;
	since->taken -= before->taken;
	return true;
}

/*
 * By what the setting allows for other CPUs, and by what it does not: one that runs no user task is
 * locked by either. Returns false if unknown.
 */
bool exclusions_remote(const struct exclusions *since, long *remote, long *other)
{
	char buf[32];
	bool migrate;

	if (!read_text(REMOTE, buf, sizeof(buf)))
		return false;
	migrate = !strncmp(buf, "migrate", 7);
	*remote = since->locked + (migrate ? since->migrated : since->interrupted);
	*other = migrate ? since->interrupted : since->migrated;
	return true;
}

int missing_memory(char *mem, size_t size)
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

/* @flags: MAP_PRIVATE or MAP_SHARED. All is there. NULL: no memory */
char *maximal_memory(int flags)
{
	size_t size = MAXIMAL_PAGES * page_size;
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	memset(mem, 1, size);
	return mem;
}

/* @mem: MAXIMAL_PAGES */
void maximal_vec(struct cpu_op *vec, char *mem)
{
	for (int i = 0; i < CPU_OP_VEC_LEN_MAX; i++, mem += 4 * page_size) {
		size_t len = i ? 8 : CPU_OP_DATA_LEN_MAX;
		char *dst = mem + page_size - len / 2;

		vec[i] = cpu_op_memcpy(dst, dst + 2 * page_size, len);
	}
}
