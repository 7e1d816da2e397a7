/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_CPU_OPV_H
#define _UAPI_LINUX_CPU_OPV_H

/*
 * linux/cpu_opv.h
 *
 * CPU operation vector system call API: a short list of operations on memory
 * of the caller, run while no other user code runs on a given CPU. See
 * cpu_opv(2).
 */

#include <linux/types.h>

/* Operations in a vector. Prefer to ask with CPU_OP_VEC_LEN_MAX_FLAG. */
#define CPU_OP_VEC_LEN_MAX		16
/* Bytes of the arguments of an operation. */
#define CPU_OP_ARG_LEN_MAX		24
/* Bytes that a comparison or a copy can have. */
#define CPU_OP_DATA_LEN_MAX		4096
/* Bytes in a vector, the sum of @len: one long operation, words in all others. */
#define CPU_OP_VEC_DATA_LEN_MAX		\
	(CPU_OP_DATA_LEN_MAX + (CPU_OP_VEC_LEN_MAX - 1) * 8)

/**
 * enum cpu_op_type - What an operation does
 * @CPU_COMPARE_EQ_OP:	Stop unless the @len bytes at a and b are equal
 * @CPU_COMPARE_NE_OP:	Stop if the @len bytes at a and b are equal
 * @CPU_MEMCPY_OP:	Copy @len bytes from src to dst, which may overlap
 * @CPU_ADD_OP:		Add count to the word at p
 * @CPU_OR_OP:		Set the bits of mask in the word at p
 * @CPU_AND_OP:		Clear all bits but those of mask in the word at p
 * @CPU_XOR_OP:		Invert the bits of mask in the word at p
 * @CPU_LSHIFT_OP:	Shift the word at p to the left by bits, zeroes come in
 * @CPU_RSHIFT_OP:	Shift the word at p to the right by bits, zeroes come in
 * @CPU_MB_OP:		Full memory barrier; has no arguments
 * @NR_CPU_OPS:		Number of operations that this header knows
 *
 * Comparisons and copies have 0 to CPU_OP_DATA_LEN_MAX bytes. A word has 1, 2,
 * 4 or 8 bytes, naturally aligned.
 */
enum cpu_op_type {
	CPU_COMPARE_EQ_OP,
	CPU_COMPARE_NE_OP,
	CPU_MEMCPY_OP,
	CPU_ADD_OP,
	CPU_OR_OP,
	CPU_AND_OP,
	CPU_XOR_OP,
	CPU_LSHIFT_OP,
	CPU_RSHIFT_OP,
	CPU_MB_OP,
	NR_CPU_OPS,
};

/**
 * struct cpu_op - One operation
 * @op:		What it does, of enum cpu_op_type
 * @len:	Its size in bytes
 * @u:		Its arguments. Addresses are user addresses, as integers, and
 *		may have tags. An expect_fault byte that is not 0 tells that the
 *		access to that operand may fail, because the address is a guess:
 *		the call then fails with EAGAIN instead of EFAULT, but for
 *		memory errors of the hardware that it meets in pinned pages
 *
 * All bytes that an operation does not use must be 0. They have names, so that
 * an initializer that does not mention them clears them: it need not do that
 * to padding. Same layout for 32-bit and 64-bit programs.
 */
struct cpu_op {
	__s32 op;
	__u32 len;
	union {
		struct {
			__u64 a;
			__u64 b;
			__u8 expect_fault_a;
			__u8 expect_fault_b;
			__u8 __reserved[6];
		} compare_op;
		struct {
			__u64 dst;
			__u64 src;
			__u8 expect_fault_dst;
			__u8 expect_fault_src;
			__u8 __reserved[6];
		} memcpy_op;
		struct {
			__u64 p;
			__s64 count;
			__u8 expect_fault_p;
			__u8 __reserved[7];
		} arithmetic_op;
		struct {
			__u64 p;
			__u64 mask;
			__u8 expect_fault_p;
			__u8 __reserved[7];
		} bitwise_op;
		struct {
			__u64 p;
			__u32 bits;
			__u8 expect_fault_p;
			__u8 __reserved[11];
		} shift_op;
		char __padding[CPU_OP_ARG_LEN_MAX];
	} u;
};

/**
 * enum cpu_opv_flags - Flags of cpu_opv(2)
 * @CPU_OP_NR_FLAG:		Return the number of operations that the kernel
 *				knows; all else is ignored
 * @CPU_OP_VEC_LEN_MAX_FLAG:	Return how many a vector can have; all else is
 *				ignored
 * @CPU_OP_FLAGS_FLAG:		Return all flags that the kernel knows; all else is
 *				ignored
 * @CPU_OP_MM_CID_FLAG:		Run the vector for a concurrency ID of the address
 *				space, as in struct rseq, instead of for a CPU
 *
 * They cannot be combined.
 */
enum cpu_opv_flags {
	CPU_OP_NR_FLAG		= (1U << 0),
	CPU_OP_VEC_LEN_MAX_FLAG	= (1U << 1),
	CPU_OP_FLAGS_FLAG	= (1U << 2),
	CPU_OP_MM_CID_FLAG	= (1U << 3),
};

#endif /* _UAPI_LINUX_CPU_OPV_H */
