/* SPDX-License-Identifier: GPL-2.0 */
/* Counting instructions on x86-64, see bench.h. */

/* Under -icount the time stamp counter is the number of instructions executed so far. */
static __always_inline uint64_t bench_count(void)
{
	uint32_t low, high;

	__asm__ __volatile__("rdtsc" : "=a" (low), "=d" (high) : : "memory");
	return low | (uint64_t)high << 32;
}

/* Instructions counted around @n executions of one instruction. */
static inline uint64_t bench_loop(uint64_t n)
{
	uint64_t start = bench_count();

	__asm__ __volatile__("1: loop 1b" : "+c" (n));
	return bench_count() - start;
}

/* Lets QEMU go on with another CPU. */
static inline void bench_relax(void)
{
	__asm__ __volatile__("pause" : : : "memory");
}

/* A system call without the C library's instructions around it. */
static __always_inline
long bench_syscall(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ __volatile__("syscall" : "=a" (ret) : "0" (nr), "D" (a), "S" (b), "d" (c), "r" (r10)
			     : "rcx", "r11", "memory");
	return ret;
}
