/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cpu_opv(2) for programs: the call itself, vectors for what per-CPU data
 * structures need, and one operation each to put together others.
 */
#ifndef CPU_OP_H
#define CPU_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/cpu_opv.h>

/* The addresses in struct cpu_op are integers of 64 bits. */
static inline __u64 cpu_op_ptr(const volatile void *p)
{
	return (uintptr_t)p;
}

static inline struct cpu_op cpu_op_eq(const volatile void *a, const volatile void *b, size_t len)
{
	return (struct cpu_op) {
		.op = CPU_COMPARE_EQ_OP, .len = len,
		.u.compare_op = { .a = cpu_op_ptr(a), .b = cpu_op_ptr(b) },
	};
}

static inline struct cpu_op cpu_op_ne(const volatile void *a, const volatile void *b, size_t len)
{
	struct cpu_op op = cpu_op_eq(a, b, len);

	op.op = CPU_COMPARE_NE_OP;
	return op;
}

static inline struct cpu_op cpu_op_memcpy(volatile void *dst, const volatile void *src, size_t len)
{
	return (struct cpu_op) {
		.op = CPU_MEMCPY_OP, .len = len,
		.u.memcpy_op = { .dst = cpu_op_ptr(dst), .src = cpu_op_ptr(src) },
	};
}

static inline struct cpu_op cpu_op_plus(volatile void *p, int64_t count, size_t len)
{
	return (struct cpu_op) {
		.op = CPU_ADD_OP, .len = len,
		.u.arithmetic_op = { .p = cpu_op_ptr(p), .count = count },
	};
}

/* @type: CPU_OR_OP, CPU_AND_OP or CPU_XOR_OP */
static inline
struct cpu_op cpu_op_bitwise(enum cpu_op_type type, volatile void *p, uint64_t mask, size_t len)
{
	return (struct cpu_op) {
		.op = type, .len = len,
		.u.bitwise_op = { .p = cpu_op_ptr(p), .mask = mask },
	};
}

/* @type: CPU_LSHIFT_OP or CPU_RSHIFT_OP */
static inline
struct cpu_op cpu_op_shift(enum cpu_op_type type, volatile void *p, uint32_t bits, size_t len)
{
	return (struct cpu_op) {
		.op = type, .len = len,
		.u.shift_op = { .p = cpu_op_ptr(p), .bits = bits },
	};
}

static inline struct cpu_op cpu_op_mb(void)
{
	return (struct cpu_op) { .op = CPU_MB_OP };
}

/*
 * The system call: 0, or the number of the comparison that stopped the vector,
 * counted from 1, or -1 with errno. So do all functions below.
 */
int cpu_opv(struct cpu_op *vec, int cnt, int cpu, unsigned int flags);

/* Whether the kernel has it, and has it for concurrency IDs. */
bool cpu_op_available(void);
bool cpu_op_mm_cid_available(void);

/*
 * With @flags: for the CPU @index if they are 0, for the concurrency ID @index if
 * they are CPU_OP_MM_CID_FLAG. All of them again without, for a CPU, are below.
 */

/* Copies *@v to *@old; if it equals *@expect, copies *@n to *@v, else returns 2. */
int cpu_op_cmpxchg_flags(void *v, void *expect, void *old, void *n, size_t len, int index,
			 unsigned int flags);

/* Adds @count, of which the low @len bytes matter. */
int cpu_op_add_flags(void *v, int64_t count, size_t len, int index, unsigned int flags);
int cpu_op_addv_flags(intptr_t *v, int64_t count, int index, unsigned int flags);

/* Stores @newv if *@v equals @expect, else returns 1. */
int cpu_op_cmpeqv_storev_flags(intptr_t *v, intptr_t expect, intptr_t newv, int index,
			       unsigned int flags);

/*
 * Unless *@v equals @expectnot (then returns 1), loads it to *@load, and stores
 * to *@v what is at *@v + @voffp: takes the first node off a list. Others may
 * take it at the same time, and unmap it.
 */
int cpu_op_cmpnev_storeoffp_load_flags(intptr_t *v, intptr_t expectnot, long voffp, intptr_t *load,
				       int index, unsigned int flags);

/* If *@v equals @expect, stores @newv2 to *@v2, then @newv to *@v; else returns 1. */
int cpu_op_cmpeqv_storev_storev_flags(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
				      intptr_t newv, int index, unsigned int flags);
/* The same with a memory barrier between the stores. */
int cpu_op_cmpeqv_storev_mb_storev_flags(intptr_t *v, intptr_t expect, intptr_t *v2,
					 intptr_t newv2, intptr_t newv, int index,
					 unsigned int flags);

/* Stores @newv if *@v equals @expect, else returns 1, and *@v2 equals @expect2, else 2. */
int cpu_op_cmpeqv_cmpeqv_storev_flags(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t expect2,
				      intptr_t newv, int index, unsigned int flags);

/* If *@v equals @expect, copies @len bytes, then stores @newv; else returns 1. */
int cpu_op_cmpeqv_memcpy_storev_flags(intptr_t *v, intptr_t expect, void *dst, void *src,
				      size_t len, intptr_t newv, int index, unsigned int flags);
/* The same with a memory barrier between copy and store. */
int cpu_op_cmpeqv_memcpy_mb_storev_flags(intptr_t *v, intptr_t expect, void *dst, void *src,
					 size_t len, intptr_t newv, int index,
					 unsigned int flags);

/* ---- for a CPU ---- */

static inline
int cpu_op_cmpxchg(void *v, void *expect, void *old, void *n, size_t len, int cpu)
{
	return cpu_op_cmpxchg_flags(v, expect, old, n, len, cpu, 0);
}

static inline int cpu_op_add(void *v, int64_t count, size_t len, int cpu)
{
	return cpu_op_add_flags(v, count, len, cpu, 0);
}

static inline int cpu_op_addv(intptr_t *v, int64_t count, int cpu)
{
	return cpu_op_addv_flags(v, count, cpu, 0);
}

static inline int cpu_op_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t newv, int cpu)
{
	return cpu_op_cmpeqv_storev_flags(v, expect, newv, cpu, 0);
}

static inline
int cpu_op_cmpnev_storeoffp_load(intptr_t *v, intptr_t expectnot, long voffp, intptr_t *load,
				 int cpu)
{
	return cpu_op_cmpnev_storeoffp_load_flags(v, expectnot, voffp, load, cpu, 0);
}

static inline
int cpu_op_cmpeqv_storev_storev(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
				intptr_t newv, int cpu)
{
	return cpu_op_cmpeqv_storev_storev_flags(v, expect, v2, newv2, newv, cpu, 0);
}

static inline
int cpu_op_cmpeqv_storev_mb_storev(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t newv2,
				   intptr_t newv, int cpu)
{
	return cpu_op_cmpeqv_storev_mb_storev_flags(v, expect, v2, newv2, newv, cpu, 0);
}

static inline
int cpu_op_cmpeqv_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t *v2, intptr_t expect2,
				intptr_t newv, int cpu)
{
	return cpu_op_cmpeqv_cmpeqv_storev_flags(v, expect, v2, expect2, newv, cpu, 0);
}

static inline
int cpu_op_cmpeqv_memcpy_storev(intptr_t *v, intptr_t expect, void *dst, void *src, size_t len,
				intptr_t newv, int cpu)
{
	return cpu_op_cmpeqv_memcpy_storev_flags(v, expect, dst, src, len, newv, cpu, 0);
}

static inline
int cpu_op_cmpeqv_memcpy_mb_storev(intptr_t *v, intptr_t expect, void *dst, void *src, size_t len,
				   intptr_t newv, int cpu)
{
	return cpu_op_cmpeqv_memcpy_mb_storev_flags(v, expect, dst, src, len, newv, cpu, 0);
}

#endif /* CPU_OP_H */
