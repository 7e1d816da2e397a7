/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/* Vectors of cpu_opv(2), for operations that the library does not have. */
#ifndef PERCPU_CPU_OPV_H
#define PERCPU_CPU_OPV_H

#include <string.h>
#include <percpu/area.h>

#if defined(__has_include) && __has_include(<linux/cpu_opv.h>)
#include <linux/cpu_opv.h>
#else
#include <percpu/linux/cpu_opv.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Runs @vec for the CPU or the concurrency ID @index: see
 * cpu_opv(2). An empty one is a fence. -1 with ENOSYS where the library does not use cpu_opv.
 */
int percpu_opv(enum rseq_percpu_mode mode, struct cpu_op *vec, int cnt, int index);

/* All bytes that an operation does not use have to be 0. */
static inline struct cpu_op percpu_op_clear(enum cpu_op_type type, size_t len)
{
	struct cpu_op op;

	memset(&op, 0, sizeof(op));
	op.op = type;
	op.len = (__u32)len;
	return op;
}

/* @type: CPU_COMPARE_EQ_OP or CPU_COMPARE_NE_OP */
static inline struct cpu_op percpu_op_compare(enum cpu_op_type type, const volatile void *a,
					      const volatile void *b, size_t len)
{
	struct cpu_op op = percpu_op_clear(type, len);

	op.u.compare_op.a = (uintptr_t)a;
	op.u.compare_op.b = (uintptr_t)b;
	return op;
}

static inline struct cpu_op percpu_op_memcpy(volatile void *dst, const volatile void *src,
					     size_t len)
{
	struct cpu_op op = percpu_op_clear(CPU_MEMCPY_OP, len);

	op.u.memcpy_op.dst = (uintptr_t)dst;
	op.u.memcpy_op.src = (uintptr_t)src;
	return op;
}

static inline struct cpu_op percpu_op_add(volatile void *p, int64_t count, size_t len)
{
	struct cpu_op op = percpu_op_clear(CPU_ADD_OP, len);

	op.u.arithmetic_op.p = (uintptr_t)p;
	op.u.arithmetic_op.count = count;
	return op;
}

/* @type: CPU_OR_OP, CPU_AND_OP or CPU_XOR_OP */
static inline struct cpu_op percpu_op_bitwise(enum cpu_op_type type, volatile void *p,
					      uint64_t mask, size_t len)
{
	struct cpu_op op = percpu_op_clear(type, len);

	op.u.bitwise_op.p = (uintptr_t)p;
	op.u.bitwise_op.mask = mask;
	return op;
}

/* @type: CPU_LSHIFT_OP or CPU_RSHIFT_OP */
static inline struct cpu_op percpu_op_shift(enum cpu_op_type type, volatile void *p,
					    uint32_t bits, size_t len)
{
	struct cpu_op op = percpu_op_clear(type, len);

	op.u.shift_op.p = (uintptr_t)p;
	op.u.shift_op.bits = bits;
	return op;
}

static inline struct cpu_op percpu_op_mb(void)
{
	return percpu_op_clear(CPU_MB_OP, 0);
}

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_CPU_OPV_H */
