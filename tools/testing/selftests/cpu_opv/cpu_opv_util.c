// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): files, children, random numbers. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#define WAIT_MS	10000	/* nothing that happens takes longer */

/* The same sequence in every run (xorshift64). */
uint64_t random64(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

size_t random_below(size_t limit)
{
	return (random64() >> 32) % limit;
}

void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

bool wait_until(volatile int *value, int want)
{
	long end = now_ms() + WAIT_MS;

	while (__atomic_load_n(value, __ATOMIC_ACQUIRE) != want && now_ms() < end)
		sleep_ms(1);
	return __atomic_load_n(value, __ATOMIC_ACQUIRE) == want;
}

/* A child that ends with its parent. */
pid_t fork_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		fail("fork: errno %d", errno);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

void reap_child(pid_t pid)
{
	long end = now_ms() + WAIT_MS;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (now_ms() > end) {
			fail("a child does not end");
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return;
		}
		sleep_ms(1);
	}
	expect("status of a child", status, 0);
}

/* Returns false if there is no such file. */
bool read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return false;
	len = read(fd, buf, size - 1);
	close(fd);
	if (len < 0)
		return false;
	buf[len] = 0;
	return true;
}

bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return false;
	len = write(fd, text, strlen(text));
	close(fd);
	return len == (ssize_t)strlen(text);
}

/* The number in the line that starts with @name; -1 if there is none. */
long read_field(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long value = -1;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name));
	}
	if (f)
		fclose(f);
	return value;
}

/*
 * How many pages the whole kernel has pinned and not released; 0 also if it does
 * not tell. Whatever else pins pages for a moment is given time to end.
 */
long pages_pinned(void)
{
	long pinned = 1;

	for (int i = 0; i < 100 && pinned; i++) {
		char buf[16];
		long acquired;

		if (i)
			usleep(10000);
		/* CPUs count for themselves, until somebody asks. */
		read_text("/proc/sys/vm/stat_refresh", buf, sizeof(buf));
		acquired = read_field("/proc/vmstat", "nr_foll_pin_acquired ");
		pinned = acquired - read_field("/proc/vmstat", "nr_foll_pin_released ");
	}
	return pinned;
}

/* The mapping of this process that is listed as @name. */
bool find_mapping(const char *name, uint64_t *start, uint64_t *end)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long long from, to;
	char line[4096];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (!strstr(line, name) || sscanf(line, "%llx-%llx", &from, &to) != 2)
			continue;
		*start = from;
		*end = to;
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

/* A file without a name in @dir. */
int unnamed_file(const char *dir, size_t size)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/cpu_opv_test.XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -1;
	unlink(path);
	if (!ftruncate(fd, size))
		return fd;
	close(fd);
	return -1;
}

/*
 * A block device, at @path, of what the file @fd holds. It goes when the last
 * user closes it. Returns it open, or -1.
 */
int loop_attach(int fd, char *path, size_t size)
{
	struct loop_config config = {
		.fd = fd,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int nr, loop;

	if (control < 0)
		return -1;
	nr = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (nr < 0)
		return -1;
	snprintf(path, size, "/dev/loop%d", nr);
	loop = open(path, O_RDWR | O_CLOEXEC);
	if (loop < 0)
		return -1;
	if (!ioctl(loop, LOOP_CONFIGURE, &config))
		return loop;
	close(loop);
	return -1;
}
