// SPDX-License-Identifier: GPL-2.0
/*
 * Parity cases: the area is taken away, protected or scribbled on after it was
 * registered, and then something happens that makes the kernel use it.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parity.h"

enum damage { UNMAP, NO_ACCESS, READ_ONLY, NOT_PRESENT, NR_DAMAGES };

enum event {
	EVENT_SIGNAL,	/* in user mode, by an exception */
	EVENT_PREEMPT,	/* in user mode, by an interrupt; comes back on the same CPU */
	EVENT_MIGRATE,	/* the same, comes back on another CPU */
	EVENT_UPDATE,	/* in a system call: a failing execve(2) forces an update of the IDs */
	EVENT_RAISE,	/* a signal in a system call */
	EVENT_SYSCALL,	/* a system call that does nothing */
	NR_EVENTS,
};

static const char *const damage_names[] = { "unmap", "prot_none", "read_only", "not_present" };
static const char *const event_names[] = {
	"signal", "preempt", "migrate", "update", "raise", "syscall",
};

/* An executable that execve(2) opens and then rejects. */
static int garbage_fd(void)
{
	int fd = syscall(__NR_memfd_create, "garbage", 0);

	if (write(fd, "garbage\n", 8) != 8)
		return -1;
	return fd;
}

static void happen(enum event event, int fd, bool active)
{
	char *const argv[] = { "garbage", NULL };
	int trigger = event == EVENT_SIGNAL ? TRIGGER_UD2 : TRIGGER_SPIN;
	uint64_t cs = active ? (unsigned long)valid_cs() : 0;

	switch (event) {
	case EVENT_UPDATE:
		alias()->rseq_cs.ptr64 = cs;
		note("exec", "%d",
		     result(syscall(__NR_execveat, fd, "", argv, NULL, 0x1000 /* AT_EMPTY_PATH */)));
		break;
	case EVENT_RAISE:
		alias()->rseq_cs.ptr64 = cs;
		note("raise", "%d", result(syscall(__NR_tgkill, getpid(), getpid(), SIGUSR1)));
		break;
	case EVENT_SYSCALL:
		trigger = TRIGGER_SYSCALL;
		/* fall through */
	default:
		note("section", "%s", section_name(parity_cs_enter(alias(), cs, trigger, run)));
	}
	note_area("after");
}

static enum drive drive_of(enum event event)
{
	if (event == EVENT_PREEMPT)
		return DRIVE_PREEMPT;
	if (event == EVENT_MIGRATE)
		return DRIVE_MIGRATE;
	return DRIVE_WAIT;
}

static void child_damage(const struct test_case *tc)
{
	int fd = garbage_fd(), page = getpagesize();

	valid_cs();
	register_area();
	switch ((enum damage)tc->num[0]) {
	case UNMAP:
		munmap(area_page, page);
		break;
	case NO_ACCESS:
		mprotect(area_page, page, PROT_NONE);
		break;
	case READ_ONLY:
		mprotect(area_page, page, PROT_READ);
		break;
	default:
		madvise(area_page, page, MADV_DONTNEED);
		break;
	}
	happen(tc->num[1], fd, tc->num[2]);
}

/*
 * SIGSEGV finds a v2 task in peace: its handler runs. v1 updates the area again
 * on the way to the handler, fails again, and that is the end.
 */
static const char *death(void)
{
	return cfg->v2 ? END_CAUGHT : END_KILLED;
}

static const char *end_of_damage(enum damage damage, enum event event, bool active)
{
	bool readable = damage == READ_ONLY;
	bool preempted = event == EVENT_PREEMPT || event == EVENT_MIGRATE;

	/* Not damaged at all; but a system call in a section is fatal in debug mode. */
	if (damage == NOT_PRESENT)
		return event == EVENT_SYSCALL && active && cfg->debug ? END_CAUGHT : END_OK;
	/* The check behind a system call: the one that does the damage is fatal. */
	if (cfg->debug && !readable)
		return death();
	/* It cannot be seen whether a slice extension is wanted, and so on. */
	if (preempted && !readable && cfg->slice && facts.slice_key)
		return END_KILLED;
	switch (event) {
	case EVENT_SIGNAL:
		return readable && !active && cfg->v2 ? END_OK : death();
	case EVENT_PREEMPT:
		if (!readable || active || !cfg->v2 || facts.slice_key)
			return death();
		/* Nothing to write, if the kernel does not check. */
		return cfg->debug ? NULL : END_OK;
	case EVENT_UPDATE:
		return cfg->debug && active ? END_KILLED : death();
	case EVENT_RAISE:
		return cfg->v2 && !(cfg->debug && active) ? END_OK : death();
	case EVENT_SYSCALL:
		return cfg->debug && active ? death() : END_OK;
	default:
		return death();
	}
}

static void get_area(size_t i, struct test_case *tc)
{
	enum damage damage = i / (2 * NR_EVENTS);
	enum event event = i / 2 % NR_EVENTS;
	bool active = i % 2;

	snprintf(tc->name, sizeof(tc->name), "%s.%s%s", damage_names[damage], event_names[event],
		 active ? ".in_section" : "");
	tc->child = child_damage;
	tc->num[0] = damage;
	tc->num[1] = event;
	tc->num[2] = active;
	tc->drive = drive_of(event);
	tc->end = end_of_damage(damage, event, active);
	tc->fixups = damage == NOT_PRESENT && active &&
		     (event == EVENT_SIGNAL || event == EVENT_PREEMPT || event == EVENT_MIGRATE);
}

const struct test_group area_group = { "area", NR_DAMAGES * NR_EVENTS * 2, get_area };

/* ---- fields that only the kernel may write ---- */

enum field { CPU_ID_START, CPU_ID, NODE_ID, MM_CID, FLAGS, SLICE_CTRL, RESERVED, NR_FIELDS };

static const struct {
	const char *name;
	size_t offset;
	bool checked;	/* against what the kernel wrote last */
} fields[] = {
	[CPU_ID_START] = { "cpu_id_start", 0, true },
	[CPU_ID] = { "cpu_id", 4, true },
	[NODE_ID] = { "node_id", 20, true },
	[MM_CID] = { "mm_cid", 24, true },
	[FLAGS] = { "flags", 16, false },
	[SLICE_CTRL] = { "slice_ctrl", 28, false },
	[RESERVED] = { "reserved", 32, false },
};

static void child_field(const struct test_case *tc)
{
	int fd = garbage_fd();

	valid_cs();
	register_area();
	/* Requests no slice extension: the low byte is clear. */
	*(volatile uint32_t *)((unsigned char *)alias() + fields[tc->num[0]].offset) = 0x77777700;
	happen(tc->num[1], fd, tc->num[2]);
}

static const char *end_of_field(enum field field, enum event event, bool active)
{
	if (event == EVENT_SYSCALL && active && cfg->debug)
		return fields[field].checked ? death() : END_CAUGHT;
	if (event == EVENT_SYSCALL || !fields[field].checked)
		return END_OK;
	if (!cfg->v2)
		return cfg->debug ? END_KILLED : END_OK;
	if (event == EVENT_MIGRATE || event == EVENT_UPDATE)
		return END_CAUGHT;
	/* The IDs do not change, so the kernel need not look at them. */
	return event == EVENT_PREEMPT && cfg->debug && !active ? NULL : END_OK;
}

static void get_field(size_t i, struct test_case *tc)
{
	enum field field = i / (2 * NR_EVENTS);
	enum event event = i / 2 % NR_EVENTS;
	bool active = i % 2;

	snprintf(tc->name, sizeof(tc->name), "%s.%s%s", fields[field].name, event_names[event],
		 active ? ".in_section" : "");
	tc->child = child_field;
	tc->num[0] = field;
	tc->num[1] = event;
	tc->num[2] = active;
	tc->drive = drive_of(event);
	tc->end = end_of_field(field, event, active);
	tc->fixups = -1;
}

const struct test_group ids_group = { "ids", NR_FIELDS * NR_EVENTS * 2, get_field };
