// SPDX-License-Identifier: GPL-2.0
/* debugfs rseq/: statistics and the debug switch. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parity.h"

#define DEBUGFS		"/sys/kernel/debug"

const char debug_file[] = DEBUGFS "/rseq/debug";
const char slice_ext_file[] = DEBUGFS "/rseq/slice_ext_nsec";
const char stats_file[] = DEBUGFS "/rseq/stats";

/* Without "exit", which counts every interrupt of the machine. */
const char *const stat_names[NR_STATS] = {
	"signal", "slowp", "fastp", "ids", "cs", "clear", "fixup",
	"sgrant", "sexpir", "srevok", "syield", "sabort",
};

static int stats_fd = -1;

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
