/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Restartable sequences for the tests, and their descriptors as librseq and the kernel's selftests
 * leave them for debuggers.
 */
#include <linux/rseq.h>
#include <stdbool.h>

#define SIGNATURE	0x53053053

/* If this is still CPU cpu and *p is expect, adds count to it. Tried again when aborted. */
static inline __attribute__((always_inline)) bool add_if(struct rseq *area, long *p, long expect,
							 long count, unsigned int cpu)
{
again:
	asm goto(".pushsection __rseq_cs, \"aw\"\n\t"
		 ".balign 32\n"
		 "3:\n\t"
		 ".long 0, 0\n\t"
		 ".quad 1f, 2f - 1f, 4f\n\t"
		 ".popsection\n\t"
		 ".pushsection __rseq_cs_ptr_array, \"aw\"\n\t"
		 ".quad 3b\n\t"
		 ".popsection\n\t"
		 ".pushsection __rseq_exit_point_array, \"aw\"\n\t"
		 ".quad 1f, %l[differs]\n\t"
		 ".popsection\n\t"
		 ".pushsection __rseq_failure, \"ax\"\n\t"
		 ".byte 0x0f, 0xb9, 0x3d\n\t"
		 ".long 0x53053053\n"
		 "4:\n\t"
		 "jmp %l[again]\n\t"
		 ".popsection\n\t"
		 "leaq 3b(%%rip), %%rax\n\t"
		 "movq %%rax, 8(%[rseq])\n"
		 "1:\n\t"
		 "cmpl %[id], 4(%[rseq])\n\t"
		 "jne 4b\n\t"
		 "cmpq %[old], %[v]\n\t"
		 "jne %l[differs]\n\t"
		 "addq %[by], %[v]\n"
		 "2:\n\t"
		 :
		 : [rseq] "D" (area), [id] "r" (cpu), [v] "m" (*p), [old] "r" (expect),
		   [by] "r" (count)
		 : "memory", "cc", "rax"
		 : again, differs);
	return true;
differs:
	return false;
}

/* In libsections.so. */
bool library_add(struct rseq *area, long *p, long expect, long count, unsigned int cpu);
