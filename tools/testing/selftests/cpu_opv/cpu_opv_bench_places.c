// SPDX-License-Identifier: GPL-2.0
/* Where the vectors of cpu_opv_bench have to run. */
#include "cpu_opv_bench.h"

#define ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define REMOTE	"/proc/sys/kernel/cpu_opv_remote"

static void write_setting(const char *path, const char *text)
{
	if (!bench_write(path, text))
		err(1, "%s", path);
}

static void take_offline(void)
{
	write_setting(ONLINE, "0");
}

static void take_online(void)
{
	write_setting(ONLINE, "1");
	usleep(10000);
}

static void start_migrate(void)
{
	write_setting(REMOTE, "migrate");
	start_thread();
}

static void stop_migrate(void)
{
	stop_thread();
	write_setting(REMOTE, "interrupt");
}

const struct place places[] = {
	{ "local", PLACE_LOCAL, HOME, MAX_SAMPLES, NULL, NULL },
	{ "idle", PLACE_IDLE, AWAY, 200, NULL, NULL },
	{ "busy-own", PLACE_BUSY, AWAY, 200, start_thread, stop_thread },
	{ "busy-other", PLACE_BUSY, AWAY, 200, start_process, stop_process },
	{ "offline", PLACE_OFFLINE, AWAY, MAX_SAMPLES, take_offline, take_online },
	{ "migrate", PLACE_MIGRATE, AWAY, 100, start_migrate, stop_migrate },
};

const size_t nr_places = NR_ELEMS(places);
