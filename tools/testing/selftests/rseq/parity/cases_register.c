// SPDX-License-Identifier: GPL-2.0
/* Parity cases: rseq(2) itself, every argument good and bad. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parity.h"

#define OTHER_SIG	(RSEQ_SIG + 1)

static unsigned long user_end(long offset)
{
	return (unsigned long)(facts.task_size + offset);
}

/* Nothing that fails may write to the area, or leave the task registered. */
static void reject(const char *name, void *ptr, uint32_t len, int flags, int want)
{
	expect(name, sys_rseq(ptr, len, flags, RSEQ_SIG), want);
}

static void child_reject_length(const struct test_case *tc)
{
	unsigned char *p = area_page;

	reject("len_0", p, 0, 0, -EINVAL);
	reject("len_1", p, 1, 0, -EINVAL);
	reject("len_20", p, 20, 0, -EINVAL);
	reject("len_31", p, 31, 0, -EINVAL);
	reject("len_kernel_address", (void *)-64L, 31, 0, -EINVAL);
	expect_true("untouched", p[0] == POISON && p[31] == POISON);
}

static void child_reject_alignment(const struct test_case *tc)
{
	static const int v1[] = { 1, 2, 4, 8, 16, 31 }, v2[] = { 1, 8, 16, 32, 63 };
	unsigned char *p = area_page;
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(v1); i++) {
		snprintf(name, sizeof(name), "v1_at_%d", v1[i]);
		reject(name, p + v1[i], V1_LEN, 0, -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_LEN(v2); i++) {
		snprintf(name, sizeof(name), "v2_at_%d", v2[i]);
		reject(name, p + v2[i], V2_LEN, 0, -EINVAL);
	}
	reject("v2_64_at_32", p + 32, 64, 0, -EINVAL);
	reject("v2_max_at_32", p + 32, UINT32_MAX, 0, -EINVAL);
	reject("v1_kernel_unaligned", (void *)-63L, V1_LEN, 0, -EINVAL);
}

static void child_reject_flags(const struct test_case *tc)
{
	unsigned char *p = area_page;

	reject("flag_4", p, cfg->len, 4, -EINVAL);
	reject("flag_8", p, cfg->len, 8, -EINVAL);
	reject("flag_16", p, cfg->len, 16, -EINVAL);
	reject("flag_6", p, cfg->len, 6, -EINVAL);
	reject("flag_sign", p, cfg->len, INT32_MIN, -EINVAL);
	reject("flag_all_but_unregister", p, cfg->len, ~FLAG_UNREGISTER, -EINVAL);
	reject("flag_all", p, cfg->len, -1, -EINVAL);
	reject("flag_bad_and_len_bad", p, 1, 4, -EINVAL);
	reject("unregister", p, cfg->len, FLAG_UNREGISTER, -EINVAL);
	reject("unregister_null", NULL, 0, FLAG_UNREGISTER, -EINVAL);
	reject("unregister_default_on", p, cfg->len, FLAG_UNREGISTER | FLAG_SLICE_EXT_DEFAULT_ON,
	       -EINVAL);
}

static void child_reject_address(const struct test_case *tc)
{
	unsigned char *p = area_page;
	int page = getpagesize();

	reject("null", NULL, cfg->len, 0, -EFAULT);
	reject("not_mapped", p + page, cfg->len, 0, -EFAULT);
	reject("task_size", (void *)user_end(0), cfg->len, 0, -EFAULT);
	reject("last", (void *)-64L, cfg->len, 0, -EFAULT);
	reject("wraps", (void *)-64L, 4096, 0, -EFAULT);
	/* Only the part that the kernel uses has to be there. */
	expect("len_max", sys_rseq(p, UINT32_MAX, 0, RSEQ_SIG), 0);
	expect("len_max_unregister", sys_rseq(p, UINT32_MAX, FLAG_UNREGISTER, RSEQ_SIG), 0);
	if (BITS64) {
		reject("kernel_text", (void *)0xffffffff81000000UL, cfg->len, 0, -EFAULT);
		reject("kernel_data", (void *)0xffff888000000000UL, cfg->len, 0, -EFAULT);
		reject("non_canonical", (void *)0x0100000000000000UL, cfg->len, 0, -EFAULT);
		reject("hole", (void *)0x8000000000000000UL, cfg->len, 0, -EFAULT);
		reject("len_reaches_end", (void *)user_end(-64), UINT32_MAX, 0, -EFAULT);
	}
	mprotect(p, page, PROT_READ);
	reject("read_only", p, cfg->len, 0, -EFAULT);
	mprotect(p, page, PROT_NONE);
	reject("prot_none", p, cfg->len, 0, -EFAULT);
	mprotect(p, page, PROT_READ | PROT_WRITE);
	register_area();
}

/* The last bytes of user space are as good as any. */
static void child_last_page(const struct test_case *tc)
{
	int page = getpagesize();
	unsigned char *p = mmap((void *)user_end(-page), page, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	void *beyond;

	expect_true("mapped", p == (void *)user_end(-page));
	beyond = mmap((void *)user_end(0), page, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	expect_true("nothing_beyond", beyond == MAP_FAILED);
	if (p == MAP_FAILED)
		return;
	memset(p, POISON, page);
	p += page - 64;
	expect("v1_64", sys_rseq(p, V1_LEN, 0, RSEQ_SIG), 0);
	expect("v1_64_unregister", sys_rseq(p, V1_LEN, FLAG_UNREGISTER, RSEQ_SIG), 0);
	expect("v1_32", sys_rseq(p + 32, V1_LEN, 0, RSEQ_SIG), 0);
	expect("v1_32_unregister", sys_rseq(p + 32, V1_LEN, FLAG_UNREGISTER, RSEQ_SIG), 0);
	expect("v2_33", sys_rseq(p, V2_LEN, 0, RSEQ_SIG), 0);
	expect("v2_33_unregister", sys_rseq(p, V2_LEN, FLAG_UNREGISTER, RSEQ_SIG), 0);
	expect("v2_64", sys_rseq(p, 64, 0, RSEQ_SIG), 0);
	expect("v2_64_unregister", sys_rseq(p, 64, FLAG_UNREGISTER, RSEQ_SIG), 0);
	note("v2_65", "%d", sys_rseq(p, 65, 0, RSEQ_SIG));
	sys_rseq(p, 65, FLAG_UNREGISTER, RSEQ_SIG);
	note("v2_page", "%d", sys_rseq(p, page, 0, RSEQ_SIG));
}

/* Bytes 0 to 31 as the kernel leaves them, from poison. */
static void expect_registered(uint32_t len, int flags)
{
	struct rseq_abi *a = area();
	const unsigned char *byte = (unsigned char *)a;
	bool v2 = len > V1_LEN, slice = v2 && facts.slice_key;
	uint32_t want = 0;

	if (slice)
		want |= CS_FLAG_SLICE_EXT_AVAILABLE;
	if (slice && (flags & FLAG_SLICE_EXT_DEFAULT_ON))
		want |= CS_FLAG_SLICE_EXT_ENABLED;
	note_area("registered");
	expect("cpu_id_start_is_here", a->cpu_id_start, facts.cpu_a);
	expect("cpu_id_is_here", a->cpu_id, facts.cpu_a);
	expect("rseq_cs", a->rseq_cs.ptr64, 0);
	expect("flags", a->flags, want);
	expect("mm_cid", a->mm_cid, 0);
	/* v2: cleared once at registration, whether or not the extension is on. */
	for (int i = 28; i < 32; i++)
		expect("slice_byte", byte[i], v2 ? 0 : POISON);
	for (int i = 32; i < 64; i++) {
		if (byte[i] != POISON)
			expect("byte_behind", byte[i], POISON);
	}
	for (int i = 1; i <= 32; i++) {
		if (byte[-i] != POISON)
			expect("byte_before", byte[-i], POISON);
	}
}

static void child_accept(const struct test_case *tc)
{
	static const uint32_t lens[] = { V1_LEN, V2_LEN, 34, 63, 64, 128, 4096, 0x10000 };
	char field[32];

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		uint32_t len = lens[i];

		if ((len > V1_LEN) != cfg->v2)
			continue;
		poison_area();
		snprintf(field, sizeof(field), "register_%u", len);
		expect(field, sys_rseq(area(), len, cfg->flags, RSEQ_SIG), 0);
		expect_registered(len, cfg->flags);
		poison_slice();
		snprintf(field, sizeof(field), "unregister_%u", len);
		expect(field, sys_rseq(area(), len, FLAG_UNREGISTER, RSEQ_SIG), 0);
		note_area("unregistered");
		expect("reset.cpu_id_start", area()->cpu_id_start, 0);
		expect("reset.cpu_id", (int)area()->cpu_id, -1);
		expect("reset.node_id", area()->node_id, 0);
		expect("reset.mm_cid", area()->mm_cid, 0);
	}
}

/* A signature of any value is one. */
static void child_signatures(const struct test_case *tc)
{
	static const uint32_t sigs[] = { 0, 1, UINT32_MAX, 0x80000000 };

	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		expect("register", sys_rseq(area(), cfg->len, cfg->flags, sigs[i]), 0);
		expect("wrong", sys_rseq(area(), cfg->len, FLAG_UNREGISTER, sigs[i] + 1), -EPERM);
		expect("unregister", sys_rseq(area(), cfg->len, FLAG_UNREGISTER, sigs[i]), 0);
	}
}

static void child_again(const struct test_case *tc)
{
	uint32_t other = cfg->v2 ? V1_LEN : V2_LEN;
	unsigned char *p = (unsigned char *)area();

	register_area();
	expect("same", sys_rseq(p, cfg->len, cfg->flags, RSEQ_SIG), -EBUSY);
	expect("same_default_on", sys_rseq(p, cfg->len, FLAG_SLICE_EXT_DEFAULT_ON, RSEQ_SIG),
	       -EBUSY);
	expect("unknown_flag", sys_rseq(p, cfg->len, 4, RSEQ_SIG), -EINVAL);
	expect("other_area", sys_rseq(p + 64, cfg->len, 0, RSEQ_SIG), -EINVAL);
	expect("other_len", sys_rseq(p, other, 0, RSEQ_SIG), -EINVAL);
	expect("len_0", sys_rseq(p, 0, 0, RSEQ_SIG), -EINVAL);
	expect("other_sig", sys_rseq(p, cfg->len, 0, OTHER_SIG), -EPERM);
	expect("other_area_and_sig", sys_rseq(p + 64, cfg->len, 0, OTHER_SIG), -EINVAL);
	expect("null", sys_rseq(NULL, cfg->len, 0, RSEQ_SIG), -EINVAL);
	expect("kernel", sys_rseq((void *)-64L, cfg->len, 0, RSEQ_SIG), -EINVAL);
	note_area("still");
}

static void child_unregister(const struct test_case *tc)
{
	uint32_t other = cfg->v2 ? V1_LEN : V2_LEN;
	unsigned char *p = (unsigned char *)area();

	register_area();
	expect("other_area", sys_rseq(p + 64, cfg->len, FLAG_UNREGISTER, RSEQ_SIG), -EINVAL);
	expect("null", sys_rseq(NULL, cfg->len, FLAG_UNREGISTER, RSEQ_SIG), -EINVAL);
	expect("other_len", sys_rseq(p, other, FLAG_UNREGISTER, RSEQ_SIG), -EINVAL);
	expect("len_0", sys_rseq(p, 0, FLAG_UNREGISTER, RSEQ_SIG), -EINVAL);
	expect("other_sig", sys_rseq(p, cfg->len, FLAG_UNREGISTER, OTHER_SIG), -EPERM);
	expect("other_len_and_sig", sys_rseq(p, other, FLAG_UNREGISTER, OTHER_SIG), -EINVAL);
	expect("flag_2", sys_rseq(p, cfg->len, FLAG_UNREGISTER | 2, RSEQ_SIG), -EINVAL);
	expect("flag_4", sys_rseq(p, cfg->len, FLAG_UNREGISTER | 4, RSEQ_SIG), -EINVAL);
	note_area("still");
	expect("right", sys_rseq(p, cfg->len, FLAG_UNREGISTER, RSEQ_SIG), 0);
	note_area("reset");
	expect("twice", sys_rseq(p, cfg->len, FLAG_UNREGISTER, RSEQ_SIG), -EINVAL);
	expect("elsewhere", sys_rseq(p + 64, cfg->len, cfg->flags, RSEQ_SIG), 0);
	expect("elsewhere_unregister", sys_rseq(p + 64, cfg->len, FLAG_UNREGISTER, RSEQ_SIG), 0);
	poison_area();
	raise(SIGUSR1);
	note_area("not_written_any_more");
}

/* Unregistering writes to the area: if it cannot, the task is done for. */
static void child_unregister_damaged(const struct test_case *tc)
{
	register_area();
	mprotect(area_page, getpagesize(), tc->num[0]);
	note("unregister", "%d", sys_rseq(area(), cfg->len, FLAG_UNREGISTER, RSEQ_SIG));
}

static const struct {
	const char *name;
	void (*child)(const struct test_case *tc);
} register_cases[] = {
	{ "reject_length", child_reject_length },
	{ "reject_alignment", child_reject_alignment },
	{ "reject_flags", child_reject_flags },
	{ "reject_address", child_reject_address },
	{ "last_page", child_last_page },
	{ "accept", child_accept },
	{ "signatures", child_signatures },
	{ "again", child_again },
};

static void get_register(size_t i, struct test_case *tc)
{
	snprintf(tc->name, sizeof(tc->name), "%s", register_cases[i].name);
	tc->child = register_cases[i].child;
	tc->end = END_OK;
	tc->fixups = 0;
}

static void get_unregister(size_t i, struct test_case *tc)
{
	static const char *const names[] = { "all", "read_only", "prot_none" };

	snprintf(tc->name, sizeof(tc->name), "%s", names[i]);
	tc->child = i ? child_unregister_damaged : child_unregister;
	tc->num[0] = i == 1 ? PROT_READ : PROT_NONE;
	/* v1 cannot deliver the signal without another look at the area. */
	tc->end = !i ? END_OK : cfg->v2 ? END_CAUGHT : END_KILLED;
	tc->fixups = 0;
}

const struct test_group register_group = {
	"register", ARRAY_LEN(register_cases), get_register
};

const struct test_group unregister_group = { "unregister", 3, get_unregister };
