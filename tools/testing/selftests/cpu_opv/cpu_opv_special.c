// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): device memory and other mappings that are not for it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#ifndef __NR_memfd_secret
#define __NR_memfd_secret	447
#endif

/* Code and data that the kernel maps into all programs. */
static void vdso(struct arena *a)
{
	unsigned long code = getauxval(AT_SYSINFO_EHDR);
	struct cpu_op op = cpu_op_memcpy(a->mem, (void *)code, 4);
	uint64_t data, end;

	if (!code) {
		skip("the kernel maps no vDSO");
		return;
	}
	check_operands(a, code, false, true);
	check_operands(a, code + 0x200, false, true);
	if (find_mapping("[vvar]", &data, &end))
		check_operands(a, data, false, true);
	expect("read of the vDSO", call(&op, 1, target_cpu(), 0), 0);
	memcpy(a->model, "\177ELF", 4);
	arena_check(a, "copy of the vDSO");
}

void test_fault_vdso(void)
{
	on_arena(vdso);
}

/* A ROM, and registers of which a read may have effects. */
static void device(struct arena *a)
{
	static const off_t addrs[] = { 0xf0000, 0xc0000, (off_t)0xfec00000u };
	int mem = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	uint64_t start, end;
	bool tested = false;

	/* Clocks of hypervisors: page frames, even if there is nothing behind them. */
	if (find_mapping("[vvar_vclock]", &start, &end)) {
		check_operands(a, start, true, true);
		tested = true;
	}
	for (size_t i = 0; mem >= 0 && i < ARRAY_LEN(addrs); i++) {
		/* Same as mmap(), but the offset does not have to fit in a long. */
		void *p = mmap64(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, mem,
				 addrs[i] & 0xffffffff);

		if (p == MAP_FAILED) {
			comment("cannot map /dev/mem at %#llx", (unsigned long long)addrs[i]);
			continue;
		}
		check_operands(a, cpu_op_ptr(p), true, true);
		munmap(p, page_size);
		tested = true;
	}
	if (mem >= 0)
		close(mem);
	else
		comment("no /dev/mem");
	if (!tested)
		skip("no mapping of device memory");
}

void test_fault_device(void)
{
	on_arena(device);
}

/* Pages that the kernel itself has no mapping of. */
static void secret(struct arena *a)
{
	int fd = syscall(__NR_memfd_secret, 0);
	unsigned char *pages = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, 2 * page_size))
		pages = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pages == MAP_FAILED) {
		skip("no secret memory: errno %d", errno);
	} else {
		memset(pages, 0x5a, page_size);
		check_operands(a, cpu_op_ptr(pages), true, true);
		check_operands(a, cpu_op_ptr(pages + page_size), true, true);
		for (size_t i = 0; i < page_size; i++) {
			if (pages[i] != 0x5a) {
				fail("byte %zu of secret memory was changed", i);
				break;
			}
		}
	}
	if (fd >= 0)
		close(fd);
}

void test_fault_secret(void)
{
	on_arena(secret);
}

/*
 * A page of zeroes that would have to be copied, so that what another thread
 * writes is seen. The caller may not write it: it must not be told to try again.
 */
static void not_touched(struct arena *a, int key)
{
	void *zeroes = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cpu_op op = cpu_op_memcpy(a->mem, zeroes, 8);

	if (zeroes == MAP_FAILED || pkey_mprotect(zeroes, page_size, PROT_READ | PROT_WRITE, key)) {
		fail("page with a key: errno %d", errno);
		return;
	}
	check_op(a, op, -EFAULT);
	op.u.memcpy_op.expect_fault_src = 1;
	check_op(a, op, -EAGAIN);
	munmap(zeroes, page_size);
}

/* The caller's protection keys count. */
static void keys(struct arena *a)
{
	int key = pkey_alloc(0, 0);
	struct cpu_op read = cpu_op_memcpy(a->mem, a->mem + 3 * page_size, 100);

	if (key < 0) {
		skip("no protection keys: errno %d", errno);
		return;
	}
	if (pkey_mprotect(a->mem + 3 * page_size, page_size, PROT_READ | PROT_WRITE, key)) {
		fail("pkey_mprotect: errno %d", errno);
		return;
	}
	pkey_set(key, PKEY_DISABLE_WRITE);
	not_touched(a, key);
	check_operands(a, cpu_op_ptr(a->mem + 3 * page_size), false, true);
	check_op(a, read, 0);
	pkey_set(key, 0);
	check_operands(a, 0x1000, true, true);
	check_op(a, cpu_op_memcpy(a->mem + 3 * page_size, a->mem, 100), 0);
	/* Memory is looked at when that is possible again. */
	pkey_set(key, PKEY_DISABLE_ACCESS);
	expect("read without the key", call(&read, 1, target_cpu(), 0), -EFAULT);
	read.u.memcpy_op.expect_fault_src = 1;
	expect("read that may fail", call(&read, 1, target_cpu(), 0), -EAGAIN);
	for (int type = CPU_ADD_OP; type < CPU_MB_OP; type++) {
		struct cpu_op op = valid_op(type, a->mem + 3 * page_size, NULL, 8);

		expect("write without the key", call(&op, 1, target_cpu(), 0), -EFAULT);
	}
	pkey_set(key, 0);
	arena_check(a, "memory without the key");
}

void test_fault_keys(void)
{
	on_arena(keys);
}
