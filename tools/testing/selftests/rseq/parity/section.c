// SPDX-License-Identifier: GPL-2.0
/* The critical section of the parity tests: x86-64 and i386. */
#include "parity.h"

#define STR_(x)	#x
#define STR(x)	STR_(x)

#define LABEL(name)	".globl " #name "\n" #name ":\n"
#define SIGNATURE	".byte 0x0f, 0xb9, 0x3d\n.long " STR(RSEQ_SIG) "\n"

/* An abort target: tells by its result that it was reached. */
#define TARGET(name, code)	LABEL(name) "movl $" #code ", %eax\n jmp parity_cs_out\n"

#ifdef __x86_64__
/* %rdi: area, %rsi: descriptor, %edx: trigger, %rcx: struct run */
# define RUN		"%r8"
# define TRIGGER	"%edx"
# define ENTER		"movq %rcx, %r8\n movq %rsi, 8(%rdi)\n"
# define GETPID		"movl $39, %eax\n syscall\n"
# define LOAD_ADDRESS	"movq 8(%r8), %rax\n"
# define LOAD		"movb (%rax), %al\n"
#else
/*
 * The same on the stack. The descriptor's low word is stored last, right before the
 * section: the kernel clears a descriptor that it sees outside of its section, and
 * with single-stepping it sees it at every instruction.
 */
# define RUN		"%ecx"
# define TRIGGER	"16(%esp)"
# define ENTER		"movl 4(%esp), %eax\n movl 20(%esp), %ecx\n"	\
			"movl 12(%esp), %edx\n movl %edx, 12(%eax)\n"	\
			"movl 8(%esp), %edx\n movl %edx, 8(%eax)\n"
# define GETPID		"movl $20, %eax\n int $0x80\n"
# define LOAD_ADDRESS	"movl 8(%ecx), %eax\n"
# define LOAD		"movb (%eax), %al\n"
#endif

/*
 * The signal handler's entry is the lowest address, so that it lies before
 * every section that starts at or after parity_abort_low.
 */
asm(".text\n"
	".p2align 6\n"
	LABEL(parity_handler)
	"jmp parity_on_signal\n"
	SIGNATURE
	TARGET(parity_abort_low, 2)
	LABEL(parity_cs_enter)
	ENTER
	LABEL(parity_cs_start)
	"cmpl $3, " TRIGGER "\n je 3f\n"
	"movl $1, (" RUN ")\n"
	"cmpl $1, " TRIGGER "\n je parity_cs_ud2\n"
	"cmpl $2, " TRIGGER "\n je 2f\n"
	"cmpl $4, " TRIGGER "\n je 4f\n"
	"jmp parity_cs_commit\n"
	LABEL(parity_cs_ud2)
	"ud2\n"
	"jmp parity_cs_commit\n"
	"2:" GETPID
	LABEL(parity_cs_syscall)
	"jmp parity_cs_commit\n"
	"4:" LOAD_ADDRESS
	LABEL(parity_cs_load)
	LOAD
	"jmp parity_cs_commit\n"
	SIGNATURE
	TARGET(parity_abort_inside, 3)
	/* Whoever waits for the section to begin finds it at this one instruction. */
	"3: movl $1, (" RUN ")\n"
	LABEL(parity_cs_spin)
	"jmp parity_cs_spin\n"
	LABEL(parity_cs_commit)
	"xorl %eax, %eax\n"
	LABEL(parity_cs_out)
	"movl $1, 4(" RUN ")\n"
	"ret\n"
	SIGNATURE
	TARGET(parity_abort, 1)
	".long 0\n"
	TARGET(parity_abort_nosig, 4)
	LABEL(parity_text_end)
	"nop\n");

extern char parity_text_end[];

static const struct label labels[] = {
	{ "handler", parity_handler },
	{ "abort_low", parity_abort_low },
	{ "start", parity_cs_start },
	{ "ud2", parity_cs_ud2 },
	{ "syscall", parity_cs_syscall },
	{ "load", parity_cs_load },
	{ "abort_inside", parity_abort_inside },
	{ "spin", parity_cs_spin },
	{ "commit", parity_cs_commit },
	{ "abort", parity_abort },
	{ "abort_nosig", parity_abort_nosig },
	{ "end", parity_text_end },
};

/* An instruction pointer as the last label at or before it; the last of them is the end. */
const char *label_name(const struct label *labels, size_t nr, unsigned long ip)
{
	static char buf[48];
	unsigned long end = (unsigned long)labels[nr - 1].addr;

	for (size_t i = nr - 1; i-- > 0;) {
		unsigned long addr = (unsigned long)labels[i].addr;

		if (ip < addr || ip >= end)
			continue;
		if (ip == addr)
			return labels[i].name;
		snprintf(buf, sizeof(buf), "%s+%lu", labels[i].name, ip - addr);
		return buf;
	}
	return "elsewhere";
}

const char *ip_name(unsigned long ip)
{
	if (ip >= (unsigned long)cs_page && ip < (unsigned long)cs_page + getpagesize())
		return "data";
	return label_name(labels, ARRAY_LEN(labels), ip);
}

/* Where the section is when the trigger's event happens. */
unsigned long trigger_ip(int trigger)
{
	switch (trigger) {
	case TRIGGER_UD2:
		return (unsigned long)parity_cs_ud2;
	case TRIGGER_SYSCALL:
		return (unsigned long)parity_cs_syscall;
	case TRIGGER_LOAD:
		return (unsigned long)parity_cs_load;
	default:
		return (unsigned long)parity_cs_spin;
	}
}

const char *section_name(int result)
{
	static const char *const names[] = {
		"commit", "abort", "abort_low", "abort_inside", "abort_nosig",
	};

	return result >= 0 && (size_t)result < ARRAY_LEN(names) ? names[result] : "?";
}

/* A descriptor of the section that the kernel must accept. */
struct rseq_abi_cs *valid_cs(void)
{
	struct rseq_abi_cs *cs = (struct rseq_abi_cs *)cs_page;

	memset(cs, 0, sizeof(*cs));
	cs->start_ip = (unsigned long)parity_cs_start;
	cs->post_commit_offset = (unsigned long)(parity_cs_commit - parity_cs_start);
	cs->abort_ip = (unsigned long)parity_abort;
	run->cs = (unsigned long)cs;
	return cs;
}

/* Run the section with a valid descriptor. */
void expect_section(int trigger, int want)
{
	uint64_t cs = (unsigned long)valid_cs();
	int res = parity_cs_enter(alias(), cs, trigger, run);

	expect_text("section", section_name(res), section_name(want));
}
