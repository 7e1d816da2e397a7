// SPDX-License-Identifier: GPL-2.0
/* Tests of cpu_opv(2): each of the kernel's allocations fails, one call after the other. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu_opv_test.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MAX_NTH		2000

static const struct {
	const char *path, *value;
} knobs[] = {
	{ "/sys/kernel/debug/failslab/verbose", "0" },
	{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/verbose", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/min-order", "0" },
};

/* Returns 0 or -errno; @injected: whether there was an allocation with that number. */
static int call_failing(int fd, int nth, struct cpu_op *vec, int cnt, bool *injected)
{
	char text[16];
	ssize_t len;
	int ret;

	snprintf(text, sizeof(text), "%d", nth);
	if (pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text)) {
		fail("fail-nth: errno %d", errno);
		return 0;
	}
	ret = call(vec, cnt, target_cpu(), 0);
	len = pread(fd, text, sizeof(text) - 1, 0);
	if (pwrite(fd, "0", 1, 0) != 1)
		fail("fail-nth: errno %d", errno);
	text[len < 0 ? 0 : len] = 0;
	*injected = !atoi(text);
	return ret;
}

/* Returns whether an allocation failed. */
static bool fail_nth(int fd, int nth, int *errors)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	bool injected = false;
	struct arena a;
	int ret;

	/* Memory that is not there yet, and operands that need kernel addresses. */
	if (!arena_map(&a, 4 * CPU_OP_VEC_LEN_MAX + 1))
		return false;
	for (int i = 0; i < CPU_OP_VEC_LEN_MAX; i++) {
		unsigned char *p = a.mem + (4 * i + 1) * page_size - 4;

		vec[i] = cpu_op_memcpy(p, p + 2 * page_size, 8);
	}
	vec[0] = cpu_op_plus(a.mem + 64, 1, 8);
	vec[1] = cpu_op_bitwise(CPU_OR_OP, a.mem + 5 * page_size, UINT64_MAX, 8);
	ret = call_failing(fd, nth, vec, CPU_OP_VEC_LEN_MAX, &injected);
	if (!ret)
		model_run(&a, vec, CPU_OP_VEC_LEN_MAX);
	else
		expect("call", ret, -ENOMEM);
	*errors += ret < 0;
	arena_check(&a, "memory after an allocation failed");
	arena_unmap(&a);
	expect_nothing_left();
	return injected;
}

void test_no_memory(void)
{
	char old[ARRAY_LEN(knobs)][16];
	int fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC), nth = 0, errors = 0;
	size_t i;

	if (fd < 0) {
		skip("no fault injection: errno %d", errno);
		return;
	}
	for (i = 0; i < ARRAY_LEN(knobs); i++) {
		if (!read_text(knobs[i].path, old[i], sizeof(old[i])))
			*old[i] = 0;
		write_text(knobs[i].path, knobs[i].value);
	}
	while (++nth < MAX_NTH && failures() < 3 && fail_nth(fd, nth, &errors))
		;
	comment("%d allocations failed, %d calls", nth - 1, errors);
	if (nth == MAX_NTH)
		fail("no end of allocations");
	if (!errors)
		fail("no call failed");
	while (i-- > 0)
		write_text(knobs[i].path, old[i]);
	close(fd);
}
