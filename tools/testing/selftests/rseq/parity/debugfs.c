// SPDX-License-Identifier: GPL-2.0
/* debugfs: statistics and the debug switch of rseq/, the fair servers of sched/. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parity.h"

#define DEBUGFS		"/sys/kernel/debug"
#define FAIR_SERVER	DEBUGFS "/sched/fair_server/cpu%d/runtime"

const char debug_file[] = DEBUGFS "/rseq/debug";
const char slice_ext_file[] = DEBUGFS "/rseq/slice_ext_nsec";
const char stats_file[] = DEBUGFS "/rseq/stats";

/* Without "exit", which counts every interrupt of the machine. */
const char *const stat_names[NR_STATS] = {
	"signal", "slowp", "fastp", "ids", "cs", "clear", "fixup",
	"sgrant", "sexpir", "srevok", "syield", "sabort",
};

static int stats_fd = -1;

/* Fair servers that were switched off, and the runtime that they had. */
static struct {
	char path[80];
	char runtime[24];
} servers[2];

/* Returns 0, or -1 if there is no debugfs rseq/ to be had. */
int debugfs_setup(void)
{
	if (access(debug_file, F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	if (access(debug_file, W_OK))
		return -1;
	if (stats_fd < 0)
		stats_fd = open(stats_file, O_RDONLY | O_CLOEXEC);
	return 0;
}

/* Counters that this kernel does not have become -1. False: it has none. */
bool read_stats(long val[NR_STATS])
{
	char buf[1024];
	ssize_t len = stats_fd < 0 ? -1 : pread(stats_fd, buf, sizeof(buf) - 1, 0);

	if (len <= 0)
		return false;
	buf[len] = '\0';
	for (size_t i = 0; i < NR_STATS; i++) {
		char key[16], *at;

		snprintf(key, sizeof(key), "%s:", stat_names[i]);
		at = strstr(buf, key);
		val[i] = at ? strtol(at + strlen(key), NULL, 10) : -1;
	}
	return true;
}

long stat_of(const char *name)
{
	long val[NR_STATS];

	if (!read_stats(val))
		return -1;
	for (size_t i = 0; i < NR_STATS; i++) {
		if (!strcmp(stat_names[i], name))
			return val[i];
	}
	return -1;
}

/* Returns what write(2) gave, or -errno. */
int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = result(write(fd, text, strlen(text)));
	close(fd);
	return ret;
}

int set_debug(bool on)
{
	return write_file(debug_file, on ? "1" : "0") == 1 ? 0 : -1;
}

/*
 * Where real-time tasks leave the others no time for a second, the kernel gives it
 * to them: for up to a second from then on, any of them that wakes up preempts a
 * real-time task at once. Cases that spin bring that about, and then kernel threads
 * disturb the cases after them, in every attempt.
 *
 * Returns 0, also if this kernel does not do that, or -1 with a message and nothing stopped.
 */
int stop_fair_servers(void)
{
	const int cpus[] = { facts.cpu_a, facts.cpu_b };

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		ssize_t len;
		int fd;

		snprintf(servers[i].path, sizeof(servers[i].path), FAIR_SERVER, cpus[i]);
		fd = open(servers[i].path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		len = read(fd, servers[i].runtime, sizeof(servers[i].runtime) - 1);
		close(fd);
		if (len <= 0 || write_file(servers[i].path, "0") != 1) {
			perror("# fair servers");
			restart_fair_servers();
			return -1;
		}
	}
	return 0;
}

void restart_fair_servers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		if (*servers[i].runtime)
			write_file(servers[i].path, servers[i].runtime);
	}
}
