/* SPDX-License-Identifier: GPL-2.0 */
/* A spin whose instructions can be counted wherever it ends, on x86-64. */

/* For the descriptor of the spin itself: no address of another one. */
#define SPIN_SECTION	1

/*
 * Spins for @n instructions with @cs in rseq_abi::rseq_cs, and returns how many others were executed
 * from start to end. If the spin is a section and is aborted, *@aborted, it ends at once.
 *
 * One instruction counts itself: "loop". The way from an abort to the end is as long as from the
 * loop's own end.
 */
static __attribute__((noinline))
uint64_t spin(struct rseq_abi *rseq, uint64_t cs, uint64_t n, bool *aborted)
{
	uint64_t left = n, start, end;

	__asm__ __volatile__(
		".pushsection __rseq_cs, \"aw\"\n\t"
		".balign 32\n"
		"3:	.long 0, 0\n\t"
		".quad 1f, 2f - 1f, 4f\n\t"
		".popsection\n\t"
		"leaq 3b(%%rip), %%rax\n\t"
		"cmpq %[spin_section], %[cs]\n\t"
		"cmoveq %%rax, %[cs]\n\t"
		"rdtsc\n\t"
		"shlq $32, %%rdx\n\t"
		"orq %%rdx, %%rax\n\t"
		"movq %%rax, %[start]\n\t"
		"movq %[cs], %[rseq_cs]\n"
		"1:	loop 1b\n"
		"2:	jmp 5f\n\t"
		".byte 0x0f, 0xb9, 0x3d\n\t"	/* ud1, as in rseq-x86.h */
		".long %c[sig]\n"
		"4:	nop\n"
		"5:	rdtsc\n\t"
		"shlq $32, %%rdx\n\t"
		"orq %%rdx, %%rax\n\t"
		"movq $0, %[rseq_cs]\n\t"
		: [rseq_cs] "+m" (rseq->rseq_cs.ptr64), [start] "=&r" (start), "=&a" (end),
		  [cs] "+&r" (cs), "+&c" (left)
		: [spin_section] "i" (SPIN_SECTION), [sig] "i" (RSEQ_BENCH_SIG)
		: "rdx", "cc", "memory");
	*aborted = left > 0;
	return end - start - (n - left);
}
