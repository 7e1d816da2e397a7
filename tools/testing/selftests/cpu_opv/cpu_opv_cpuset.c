// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): a cpuset: see cpu_opv_control.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu_opv_control.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define CGROUP		CGROUP_ROOT "/cpu_opv_test"

static bool has_word(const char *path, const char *word)
{
	char buf[1024], *item, *save;

	if (!read_text(path, buf, sizeof(buf)))
		return false;
	for (item = strtok_r(buf, "\n ", &save); item; item = strtok_r(NULL, "\n ", &save)) {
		if (!strcmp(item, word))
			return true;
	}
	return false;
}

const char *cpuset_create(struct cpuset *cpuset)
{
	if (!has_word(CGROUP_ROOT "/cgroup.controllers", "cpuset"))
		return "no cpuset controller in " CGROUP_ROOT;
	if (!has_word(CGROUP_ROOT "/cgroup.subtree_control", "cpuset")) {
		if (write_setting(CGROUP_ROOT "/cgroup.subtree_control", "+cpuset"))
			return "cannot enable the cpuset controller";
		cpuset->enabled = true;
	}
	rmdir(CGROUP);
	cpuset->created = !mkdir(CGROUP, 0755);
	if (cpuset->created)
		return NULL;
	cpuset_remove(cpuset);
	return "cannot create " CGROUP;
}

/* What was in it has ended, or does now. */
void cpuset_remove(struct cpuset *cpuset)
{
	for (int i = 0; cpuset->created && rmdir(CGROUP) && errno == EBUSY && i < 1000; i++) {
		write_setting(CGROUP "/cgroup.kill", "1");
		sleep_ms(5);
	}
	if (cpuset->enabled)
		write_setting(CGROUP_ROOT "/cgroup.subtree_control", "-cpuset");
	*cpuset = (struct cpuset) { 0 };
}

int cpuset_set(const int *list, int nr)
{
	char text[8 * MAX_CPUS] = "";

	for (int i = 0; i < nr; i++)
		sprintf(text + strlen(text), "%s%d", i ? "," : "", list[i]);
	return write_setting(CGROUP "/cpuset.cpus", text);
}

int cpuset_enter(void)
{
	return write_setting(CGROUP "/cgroup.procs", "0");
}
