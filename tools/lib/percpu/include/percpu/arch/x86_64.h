/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/*
 * The sequences for x86-64. Each returns 0 if its last store was made, > 0 if a comparison failed
 * (the number of it), -1 if it was aborted or the thread has another index.
 *
 * All have the same operands:
 *   area	of the thread; its rseq_cs is stored to
 *   field	where its index is: cpu_id or mm_cid in area
 *   index	what it should be
 *
 * "?" in the flags of a linker section: what belongs to a function that the linker drops, such as
 * the second copy of an inline function of C++, is dropped with it.
 *
 * %rax is for the address of the descriptor, then for whatever the sequence needs.
 */
#ifndef PERCPU_ARCH_X86_64_H
#define PERCPU_ARCH_X86_64_H

/* Stands before each abort address, as the operand of an invalid instruction: ud1. */
#define PERCPU_SIG	0x53053053

/* 3: the descriptor, 1: the start, 2: the end, 4: the abort address. */
#define PERCPU_ASM_BEGIN						\
	".pushsection __rseq_cs, \"aw?\"\n\t"				\
	".balign 32\n"							\
	"3:\n\t"							\
	".long 0, 0\n\t"						\
	".quad 1f, 2f - 1f, 4f\n\t"					\
	".popsection\n\t"						\
	".pushsection __rseq_cs_ptr_array, \"aw?\"\n\t"			\
	".quad 3b\n\t"							\
	".popsection\n\t"						\
	"leaq 3b(%%rip), %%rax\n\t"					\
	"movq %%rax, %[rseq_cs]\n"					\
	"1:\n\t"							\
	"cmpl %[index], %[field]\n\t"					\
	"jne 4f\n\t"

#define PERCPU_ASM_END							\
	"2:\n\t"							\
	".pushsection __rseq_failure, \"ax?\"\n\t"			\
	".byte 0x0f, 0xb9, 0x3d\n\t"					\
	".long 0x53053053\n"						\
	"4:\n\t"							\
	"jmp %l[aborted]\n\t"						\
	".popsection"

/* For debuggers: the sequence that follows can jump to @label. */
#define PERCPU_ASM_EXIT(label)						\
	".pushsection __rseq_exit_point_array, \"aw?\"\n\t"		\
	".quad 1f, %l[" #label "]\n\t"					\
	".popsection\n\t"

#define PERCPU_ASM_OPERANDS						\
	[rseq_cs] "m" (area->rseq_cs), [field] "m" (*field),		\
	[index] "r" ((uint32_t)index)

#define PERCPU_ASM_CLOBBERS	"memory", "cc", "rax"

static inline __attribute__((always_inline))
int percpu_seq_addv(struct percpu_area *area, const volatile uint32_t *field, intptr_t *v,
		    intptr_t count, int index)
{
	__asm__ __volatile__ goto(
		PERCPU_ASM_BEGIN
		"addq %[count], %[v]\n"
		PERCPU_ASM_END
		:
		: PERCPU_ASM_OPERANDS, [v] "m" (*v), [count] "er" (count)
		: PERCPU_ASM_CLOBBERS
		: aborted);
	return 0;
aborted:
	return -1;
}

static inline __attribute__((always_inline))
int percpu_seq_cmpeqv_storev(struct percpu_area *area, const volatile uint32_t *field,
			     intptr_t *v, intptr_t expect, intptr_t newv, int index)
{
	__asm__ __volatile__ goto(
		PERCPU_ASM_EXIT(differs)
		PERCPU_ASM_BEGIN
		"cmpq %[expect], %[v]\n\t"
		"jne %l[differs]\n\t"
		"movq %[newv], %[v]\n"
		PERCPU_ASM_END
		:
		: PERCPU_ASM_OPERANDS, [v] "m" (*v), [expect] "r" (expect), [newv] "r" (newv)
		: PERCPU_ASM_CLOBBERS
		: aborted, differs);
	return 0;
aborted:
	return -1;
differs:
	return 1;
}

static inline __attribute__((always_inline))
int percpu_seq_cmpnev_storeoffp_load(struct percpu_area *area, const volatile uint32_t *field,
				     intptr_t *v, intptr_t expectnot, long voffp,
				     intptr_t *load, int index)
{
	__asm__ __volatile__ goto(
		PERCPU_ASM_EXIT(equals)
		PERCPU_ASM_BEGIN
		"movq %[v], %%rax\n\t"
		"cmpq %[expectnot], %%rax\n\t"
		"je %l[equals]\n\t"
		"movq %%rax, %[load]\n\t"
		"movq (%%rax, %[voffp]), %%rax\n\t"
		"movq %%rax, %[v]\n"
		PERCPU_ASM_END
		:
		: PERCPU_ASM_OPERANDS, [v] "m" (*v), [expectnot] "r" (expectnot),
		  [voffp] "r" (voffp), [load] "m" (*load)
		: PERCPU_ASM_CLOBBERS
		: aborted, equals);
	return 0;
aborted:
	return -1;
equals:
	return 1;
}

static inline __attribute__((always_inline))
int percpu_seq_cmpeqv_storev_storev(struct percpu_area *area, const volatile uint32_t *field,
				    intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
				    intptr_t newv, int index)
{
	__asm__ __volatile__ goto(
		PERCPU_ASM_EXIT(differs)
		PERCPU_ASM_BEGIN
		"cmpq %[expect], %[v]\n\t"
		"jne %l[differs]\n\t"
		"movq %[newv2], %[v2]\n\t"
		"movq %[newv], %[v]\n"
		PERCPU_ASM_END
		:
		: PERCPU_ASM_OPERANDS, [v] "m" (*v), [expect] "r" (expect), [v2] "m" (*v2),
		  [newv2] "r" (newv2), [newv] "r" (newv)
		: PERCPU_ASM_CLOBBERS
		: aborted, differs);
	return 0;
aborted:
	return -1;
differs:
	return 1;
}

static inline __attribute__((always_inline))
int percpu_seq_cmpeqv_cmpeqv_storev(struct percpu_area *area, const volatile uint32_t *field,
				    intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t expect2,
				    intptr_t newv, int index)
{
	__asm__ __volatile__ goto(
		PERCPU_ASM_EXIT(differs)
		PERCPU_ASM_EXIT(differs2)
		PERCPU_ASM_BEGIN
		"cmpq %[expect], %[v]\n\t"
		"jne %l[differs]\n\t"
		"cmpq %[expect2], %[v2]\n\t"
		"jne %l[differs2]\n\t"
		"movq %[newv], %[v]\n"
		PERCPU_ASM_END
		:
		: PERCPU_ASM_OPERANDS, [v] "m" (*v), [expect] "r" (expect), [v2] "m" (*v2),
		  [expect2] "r" (expect2), [newv] "r" (newv)
		: PERCPU_ASM_CLOBBERS
		: aborted, differs, differs2);
	return 0;
aborted:
	return -1;
differs:
	return 1;
differs2:
	return 2;
}

static inline __attribute__((always_inline))
int percpu_seq_cmpeqv_memcpy_storev(struct percpu_area *area, const volatile uint32_t *field,
				    intptr_t *v, intptr_t expect, void *dst, const void *src,
				    size_t len, intptr_t newv, int index)
{
	__asm__ __volatile__ goto(
		PERCPU_ASM_EXIT(differs)
		PERCPU_ASM_BEGIN
		"cmpq %[expect], %[v]\n\t"
		"jne %l[differs]\n\t"
		"movq %[dst], %%rdi\n\t"
		"movq %[src], %%rsi\n\t"
		"movq %[len], %%rcx\n\t"
		"rep movsb\n\t"
		"movq %[newv], %[v]\n"
		PERCPU_ASM_END
		:
		: PERCPU_ASM_OPERANDS, [v] "m" (*v), [expect] "r" (expect), [dst] "rm" (dst),
		  [src] "rm" (src), [len] "rm" (len), [newv] "r" (newv)
		: PERCPU_ASM_CLOBBERS, "rcx", "rsi", "rdi"
		: aborted, differs);
	return 0;
aborted:
	return -1;
differs:
	return 1;
}

/* Stores are seen in the order in which they are made. */
#define percpu_seq_cmpeqv_storev_storev_release		percpu_seq_cmpeqv_storev_storev
#define percpu_seq_cmpeqv_memcpy_storev_release		percpu_seq_cmpeqv_memcpy_storev

#endif /* PERCPU_ARCH_X86_64_H */
