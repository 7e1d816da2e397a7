// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cpu_opv(2): what it does, what it refuses, and on which memory. All
 * of them on the caller's CPU and on another one, by both settings of how to get
 * there.
 */
#include "cpu_opv_test.h"

#include "../kselftest_harness.h"

FIXTURE(cpu_opv) {
};

FIXTURE_VARIANT(cpu_opv) {
	const char *strategy;	/* NULL: the caller's CPU */
};

FIXTURE_VARIANT_ADD(cpu_opv, local) { NULL };
FIXTURE_VARIANT_ADD(cpu_opv, migrate) { "migrate" };
FIXTURE_VARIANT_ADD(cpu_opv, interrupt) { "interrupt" };

FIXTURE_SETUP(cpu_opv)
{
	const char *why = set_up(variant->strategy);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(cpu_opv)
{
}

static void run(struct __test_metadata *_metadata, void (*test)(void))
{
	test();
	expect_nothing_left();
	EXPECT_EQ(0, failures());
	if (*skipped() && !failures())
		SKIP(return, "%s", skipped());
}

#define OPV_TEST(name)				\
	TEST_F_TIMEOUT(cpu_opv, name, 120)	\
	{					\
		run(_metadata, test_##name);	\
	}

OPV_TEST(compare)
OPV_TEST(memcpy)
OPV_TEST(arithmetic)
OPV_TEST(shift)
OPV_TEST(mb)
OPV_TEST(random)
OPV_TEST(crossing)
OPV_TEST(overlap)
OPV_TEST(overlap_crossing)
OPV_TEST(alias)
OPV_TEST(alias_order)
OPV_TEST(stopping)
OPV_TEST(empty)
OPV_TEST(limits)
OPV_TEST(maximal)
OPV_TEST(vector_memory)
OPV_TEST(vector_is_operand)
OPV_TEST(leading)
OPV_TEST(leading_crossing)
OPV_TEST(pop_and_unmap)
OPV_TEST(fence)
OPV_TEST(no_tearing)
OPV_TEST(changing_vector)
OPV_TEST(fault_addresses)
OPV_TEST(fault_mappings)
OPV_TEST(fault_vdso)
OPV_TEST(fault_device)
OPV_TEST(fault_secret)
OPV_TEST(fault_keys)
OPV_TEST(fault_order)
OPV_TEST(fault_crossing)
OPV_TEST(no_bytes)
OPV_TEST(untouched)
OPV_TEST(fork)
OPV_TEST(shared)
OPV_TEST(huge)
OPV_TEST(hugetlb)
OPV_TEST(mlocked)
OPV_TEST(memfd)
OPV_TEST(file_shared)
OPV_TEST(file_private)
OPV_TEST(block_device)
OPV_TEST(swapped)
OPV_TEST(ksm)
OPV_TEST(userfaultfd)
OPV_TEST(coherent)
OPV_TEST(unmapping)
OPV_TEST(no_memory)

/* What is refused before the CPU matters. */
FIXTURE(refused) {
};

FIXTURE_SETUP(refused)
{
	const char *why = set_up(NULL);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(refused)
{
}

#define REFUSED_TEST(name)			\
	TEST_F(refused, name)			\
	{					\
		run(_metadata, test_##name);	\
	}

REFUSED_TEST(queries)
REFUSED_TEST(bad_calls)
REFUSED_TEST(bad_codes)
REFUSED_TEST(bad_lengths)
REFUSED_TEST(bad_shifts)
REFUSED_TEST(misaligned)
REFUSED_TEST(reserved_bytes)
REFUSED_TEST(precedence)
REFUSED_TEST(bad_vector)

int main(int argc, char **argv)
{
	set_up_program();
	return test_harness_run(argc, argv);
}
