// SPDX-License-Identifier: GPL-2.0
/* Parity cases: trace events, their fields and the state of the task at that moment. */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parity.h"

#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCE	TRACEFS "/instances/parity"

static void note_format(const char *field, const char *path)
{
	char line[256];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		/* The number of an event depends on what else there is. */
		if (strncmp(line, "ID:", 3))
			note(field, "%s", line);
	}
	if (f)
		fclose(f);
	else
		note(field, "%d", -errno);
}

static unsigned long hex_after(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? strtoul(at + strlen(key), NULL, 0) : 0;
}

/* The events of this process, with names in the place of addresses and CPUs. */
static void note_trace(pid_t pid)
{
	char line[512], mine[32];
	FILE *f = fopen(INSTANCE "/trace", "re");

	snprintf(mine, sizeof(mine), "-%d ", pid);
	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, mine);

		if (!at || line[0] == '#')
			continue;
		if (strstr(line, "rseq_update:")) {
			at = strstr(line, "node_id=");
			note("rseq_update", "cpu_id=%s %.*s",
			     (int)hex_after(line, "cpu_id=") == facts.cpu_a ? "A" : "?",
			     (int)strcspn(at, "\n"), at);
		} else if (strstr(line, "rseq_ip_fixup:")) {
			char ip[48], start[48];

			snprintf(ip, sizeof(ip), "%s", ip_name(hex_after(line, "regs_ip=")));
			snprintf(start, sizeof(start), "%s", ip_name(hex_after(line, "start_ip=")));
			note("rseq_ip_fixup", "regs_ip=%s start_ip=%s length=%s abort_ip=%s", ip,
			     start, hex_after(line, "post_commit_offset=") ==
			     (unsigned long)(parity_cs_commit - parity_cs_start) ? "right" : "?",
			     ip_name(hex_after(line, "abort_ip=")));
		}
	}
	if (f)
		fclose(f);
}

static void child_trace(const struct test_case *tc)
{
	mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (access(TRACEFS "/events/rseq", F_OK)) {
		note("events", "%d", -errno);
		return;
	}
	note_format("format.rseq_update", TRACEFS "/events/rseq/rseq_update/format");
	note_format("format.rseq_ip_fixup", TRACEFS "/events/rseq/rseq_ip_fixup/format");
	mkdir(INSTANCE, 0700);
	expect("enable", write_file(INSTANCE "/events/rseq/enable", "1"), 1);
	register_area();
	expect_section(TRIGGER_UD2, SECTION_ABORT);
	expect("disable", write_file(INSTANCE "/events/rseq/enable", "0"), 1);
	note_trace(getpid());
	expect("rmdir", result(rmdir(INSTANCE)), 0);
}

/* ---- the state of the task at the moment of an event ---- */

#define STACK_BYTES	4096
#define RING_PAGES	8

/* Samples of one event of this thread, as perf delivers them. */
struct samples {
	struct perf_event_mmap_page *meta;
	char *data;
};

/* With PERF_SAMPLE_REGS_USER and PERF_SAMPLE_STACK_USER */
struct sample {
	struct perf_event_header header;
	uint64_t abi, sp, ip, stack_size;
	char stack[STACK_BYTES];
};

#define PERF_REG_SP	7
#define PERF_REG_IP	8

static bool sample_event(struct samples *s, const char *id_file)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = 1 << PERF_REG_SP | 1 << PERF_REG_IP,
		.sample_stack_user = STACK_BYTES,
	};
	FILE *f = fopen(id_file, "re");
	int id = -1, fd;

	if (f && fscanf(f, "%d", &id) != 1)
		id = -1;
	if (f)
		fclose(f);
	attr.config = id;
	fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
	note("perf", "%d", fd < 0 ? -errno : 0);
	if (fd < 0)
		return false;
	s->meta = mmap(NULL, (1 + RING_PAGES) * getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);
	s->data = (char *)s->meta + getpagesize();
	return s->meta != MAP_FAILED;
}

/* Returns false if there is no further one. */
static bool next_sample(struct samples *s, struct sample *to)
{
	size_t size = RING_PAGES * getpagesize();
	struct perf_event_header header;
	uint64_t at = s->meta->data_tail;

	if (at == s->meta->data_head)
		return false;
	memset(to, 0, sizeof(*to));
	memcpy(&header, s->data + at % size, sizeof(header));
	for (size_t i = 0; i < header.size && i < sizeof(*to); i++)
		((char *)to)[i] = s->data[(at + i) % size];
	s->meta->data_tail = at + header.size;
	return true;
}

/*
 * Where the task was, and what its area on the stack held, at each event. What an
 * event is about has happened, and nothing else: user mode continues at the abort
 * address when the event of the abort comes, and not before.
 */
static void note_states(const char *field, struct samples *s, const struct rseq_abi *a,
			unsigned long inside, bool aborted)
{
	struct sample sample;
	char text[256], ip[48];

	while (next_sample(s, &sample)) {
		size_t at = (unsigned long)a - sample.sp;
		struct rseq_abi held;

		if (sample.header.type != PERF_RECORD_SAMPLE || at > STACK_BYTES - AREA_BYTES) {
			note(field, "no area");
			continue;
		}
		memcpy(&held, sample.stack + at, sizeof(held));
		format_area(text, sizeof(text), &held);
		snprintf(ip, sizeof(ip), "%s", ip_name(sample.ip));
		note(field, "ip:%s %s", ip, text);
		if (aborted) {
			expect_text(field, ip, ip_name((unsigned long)parity_abort));
			continue;
		}
		expect_true(field, sample.ip != (unsigned long)parity_abort);
		if (sample.ip == inside)
			expect_text(field, held.rseq_cs.ptr64 ? "set" : "cleared", "set");
	}
}

/* num[0]: trigger */
static void child_states(const struct test_case *tc)
{
	/* On the stack, which samples show. */
	union {
		struct rseq_abi abi;
		unsigned char bytes[AREA_BYTES];
	} area __attribute__((aligned(64)));
	struct samples update, fixup;
	uint64_t cs = (unsigned long)valid_cs();

	mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (!sample_event(&update, TRACEFS "/events/rseq/rseq_update/id") ||
	    !sample_event(&fixup, TRACEFS "/events/rseq/rseq_ip_fixup/id"))
		return;
	memset(&area, POISON, sizeof(area));
	expect("register", sys_rseq(&area, cfg->len, cfg->flags, RSEQ_SIG), 0);
	/* No request of a slice extension */
	area.bytes[28] = 0;
	expect_text("section", section_name(parity_cs_enter(&area.abi, cs, tc->num[0], run)),
		    "abort");
	note_states("update", &update, &area.abi, trigger_ip(tc->num[0]), false);
	note_states("fixup", &fixup, &area.abi, 0, true);
	expect("unregister", sys_rseq(&area, cfg->len, FLAG_UNREGISTER, RSEQ_SIG), 0);
}

static const struct {
	const char *name;
	void (*child)(const struct test_case *tc);
	enum drive drive;
	int trigger;
} cases[] = {
	{ "abort", child_trace },
	{ "states.exception", child_states, DRIVE_WAIT, TRIGGER_UD2 },
	{ "states.preempt", child_states, DRIVE_PREEMPT, TRIGGER_SPIN },
	{ "states.migrate", child_states, DRIVE_MIGRATE, TRIGGER_SPIN },
	{ "states.signal", child_states, DRIVE_SIGNAL, TRIGGER_SPIN },
};

static void get_trace(size_t i, struct test_case *tc)
{
	snprintf(tc->name, sizeof(tc->name), "%s", cases[i].name);
	tc->child = cases[i].child;
	tc->drive = cases[i].drive;
	tc->num[0] = cases[i].trigger;
	tc->fixups = -1;
	tc->end = END_OK;
	tc->stats = i ? STATS_EXACT : STATS_NONE;
}

const struct test_group trace_group = { "trace", ARRAY_LEN(cases), get_trace };
