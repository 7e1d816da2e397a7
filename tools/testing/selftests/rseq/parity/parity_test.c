// SPDX-License-Identifier: GPL-2.0
/*
 * Parity tests of rseq(2).
 *
 * A kselftest that checks what the specification fixes. PARITY_RECORD=FILE in the
 * environment: appends all that was observed to FILE, to be compared between kernels.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parity.h"
#include "percpu.h"

#include "../kselftest_harness.h"

const struct config configs[] = {
	{ "v1", V1_LEN, 0, .v2 = false },
	{ "v2", V2_LEN, 0, .v2 = true },
	{ "v2-slice", V2_LEN, FLAG_SLICE_EXT_DEFAULT_ON, .v2 = true, .slice = true },
	{ "v1-debug", V1_LEN, 0, .v2 = false, .debug = true },
	{ "v2-debug", V2_LEN, 0, .v2 = true, .debug = true },
	{ "v2-slice-debug", V2_LEN, FLAG_SLICE_EXT_DEFAULT_ON, .v2 = true, .slice = true,
	  .debug = true },
};

#define NR_CONFIGS	ARRAY_LEN(configs)

static bool get_case(const struct test_group *group, size_t i, struct test_case *tc)
{
	*tc = (struct test_case){ .fixups = -1 };
	group->get(i, tc);
	return *tc->name;
}

/* ---- the selftest ---- */

FIXTURE(parity) {
};

FIXTURE_VARIANT(parity) {
	const struct config *cfg;
};

FIXTURE_VARIANT_ADD(parity, v1) { &configs[0] };
FIXTURE_VARIANT_ADD(parity, v2) { &configs[1] };
FIXTURE_VARIANT_ADD(parity, v2_slice) { &configs[2] };
FIXTURE_VARIANT_ADD(parity, v1_debug) { &configs[3] };
FIXTURE_VARIANT_ADD(parity, v2_debug) { &configs[4] };
FIXTURE_VARIANT_ADD(parity, v2_slice_debug) { &configs[5] };

FIXTURE_SETUP(parity)
{
	if (set_up())
		SKIP(return, "see above");
	cfg = variant->cfg;
	ASSERT_EQ(set_debug(cfg->debug), 0);
}

FIXTURE_TEARDOWN(parity)
{
	tear_down();
}

/* Writes all that was observed of a case, a line each. */
static void record_case(FILE *f, const char *group, const struct test_case *tc,
			struct outcome *out)
{
	char *line, *save;

	for (line = strtok_r(out->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		fprintf(f, "%s/%s/%s %s\n", cfg->name, group, tc->name, line);
}

/* Every case of a group has to be as specified; those that are not are named. */
static void test_group(struct __test_metadata *_metadata, const struct test_group *group)
{
	const char *path = getenv("PARITY_RECORD");
	static struct outcome out;
	FILE *record = NULL;

	if (path) {
		record = fopen(path, "ae");
		ASSERT_NE(record, NULL)
			TH_LOG("%s: %m", path);
		setvbuf(record, NULL, _IOLBF, 0);	/* nothing is left for children */
	}
	for (size_t i = 0; i < group->nr; i++) {
		struct test_case tc;

		if (!get_case(group, i, &tc))
			continue;
		run_case(&tc, &out);
		EXPECT_FALSE(out.failed)
			TH_LOG("%s/%s: %s", group->name, tc.name, out.why);
		if (record)
			record_case(record, group->name, &tc, &out);
	}
	if (record)
		EXPECT_EQ(fclose(record), 0);
}

#define TEST_GROUP(name)						\
	TEST_F_TIMEOUT(parity, name, 300)				\
	{								\
		test_group(_metadata, &name##_group);			\
	}

TEST_GROUP(register)
TEST_GROUP(unregister)
TEST_GROUP(section)
TEST_GROUP(area)
TEST_GROUP(ids)
TEST_GROUP(event)
TEST_GROUP(task)
TEST_GROUP(prctl)
TEST_GROUP(slice)
TEST_GROUP(ptrace)
TEST_GROUP(trace)

/* They know no configuration. */
TEST(files)
{
	if (set_up())
		SKIP(return, "see above");
	cfg = &configs[0];
	ASSERT_EQ(set_debug(false), 0);
	test_group(_metadata, &files_group);
	tear_down();
}

FIXTURE(percpu) {
};

FIXTURE_VARIANT(percpu) {
	bool v2, mm_cid;
};

FIXTURE_VARIANT_ADD(percpu, v1_cpu_id) { false, false };
FIXTURE_VARIANT_ADD(percpu, v1_mm_cid) { false, true };
FIXTURE_VARIANT_ADD(percpu, v2_cpu_id) { true, false };
FIXTURE_VARIANT_ADD(percpu, v2_mm_cid) { true, true };

FIXTURE_SETUP(percpu)
{
}

FIXTURE_TEARDOWN(percpu)
{
}

TEST_F_TIMEOUT(percpu, exact, 120)
{
	struct percpu_result res;

	ASSERT_EQ(percpu_run(variant->v2, variant->mm_cid, &res), 0);
	TH_LOG("%ld increments, %ld in handlers, %ld aborts", res.counted, res.signals,
	       res.aborts);
	EXPECT_EQ(res.counted, res.expected);
	EXPECT_EQ(res.nodes, res.expected_nodes);
	EXPECT_TRUE(res.intact);
	/* Otherwise nothing was tested. */
	EXPECT_GT(res.signals, 0);
	EXPECT_GT(res.aborts, 0);
}

/* A case went on in a new program, with no more than the shared memory. */
static int probe(int fd, size_t config)
{
	if (config >= NR_CONFIGS || !arena_map(fd))
		return KSFT_FAIL;
	cfg = &configs[config];
	find_facts();
	exec_probe();
	return KSFT_PASS;
}

int main(int argc, char **argv)
{
	static const char tunable[] = "glibc.pthread.rseq=0";
	const char *tunables = getenv("GLIBC_TUNABLES");

	/* The area that libc registers for itself would be in the way. */
	if (!tunables || !strstr(tunables, tunable)) {
		char *value;

		if (asprintf(&value, "%s%s%s", tunables ?: "", tunables ? ":" : "", tunable) < 0 ||
		    setenv("GLIBC_TUNABLES", value, 1))
			return KSFT_FAIL;
		execv("/proc/self/exe", argv);
		perror("# /proc/self/exe");
		return KSFT_FAIL;
	}
	if (argc > 3 && !strcmp(argv[1], "--exec-probe"))
		return probe(atoi(argv[2]), atoi(argv[3]));
	return test_harness_run(argc, argv);
}
