// SPDX-License-Identifier: GPL-2.0
/* The critical section that is fuzzed: x86-64 and i386. */
#include "fuzz.h"

#define STR_(x)	#x
#define STR(x)	STR_(x)

#define LABEL(name)	".globl " #name "\n" #name ":\n"
#define SIGNATURE(sig)	".byte 0x0f, 0xb9, 0x3d\n.long " STR(sig) "\n"

/* An abort target: tells by its result that it was reached. */
#define TARGET(name, code)	LABEL(name) "movl $" #code ", %eax\n jmp fuzz_out\n"

#ifdef __x86_64__
/* %rdi: area, %rsi: descriptor, %edx: trigger, %rcx: struct fuzz */
# define FUZZ		"%r8"
# define ENTER		"movq %rcx, %r8\n movq %rsi, 8(%rdi)\n"
# define SYSCALL	"movl 8(%r8), %eax\n syscall\n"
# define LOAD		"movq 16(%r8), %rax\n"
# define LOAD_NOW	"movb (%rax), %al\n"
#else
# define FUZZ		"%esi"
# define ENTER		"pushl %esi\n movl 8(%esp), %eax\n movl 24(%esp), %esi\n"	\
			"movl 20(%esp), %edx\n movl 16(%esp), %ecx\n"			\
			"movl %ecx, 12(%eax)\n movl 12(%esp), %ecx\n movl %ecx, 8(%eax)\n"
# define SYSCALL	"movl 8(%esi), %eax\n int $0x80\n"
# define LOAD		"movl 16(%esi), %eax\n"
# define LOAD_NOW	"movb (%eax), %al\n"
#endif

#ifdef __x86_64__
# define LEAVE		"ret\n"
#else
# define LEAVE		"popl %esi\n ret\n"
#endif

asm(".text\n"
	".p2align 6\n"
	SIGNATURE(RSEQ_SIG)
	TARGET(fuzz_abort_low, 2)
	LABEL(fuzz_enter)
	ENTER
	LABEL(fuzz_start)
	"movl $1, (" FUZZ ")\n"
	"cmpl $1, %edx\n je fuzz_ud2\n"
	"cmpl $2, %edx\n je fuzz_int3\n"
	"cmpl $3, %edx\n je 3f\n"
	"cmpl $4, %edx\n je 4f\n"
	"cmpl $5, %edx\n je 5f\n"
	"jmp fuzz_commit\n"
	LABEL(fuzz_ud2)
	"ud2\n"
	"jmp fuzz_commit\n"
	LABEL(fuzz_int3)
	"int3\n"
	LABEL(fuzz_after_int3)
	"jmp fuzz_commit\n"
	"3:" SYSCALL
	LABEL(fuzz_syscall)
	"jmp fuzz_commit\n"
	"4:" LOAD
	LABEL(fuzz_load)
	LOAD_NOW
	"jmp fuzz_commit\n"
	SIGNATURE(RSEQ_SIG)
	TARGET(fuzz_abort_inside, 3)
	/* Whoever interrupts it finds it here, and it ends by itself. */
	"5: movl 12(" FUZZ "), %ecx\n"
	LABEL(fuzz_spin)
	"loop fuzz_spin\n"
	LABEL(fuzz_commit)
	"xorl %eax, %eax\n"
	LABEL(fuzz_out)
	"movl $1, 4(" FUZZ ")\n"
	LEAVE
	SIGNATURE(RSEQ_SIG)
	TARGET(fuzz_abort, 1)
	SIGNATURE(0)
	TARGET(fuzz_abort_zero, 4)
	LABEL(fuzz_text_end)
	"nop\n");

extern char fuzz_abort_low[], fuzz_after_int3[], fuzz_syscall[], fuzz_load[];
extern char fuzz_abort_inside[], fuzz_out[], fuzz_text_end[];

static const struct label labels[] = {
	{ "abort_low", fuzz_abort_low },
	{ "enter", (const char *)fuzz_enter },
	{ "start", fuzz_start },
	{ "ud2", fuzz_ud2 },
	{ "int3", fuzz_int3 },
	{ "after_int3", fuzz_after_int3 },
	{ "syscall", fuzz_syscall },
	{ "load", fuzz_load },
	{ "abort_inside", fuzz_abort_inside },
	{ "spin", fuzz_spin },
	{ "commit", fuzz_commit },
	{ "out", fuzz_out },
	{ "abort", fuzz_abort },
	{ "abort_zero", fuzz_abort_zero },
	{ "end", fuzz_text_end },
};

unsigned long fuzz_label(struct rng *r)
{
	return (unsigned long)pick(r, labels).addr;
}

const char *fuzz_ip_name(unsigned long ip)
{
	for (size_t i = 0; i < NR_SLOTS; i++) {
		if (slot_page[i] && ip - (unsigned long)slot_page[i] < 4096)
			return "data";
	}
	return label_name(labels, ARRAY_LEN(labels), ip);
}

/* Where the section is when the trigger's event happens. */
unsigned long fuzz_trigger_ip(int trigger)
{
	static const char *const at[NR_TRIGGERS] = {
		fuzz_commit, fuzz_ud2, fuzz_after_int3, fuzz_syscall, fuzz_load, fuzz_spin,
	};

	return (unsigned long)at[trigger];
}
