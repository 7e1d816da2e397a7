// SPDX-License-Identifier: GPL-2.0
/*
 * Parity cases: critical section descriptors, good and bad, met by a signal, by
 * a preemption and by a system call.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parity.h"

/* Values that are known at run time only: a base and an offset. */
enum base {
	ABSOLUTE,
	AT_IP,		/* where the event happens */
	AT_SECTION,	/* the section's first instruction */
	AT_ABORT,
	AT_ABORT_LOW,
	AT_ABORT_INSIDE,
	AT_ABORT_NOSIG,
	AT_DATA,	/* behind a signature in memory that holds no code */
	AT_TASK_SIZE,
	AT_CS,		/* the descriptor */
	TO_COMMIT,	/* lengths: from start_ip to ... */
	TO_IP,
	TO_ABORT,
	TO_TASK_SIZE,
};

struct value {
	enum base base;
	int64_t off;
};

/* What the kernel makes of a descriptor. */
enum verdict {
	CLEAR,
	ABORT,
	/* SIGSEGV, if the event is inside of the section; its handler is outside. */
	DIE,
	/* SIGSEGV, wherever the task is. */
	DIE_ANYWHERE,
	/* The abort target is data, and jumping there is the program's fault. */
	ABORT_TO_DATA,
};

enum access {
	AS_IT_IS,
	READ_ONLY,
	NO_ACCESS,
	NOT_PRESENT,		/* has to be faulted in */
};

struct spec {
	const char *name;
	struct value start, len, abort;
	enum verdict normal, debug;
	uint32_t version, flags;
	struct value ptr;	/* what rseq_cs holds; 0: the descriptor's address */
	int offset;		/* of the descriptor in its page */
	enum access access;	/* to the descriptor's page */
	uint32_t sig;		/* added to the signature registered */
	int target;		/* section_result of ABORT */
};

#define SECTION		{ AT_SECTION, 0 }
#define WHOLE		{ TO_COMMIT, 0 }
#define TARGET		{ AT_ABORT, 0 }
#define TARGET_LOW	{ AT_ABORT_LOW, 0 }
#define LOW		.target = SECTION_ABORT_LOW
#define VALID		SECTION, WHOLE, TARGET
#define FOUR_G		(1LL << 32)

static const struct spec specs[] = {
	/* name, start_ip, post_commit_offset, abort_ip, verdict, verdict in debug mode */
	{ "valid", VALID, ABORT, ABORT },
	{ "abort_before", SECTION, WHOLE, TARGET_LOW, ABORT, ABORT, LOW },

	/* Where the event is relative to the section. */
	{ "ip_first", { AT_IP, 0 }, { ABSOLUTE, 1 }, TARGET, ABORT, ABORT },
	{ "ip_last", { AT_IP, -4 }, { TO_IP, 1 }, TARGET, ABORT, ABORT },
	{ "ip_before", { AT_IP, 1 }, { ABSOLUTE, 8 }, TARGET, CLEAR, CLEAR },
	{ "ip_behind", { AT_IP, -4 }, { TO_IP, 0 }, TARGET, CLEAR, CLEAR },
	{ "len_0", { AT_IP, 0 }, { ABSOLUTE, 0 }, TARGET, CLEAR, CLEAR },
	{ "start_0", { ABSOLUTE, 0 }, { TO_COMMIT, 0 }, TARGET, ABORT, ABORT },
	{ "start_0_len_0", { ABSOLUTE, 0 }, { ABSOLUTE, 0 }, { ABSOLUTE, 0 }, CLEAR, CLEAR },
	{ "all_0xff", { ABSOLUTE, -1 }, { ABSOLUTE, -1 }, { ABSOLUTE, -1 }, DIE_ANYWHERE,
	  DIE_ANYWHERE },

	/* Sections that leave user space, or wrap around. */
	{ "start_kernel", { ABSOLUTE, -0x1000 }, { ABSOLUTE, 8 }, TARGET, CLEAR, DIE_ANYWHERE },
	{ "start_task_size", { AT_TASK_SIZE, 0 }, { ABSOLUTE, 1 }, TARGET, CLEAR, DIE_ANYWHERE },
	{ "start_below_task_size", { AT_TASK_SIZE, -1 }, { ABSOLUTE, 1 }, TARGET, CLEAR, CLEAR },
	{ "start_wraps", { ABSOLUTE, -0x1000 }, { AT_IP, 0x1001 }, TARGET_LOW, ABORT,
	  DIE_ANYWHERE, LOW },
	{ "start_wraps_short", { ABSOLUTE, -0x1000 }, { AT_IP, 0x1000 }, TARGET_LOW, CLEAR,
	  DIE_ANYWHERE },
	{ "start_4g", { AT_SECTION, FOUR_G }, { ABSOLUTE, 256 }, TARGET, CLEAR,
	  BITS64 ? CLEAR : DIE_ANYWHERE },
	{ "len_all", { ABSOLUTE, 0 }, { ABSOLUTE, -1 }, TARGET, ABORT, DIE_ANYWHERE },
	{ "len_wraps", { AT_IP, -4 }, { ABSOLUTE, -1 }, TARGET_LOW, ABORT, DIE, LOW },
	{ "len_sign", { AT_IP, -4 }, { ABSOLUTE, INT64_MIN }, TARGET_LOW, ABORT, DIE, LOW },
	{ "len_to_task_size", { AT_IP, -4 }, { TO_TASK_SIZE, 0 }, TARGET_LOW, ABORT, DIE, LOW },
	{ "len_below_task_size", { AT_IP, -4 }, { TO_TASK_SIZE, -1 }, TARGET_LOW, ABORT, ABORT,
	  LOW },
	{ "len_4g", SECTION, { TO_COMMIT, FOUR_G }, TARGET_LOW, ABORT, BITS64 ? ABORT : DIE,
	  LOW },

	/* Abort targets. */
	{ "abort_at_end", SECTION, { TO_ABORT, 0 }, TARGET, ABORT, ABORT },
	{ "abort_last_byte", SECTION, { TO_ABORT, 1 }, TARGET, ABORT, DIE },
	{ "abort_is_start", TARGET_LOW, WHOLE, TARGET_LOW, ABORT, DIE, LOW },
	{ "abort_inside", SECTION, WHOLE, { AT_ABORT_INSIDE, 0 }, ABORT, DIE,
	  .target = SECTION_ABORT_INSIDE },
	{ "abort_no_signature", SECTION, WHOLE, { AT_ABORT_NOSIG, 0 }, DIE, DIE },
	{ "abort_beside_signature", SECTION, WHOLE, { AT_ABORT, 1 }, DIE, DIE },
	{ "abort_other_signature", VALID, DIE, DIE, .sig = 1 },
	{ "abort_data", SECTION, WHOLE, { AT_DATA, 0 }, ABORT_TO_DATA, ABORT_TO_DATA },
	{ "abort_0", SECTION, WHOLE, { ABSOLUTE, 0 }, DIE, DIE },
	{ "abort_1", SECTION, WHOLE, { ABSOLUTE, 1 }, DIE, DIE },
	{ "abort_2", SECTION, WHOLE, { ABSOLUTE, 2 }, DIE, DIE },
	{ "abort_3", SECTION, WHOLE, { ABSOLUTE, 3 }, DIE, DIE },
	{ "abort_4", SECTION, WHOLE, { ABSOLUTE, 4 }, DIE, DIE },
	{ "abort_not_mapped", SECTION, WHOLE, { ABSOLUTE, 0x1000 }, DIE, DIE },
	{ "abort_below_task_size", SECTION, WHOLE, { AT_TASK_SIZE, -1 }, DIE, DIE },
	{ "abort_task_size", SECTION, WHOLE, { AT_TASK_SIZE, 0 }, DIE, DIE },
	{ "abort_task_size_4", SECTION, WHOLE, { AT_TASK_SIZE, 4 }, DIE, DIE },
	{ "abort_page_behind", SECTION, WHOLE, { AT_TASK_SIZE, 0x1000 }, DIE, DIE },
	{ "abort_4g", SECTION, WHOLE, { AT_ABORT, FOUR_G }, DIE, DIE },
	{ "abort_non_canonical", SECTION, WHOLE, { ABSOLUTE, 1LL << 62 }, DIE, DIE },
	{ "abort_sign", SECTION, WHOLE, { AT_ABORT, INT64_MIN }, DIE, DIE },
	{ "abort_kernel_text", SECTION, WHOLE, { ABSOLUTE, (int64_t)0xffffffff81000000ULL }, DIE,
	  DIE },
	{ "abort_kernel_data", SECTION, WHOLE, { ABSOLUTE, (int64_t)0xffff888000000000ULL }, DIE,
	  DIE },
	{ "abort_last", SECTION, WHOLE, { ABSOLUTE, -1 }, DIE, DIE },
	{ "abort_bad_but_outside", { AT_IP, 1 }, { ABSOLUTE, 8 }, { ABSOLUTE, -1 }, CLEAR, CLEAR },

	/* Version and flags. */
	{ "version_1", VALID, ABORT, DIE, .version = 1 },
	{ "version_max", VALID, ABORT, DIE, .version = UINT32_MAX },
	{ "flag_no_preempt", VALID, ABORT, DIE, .flags = 1 },
	{ "flag_no_signal", VALID, ABORT, DIE, .flags = 2 },
	{ "flag_no_migrate", VALID, ABORT, DIE, .flags = 4 },
	{ "flag_sign", VALID, ABORT, DIE, .flags = 0x80000000 },
	{ "version_1_outside", { AT_IP, 1 }, { ABSOLUTE, 8 }, TARGET, CLEAR, CLEAR, .version = 1 },

	/* The descriptor's own address. */
	{ "cs_unaligned", VALID, ABORT, ABORT, .offset = 1 },
	{ "cs_last_bytes", VALID, ABORT, ABORT, .offset = -32 },
	{ "cs_read_only", VALID, ABORT, ABORT, .access = READ_ONLY },
	{ "cs_not_present", VALID, ABORT, ABORT, .access = NOT_PRESENT },
	{ "cs_prot_none", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .access = NO_ACCESS },
	{ "cs_crosses_end", VALID, DIE_ANYWHERE, DIE, .offset = -16 },
	{ "cs_crosses_end_outside", { AT_IP, 1 }, WHOLE, TARGET, DIE_ANYWHERE, CLEAR,
	  .offset = -16 },
	{ "cs_crosses_abort", VALID, DIE_ANYWHERE, DIE, .offset = -24 },
	{ "cs_not_mapped", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { AT_CS, 0x1000 } },
	{ "cs_8", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { ABSOLUTE, 8 } },
	{ "cs_task_size", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { AT_TASK_SIZE, 0 } },
	{ "cs_below_task_size", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { AT_TASK_SIZE, -32 } },
	{ "cs_1_below_task_size", VALID, DIE_ANYWHERE, DIE_ANYWHERE,
	  .ptr = { AT_TASK_SIZE, -1 } },
	{ "cs_page_behind", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { AT_TASK_SIZE, 0x1000 } },
	{ "cs_non_canonical", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { ABSOLUTE, 1LL << 62 } },
	{ "cs_high_bit", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { AT_CS, INT64_MIN } },
	{ "cs_bit_56", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { AT_CS, 1LL << 56 } },
	{ "cs_kernel_text", VALID, DIE_ANYWHERE, DIE_ANYWHERE,
	  .ptr = { ABSOLUTE, (int64_t)0xffffffff81000000ULL } },
	{ "cs_kernel_data", VALID, DIE_ANYWHERE, DIE_ANYWHERE,
	  .ptr = { ABSOLUTE, (int64_t)0xffff888000000000ULL } },
	{ "cs_last", VALID, DIE_ANYWHERE, DIE_ANYWHERE, .ptr = { ABSOLUTE, -1 } },
};

static const enum trigger triggers[] = { TRIGGER_UD2, TRIGGER_SPIN, TRIGGER_SYSCALL };
static const char *const trigger_names[] = { "signal", "preempt", "syscall" };

static unsigned char *data_target(void)
{
	return cs_page + 1024 + 4;
}

static uint64_t resolve(struct value v, uint64_t ip, uint64_t start, uint64_t cs)
{
	switch (v.base) {
	case ABSOLUTE:
		return v.off;
	case AT_IP:
		return ip + v.off;
	case AT_SECTION:
		return (unsigned long)parity_cs_start + v.off;
	case AT_ABORT:
		return (unsigned long)parity_abort + v.off;
	case AT_ABORT_LOW:
		return (unsigned long)parity_abort_low + v.off;
	case AT_ABORT_INSIDE:
		return (unsigned long)parity_abort_inside + v.off;
	case AT_ABORT_NOSIG:
		return (unsigned long)parity_abort_nosig + v.off;
	case AT_DATA:
		return (unsigned long)data_target() + v.off;
	case AT_TASK_SIZE:
		return facts.task_size + v.off;
	case AT_CS:
		return cs + v.off;
	case TO_COMMIT:
		return (unsigned long)parity_cs_commit - start + v.off;
	case TO_IP:
		return ip - start + v.off;
	case TO_ABORT:
		return (unsigned long)parity_abort - start + v.off;
	case TO_TASK_SIZE:
		return facts.task_size - start + v.off;
	}
	return 0;
}

static void child_section(const struct test_case *tc)
{
	const struct spec *s = tc->arg;
	int page = getpagesize(), trigger = tc->num[0];
	uint64_t ip = trigger_ip(trigger), start, ptr;
	struct rseq_abi_cs cs = { 0 };
	unsigned char *at = cs_page + (s->offset < 0 ? page + s->offset : s->offset);
	size_t size = s->offset < 0 && -s->offset < (int)sizeof(cs) ? -s->offset : sizeof(cs);
	uint32_t sig = RSEQ_SIG;

	memcpy(data_target() - sizeof(sig), &sig, sizeof(sig));
	start = resolve(s->start, ip, 0, 0);
	cs.version = s->version;
	cs.flags = s->flags;
	cs.start_ip = start;
	cs.post_commit_offset = resolve(s->len, ip, start, 0);
	cs.abort_ip = resolve(s->abort, ip, start, 0);
	memcpy(at, &cs, size);
	ptr = (unsigned long)at;
	if (s->ptr.base != ABSOLUTE || s->ptr.off)
		ptr = resolve(s->ptr, ip, start, (unsigned long)at);
	run->cs = ptr;

	poison_area();
	expect("register", sys_rseq(area(), cfg->len, cfg->flags, RSEQ_SIG + s->sig), 0);
	poison_slice();
	if (s->access == NOT_PRESENT)
		madvise(cs_page, page, MADV_DONTNEED);
	else if (s->access != AS_IT_IS)
		mprotect(cs_page, page, s->access == READ_ONLY ? PROT_READ : PROT_NONE);
	expect_text("section", section_name(parity_cs_enter(alias(), ptr, trigger, run)),
		    section_name(tc->num[1]));
	/* Only a system call outside of debug mode leaves the descriptor alone. */
	expect_text("rseq_cs", alias()->rseq_cs.ptr64 ? "set" : "cleared",
		    trigger == TRIGGER_SYSCALL && !cfg->debug ? "set" : "cleared");
}

static void get_section(size_t i, struct test_case *tc)
{
	const struct spec *s = &specs[i / ARRAY_LEN(triggers)];
	size_t t = i % ARRAY_LEN(triggers);
	enum verdict v = cfg->debug ? s->debug : s->normal;
	bool syscall = triggers[t] == TRIGGER_SYSCALL;
	/* The handler of SIGSEGV is in a section that starts at 0. */
	bool anywhere = v == DIE_ANYWHERE || (s->start.base == ABSOLUTE && !s->start.off);

	/* Slice extensions make no difference; nor do system calls, without checks. */
	if (i >= ARRAY_LEN(triggers) && (cfg->slice || (syscall && !cfg->debug)))
		return;
	snprintf(tc->name, sizeof(tc->name), "%s.%s", s->name, trigger_names[t]);
	tc->child = child_section;
	tc->arg = s;
	tc->num[0] = triggers[t];
	tc->num[1] = SECTION_COMMIT;
	tc->drive = triggers[t] == TRIGGER_SPIN ? DRIVE_PREEMPT : DRIVE_WAIT;
	tc->fixups = 0;
	tc->end = END_OK;
	if ((syscall && !cfg->debug) || v == CLEAR)
		return;
	/* A system call in a section is never restarted. */
	if (v == ABORT && !syscall) {
		tc->num[1] = s->target ?: SECTION_ABORT;
		tc->fixups = 1;
		return;
	}
	tc->fixups = v == ABORT_TO_DATA && !syscall;
	/* v1 looks at the descriptor again on the way to the handler of SIGSEGV. */
	tc->end = anywhere && !cfg->v2 ? END_KILLED : END_CAUGHT;
}

const struct test_group section_group = {
	"section", ARRAY_LEN(specs) * ARRAY_LEN(triggers), get_section
};
