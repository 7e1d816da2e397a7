// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): the states that the target CPU of random vectors can be in, what the kernel
 * has to count there, and a thread that gets in the way.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu_opv_ways.h"

#include "../kselftest.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

const struct way ways[NR_WAYS] = {
	{ THIS_CPU, false },
	{ IDLE, false }, { IDLE, true },
	{ BUSY_OWN, false }, { BUSY_OWN, true },
	{ BUSY_OTHER, false }, { BUSY_OTHER, true },
	{ OFFLINE, false }, { OFFLINE, true },
};

struct way_stats way_stats[NR_WAYS];

static struct way_stats at_begin;
static enum cpu_state current_state;
static struct spinner other;
static pthread_t own;
static volatile int own_runs, own_stops;
static int masked = -1;		/* how the caller's mask was set last */

const char *way_name(const struct way *way, char *buf, size_t size)
{
	static const char *const states[] = {
		"this CPU", "idle CPU", "CPU with a thread of this process",
		"CPU with another process", "offline CPU",
	};

	snprintf(buf, size, "%s, %s", states[way->state], way->migrate ? "migrate" : "interrupt");
	return buf;
}

/* ---- the target ---- */

static void *spin(void *arg)
{
	pin(0, cpus[0]);
	__atomic_store_n(&own_runs, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&own_stops, __ATOMIC_RELAXED))
		;
	return NULL;
}

static bool state_begin(enum cpu_state state)
{
	switch (state) {
	case BUSY_OWN:
		own_runs = 0;
		own_stops = 0;
		return !pthread_create(&own, NULL, spin, NULL) && wait_until(&own_runs, 1);
	case BUSY_OTHER:
		return spinner_start(&other, cpus[0], SCHED_OTHER);
	case OFFLINE:
		return !set_online(cpus[0], false);
	default:
		return true;
	}
}

static void state_end(enum cpu_state state)
{
	switch (state) {
	case BUSY_OWN:
		own_stops = 1;
		pthread_join(own, NULL);
		break;
	case BUSY_OTHER:
		spinner_stop(&other);
		break;
	case OFFLINE:
		set_online(cpus[0], true);
		break;
	default:
		break;
	}
}

static void read_way_stats(struct way_stats *s)
{
	s->local = read_stat("local");
	s->locked = read_stat("locked");
	s->interrupted = read_stat("interrupted");
	s->migrated = read_stat("migrated");
	s->in_place = read_stat("in_place");
	s->pinned = read_stat("pinned");
}

/* Ways with the same state have to follow one another. */
bool way_begin(const struct way *way)
{
	masked = -1;
	way_target(way, true);
	if (way->state != current_state) {
		state_end(current_state);
		current_state = THIS_CPU;
		if (!state_begin(way->state))
			return false;
		current_state = way->state;
	}
	if (write_setting(REMOTE, way->migrate ? "migrate" : "interrupt"))
		return false;
	read_way_stats(&at_begin);
	return true;
}

void way_end(const struct way *way)
{
	struct way_stats now, *s = &way_stats[way - ways];

	read_way_stats(&now);
	s->local += now.local - at_begin.local;
	s->locked += now.locked - at_begin.locked;
	s->interrupted += now.interrupted - at_begin.interrupted;
	s->migrated += now.migrated - at_begin.migrated;
	s->in_place += now.in_place - at_begin.in_place;
	s->pinned += now.pinned - at_begin.pinned;
}

void ways_end(void)
{
	state_end(current_state);
	current_state = THIS_CPU;
}

int way_target(const struct way *way, bool pinned)
{
	cpu_set_t set;

	pinned |= way->state == THIS_CPU;
	if (masked != pinned || current_cpu() != cpus[1]) {
		pin(0, cpus[1]);
		if (!pinned) {
			CPU_ZERO(&set);
			CPU_SET(cpus[0], &set);
			CPU_SET(cpus[1], &set);
			sched_setaffinity(0, sizeof(set), &set);
		}
		masked = pinned;
	}
	return cpus[way->state == THIS_CPU];
}

/* ---- what the kernel counted ---- */

static void expect_share(const char *way, const char *name, long got, long of, long percent)
{
	if (of * percent / 100 > got)
		fail("%s: %s: %ld of %ld vectors", way, name, got, of);
}

static void judge(int nr)
{
	const struct way_stats *s = &way_stats[nr];
	const struct way *way = &ways[nr];
	char name[80];

	way_name(way, name, sizeof(name));
	ksft_print_msg("%s: %ld local, %ld locked, %ld interrupted, %ld migrated; %ld in place, %ld pinned\n",
		       name, s->local, s->locked, s->interrupted, s->migrated, s->in_place,
		       s->pinned);
	if (!s->ran)
		fail("%s: nothing ran", name);
	if (way->state == THIS_CPU)
		expect_share(name, "local", s->local, s->ran, 100);
	else if (way->state == OFFLINE)
		expect_share(name, "locked", s->locked, s->ran, 100);
	else if (way->state == IDLE)
		expect_share(name, "locked", s->locked, s->ran, 50);
	else if (way->migrate)
		expect_share(name, "migrated", s->migrated, s->unpinned, 20);
	else
		expect_share(name, "interrupted", s->interrupted, s->ran, 25);
	if (way->state == THIS_CPU)
		expect_share(name, "in place", s->in_place, s->eligible, 90);
	if (way->state == BUSY_OWN && !way->migrate)
		expect_share(name, "in place", s->in_place, s->eligible, 50);
	if (!s->pinned || (!s->in_place && way->state != BUSY_OTHER))
		fail("%s: in place %ld, pinned %ld", name, s->in_place, s->pinned);
}

void ways_judge(void)
{
	for (int i = 0; i < NR_WAYS; i++)
		judge(i);
	nothing_held();
}

/* ---- a thread that gets in the way ---- */

static pthread_t rival;
static volatile int rival_stops;

static void map_again(struct region *r)
{
	/* The view is of the same file, at its start. */
	if (mremap(r->view, 0, REGION_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, r->mem) != r->mem)
		fail("mremap: errno %d", errno);
}

static void get_in_the_way(int what, struct region *r)
{
	pid_t pid;

	switch (what) {
	case 0:
		mprotect(r->mem, REGION_BYTES, PROT_NONE);
		break;
	case 1:
		mprotect(r->mem, REGION_BYTES, PROT_READ);
		break;
	case 2:
		mprotect(r->mem, REGION_BYTES, PROT_READ | PROT_WRITE);
		break;
	case 3:
		munmap(r->mem, REGION_BYTES);
		break;
	case 4:
		map_again(r);
		break;
	case 5:
		madvise(r->mem, REGION_BYTES, MADV_DONTNEED);
		break;
	case 6:
		for (int i = 0; i < READ_ONLY; i++) {
			if (regions[i].available && !regions[i].closed && i != RIVAL)
				madvise(regions[i].mem, REGION_BYTES, MADV_PAGEOUT);
		}
		break;
	default:
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}

/*
 * In between, operands are accessible again, lest no call gets on. What it was told is over when it
 * has stopped: the last thing is a mapping as at the start.
 */
static void *disturb(void *arg)
{
	static const int program[] = { 0, 2, 1, 2, 5, 3, 4, 6, 0, 2, 3, 4, 7, 1, 2 };

	pin(0, cpus[nr_cpus > 2 ? 2 : 1]);
	while (!rival_stops) {
		for (size_t i = 0; i < ARRAY_LEN(program); i++) {
			get_in_the_way(program[i], &regions[RIVAL]);
			if (i % 3 == 0)
				usleep(50);
		}
	}
	return NULL;
}

bool rivals_start(void)
{
	rival_stops = 0;
	return !pthread_create(&rival, NULL, disturb, NULL);
}

void rivals_stop(void)
{
	rival_stops = 1;
	pthread_join(rival, NULL);
}
