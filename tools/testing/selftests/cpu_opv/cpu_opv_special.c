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

/* What needs no pins gets on where the program itself would. */
static void device_in_place(struct arena *a, unsigned char *p)
{
	struct cpu_op op = cpu_op_memcpy(a->mem, p, 8);

	expect("word of device memory", call(&op, 1, target_cpu(), 0), 0);
	memcpy(a->model, p, 8);
	arena_check(a, "copy of device memory");
}

/* A ROM, and registers of which a read may have effects: no page can be pinned. */
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
		if (i < 2)
			device_in_place(a, p);
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

static void secret_in_place(struct arena *a, unsigned char *page)
{
	uint64_t *word = (uint64_t *)(page + 64), zero = 0;
	struct cpu_op vec[] = {
		cpu_op_eq(word, &zero, 8), cpu_op_mb(), cpu_op_plus(word, 42, 8),
	};
	struct cpu_op op = cpu_op_memcpy(a->mem, word, 8);

	expect("comparison and store in secret memory", call(vec, 3, target_cpu(), 0), 0);
	expect("again", call(vec, 3, target_cpu(), 0), 1);
	expect("word of secret memory", *word, 42);
	expect("copy from secret memory", call(&op, 1, target_cpu(), 0), 0);
	memcpy(a->model, word, 8);
	op = cpu_op_memcpy(word, a->mem + 8, 8);
	expect("copy to secret memory", call(&op, 1, target_cpu(), 0), 0);
	if (memcmp(word, a->model + 8, 8))
		fail("copy to secret memory: not the right word");
	arena_check(a, "copy of secret memory");
}

/* Pages that the kernel itself has no mapping of: they cannot be pinned. */
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
		secret_in_place(a, pages + page_size);
	}
	if (fd >= 0)
		close(fd);
}

void test_fault_secret(void)
{
	on_arena(secret);
}

/*
 * A page of zeroes, that the caller may not write. To read a word of it is fine.
 * If it has to be pinned, it may have to be copied before, so that what another
 * thread writes is seen: then it must not be told to try again.
 */
static void not_touched(struct arena *a, int key)
{
	void *zeroes = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cpu_op op = cpu_op_memcpy(a->mem, zeroes, 8);
	int ret;

	if (zeroes == MAP_FAILED || pkey_mprotect(zeroes, page_size, PROT_READ | PROT_WRITE, key)) {
		fail("page with a key: errno %d", errno);
		return;
	}
	expect("word of a page of zeroes", call(&op, 1, target_cpu(), 0), 0);
	memset(a->model, 0, 8);
	op = cpu_op_memcpy(a->mem, zeroes, 100);
	ret = call(&op, 1, target_cpu(), 0);
	if (!ret)
		memset(a->model, 0, 100);
	else
		expect("more of a page of zeroes", ret, -EFAULT);
	arena_check(a, "copy of a page of zeroes");
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
